"""Progress of a training job's runs, from the ``heartbeat.json`` that each writes into its folder."""

from __future__ import annotations

import json
from pathlib import Path

from snakemake_logger_plugin_tempbalance.estimate import Job

HIDDEN = ("epoch", "epochs", "elapsed_s", "time", "pid")


def read_beat(job: Job) -> tuple[float, str]:
    """Finished share of a job, from 0 to 1, and the epoch of the run that is training; 0 before its first heartbeat."""
    share, text = 0.0, ""
    for folder in job.runs:  # they train one after the other
        if (folder / "finished/metrics.json").exists() or (folder / "metrics.json").exists():
            share += 1
            continue
        try:
            path = folder / "heartbeat.json"
            beat = json.loads(path.read_text())
            part = min(int(beat["epoch"]) / int(beat["epochs"]), 1.0)
            is_new = path.stat().st_mtime >= job.started - 1
        except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError):
            continue
        if is_new:  # else an earlier call left it
            values = (f"{k} {x:.3g}" for k, x in beat.items() if k not in HIDDEN and isinstance(x, int | float))
            share, text = share + part, text or "  ".join([f"epoch {beat['epoch']}/{beat['epochs']}", *values])
    return share / max(len(job.runs), 1), text


def has_diverged(run: Path) -> bool:
    """Whether the record of a finished run says that its loss was not finite."""
    try:
        return '"status": "diverged"' in (run / "metrics.json").read_text()
    except OSError:
        return False
