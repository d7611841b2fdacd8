"""How far the runs of a training job are, from the ``heartbeat.json`` that each writes into its folder."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from snakemake_logger_plugin_tempbalance.estimate import Job

#: Reading heartbeats may take this share of the time: they are read less often from a slow network disk.
MAX_LOAD = 0.02


@dataclass(frozen=True)
class Beat:
    """Finished share of a job, from 0 to 1, and the epoch of the run that is training with its values."""

    share: float
    text: str


class Beats:
    """Reads the heartbeats of running jobs now and then."""

    def __init__(self) -> None:
        self._beats: dict[int, Beat] = {}
        self._due = 0.0

    def of(self, jobs: Iterable[Job]) -> dict[int, Beat]:
        """Job id -> its heartbeat, for the jobs that have one."""
        jobs = list(jobs)
        start = time.monotonic()
        if start >= self._due:
            self._beats = {job.id: beat for job in jobs if (beat := read_beat(job))}
            self._due = start + max(1.0, (time.monotonic() - start) / MAX_LOAD)
        return {job.id: self._beats[job.id] for job in jobs if job.id in self._beats}


def read_beat(job: Job) -> Beat | None:
    """How far the job is; None before the first heartbeat since its start. Its runs train one after the other."""
    share, text = 0.0, ""
    for folder in job.runs:
        if (folder / "finished/metrics.json").exists() or (folder / "metrics.json").exists():
            share += 1
        elif beat := _read(folder / "heartbeat.json", job.started):
            share, text = share + beat.share, beat.text
    return Beat(share / len(job.runs), text) if share else None


def _read(path: Path, since: float) -> Beat | None:
    try:
        if path.stat().st_mtime < since - 1:
            return None  # left by an earlier call
        content = json.loads(path.read_text())
        epoch, epochs = int(content["epoch"]), int(content["epochs"])
        hidden = ("epoch", "epochs", "elapsed_s", "time", "pid")
        values = (f"{name} {x:.3g}" for name, x in content.items() if name not in hidden and isinstance(x, int | float))
        return Beat(min(epoch / epochs, 1.0), "  ".join([f"epoch {epoch}/{epochs}", *values]))
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError):
        return None
