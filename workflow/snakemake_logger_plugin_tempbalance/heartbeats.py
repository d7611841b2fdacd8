"""The epoch inside a running job, from the ``heartbeat.json`` that a training run writes while it works."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from snakemake_logger_plugin_tempbalance.grid import Job

STORE = ".store"
MIN_PAUSE_S = 2.0
#: A look at the store may cost this share of the time at most: a slow network disk is then looked at less often.
MAX_LOAD = 0.05


@dataclass(frozen=True)
class Beat:
    """Where a run is."""

    run: str
    epoch: int
    epochs: int
    values: dict[str, float]

    @property
    def fraction(self) -> float:
        """Share of the run that is done, 0 to 1."""
        return min(self.epoch / self.epochs, 1.0) if self.epochs > 0 else 0.0

    def __str__(self) -> str:
        shown = "  ".join(f"{name} {value:.3g}" for name, value in self.values.items())
        return f"epoch {self.epoch}/{self.epochs}  {shown}".rstrip()


class Heartbeats:
    """Looks for the running jobs' heartbeats, now and then."""

    def __init__(self) -> None:
        self._beats: dict[int, Beat] = {}
        self._next_look = 0.0

    def of(self, jobs: Iterable[Job]) -> dict[int, Beat]:
        """Job id -> its latest heartbeat, for the jobs that have one."""
        now = time.monotonic()
        jobs = list(jobs)
        if jobs and now >= self._next_look:
            self._beats = look(jobs)
            self._next_look = now + max(MIN_PAUSE_S, (time.monotonic() - now) / MAX_LOAD)
        alive = {job.id for job in jobs}
        return {job_id: beat for job_id, beat in self._beats.items() if job_id in alive}


def look(jobs: Iterable[Job]) -> dict[int, Beat]:
    """Job id -> heartbeat: the one that names the folder of the job's output and was written since its start."""
    jobs = list(jobs)
    found: dict[int, Beat] = {}
    folders = {job.id: {os.path.dirname(path) for path in job.output} for job in jobs}  # noqa: PTH120
    stores = {store for paths in folders.values() for path in paths if (store := _store(path)) is not None}
    beats = [pair for store in stores for pair in _beats(store)]
    for job in jobs:
        for beat, written in beats:
            if written >= job.started - 1 and any(f"/{path}".endswith(f"/{beat.run}") for path in folders[job.id]):
                found[job.id] = beat
    return found


def _store(folder: str) -> Path | None:
    """The store of the results folder that ``folder`` lies in."""
    for parent in (Path(folder), *Path(folder).parents):
        if (parent / STORE).is_dir():
            return parent / STORE
    return None


def _beats(store: Path) -> Iterable[tuple[Beat, float]]:
    with os.scandir(store) as entries:
        for entry in entries:
            path = Path(entry.path, "heartbeat.json")
            try:
                content = json.loads(path.read_text())
                yield _beat(content), path.stat().st_mtime
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                continue  # not running, or a file of another kind


def _beat(content: dict) -> Beat:
    known = {"run", "epoch", "epochs", "elapsed_s", "time", "pid"}
    values = {
        str(name): float(value)
        for name, value in content.items()
        if name not in known and isinstance(value, int | float)
    }
    return Beat(str(content["run"]), int(content["epoch"]), int(content["epochs"]), values)
