"""The words of the display, without any state."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from snakemake_logger_plugin_tempbalance.grid import Failure, Grid, Job
from snakemake_logger_plugin_tempbalance.heartbeats import Beat

TAIL_LINES = 15
TAIL_BYTES = 64_000
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


def duration(seconds: float) -> str:
    """``0:07``, ``12:05`` or ``3:04:05``."""
    minutes, rest = divmod(max(int(seconds), 0), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def counts(grid: Grid, now: float, left: float | None) -> str:
    """``34/120 jobs  28%  elapsed 2:13  left ~5:40  1 failed``."""
    percent = 100 * grid.done // grid.total if grid.total else 0
    parts = [f"{grid.done}/{grid.total} jobs", f"{percent}%", f"elapsed {duration(grid.elapsed(now))}"]
    if grid.done < grid.total:
        parts.append("left ?" if left is None else f"left ~{duration(left)}")
    if grid.failures:
        parts.append(f"{len(grid.failures)} FAILED")
    return "  ".join(parts)


def running_lines(grid: Grid, beats: Mapping[int, Beat], now: float, limit: int) -> list[str]:
    """A line a running job, those with a heartbeat first, at most ``limit`` and a word about the rest."""
    jobs = sorted(grid.running.values(), key=lambda job: (job.id not in beats, job.started))
    lines = [running_line(job, beats.get(job.id), now) for job in jobs[:limit]]
    if len(jobs) > limit:
        lines.append(f"... and {len(jobs) - limit} more")
    return lines


def running_line(job: Job, beat: Beat | None, now: float) -> str:
    """Rule, run, epoch and time of one running job."""
    parts = [job.rule, job.label, str(beat) if beat else "", duration(now - job.started)]
    return "  ".join(part for part in parts if part)


def tail(path: str, lines: int = TAIL_LINES) -> list[str]:
    """The last lines of a log file, without control characters; [] where there is none or it is empty."""
    try:
        with Path(path).open("rb") as file:
            file.seek(0, 2)
            file.seek(max(file.tell() - TAIL_BYTES, 0))
            content = file.read().decode(errors="replace")
    except OSError:
        return []
    # A progress bar overwrites its line by carriage returns: only what stood there last is shown.
    shown = [CONTROL.sub("", line.rstrip("\r").rsplit("\r", 1)[-1]) for line in content.rstrip().split("\n")]
    return [line for line in shown if line.strip()][-lines:]


def failure_text(failure: Failure) -> str:
    """What failed, why, where its log is, and how the log ends."""
    job = failure.job
    lines = [f"FAILED  {job.rule}  {job.label}" + (f"  ({failure.reason})" if failure.reason else "")]
    lines += [line for path in failure.log for line in log_end(path)]
    if not failure.log:
        lines.append("  (the rule has no log file)")
    return "\n".join(lines)


def group_text(name: str, jobs: Sequence[Job], logs: Sequence[str]) -> str:
    """A failed group of jobs: its members, and the ends of the logs that hold something, the scheduler's last."""
    lines = [f"FAILED  group {name}: one or more of", *(f"  {job.rule}  {job.label}" for job in jobs)]
    paths = dict.fromkeys([path for job in jobs for path in job.log if tail(path)] + list(logs))
    return "\n".join(lines + [line for path in paths for line in log_end(path)])


def log_end(path: str) -> list[str]:
    """A log's path and its last lines, indented."""
    end = tail(path)
    return [f"  log: {path}" + ("" if end else "  (empty or missing)"), *(f"  | {line}" for line in end)]


def plan_text(counts_by_rule: Mapping[str, int]) -> str:
    """``113 jobs to do: 72 train, 24 spectra, ...``."""
    listed = ", ".join(f"{count} {rule}" for rule, count in sorted(counts_by_rule.items(), key=lambda item: -item[1]))
    total = sum(counts_by_rule.values())
    return f"{total} job{'s' * (total != 1)} to do: {listed}"


def summary_text(grid: Grid, now: float) -> str:
    """The end: how much was done, what failed and where its log is, how many runs diverged."""
    lines = [f"{grid.done} of {grid.total} jobs done in {duration(grid.elapsed(now))}."]
    if grid.retried:
        lines.append(f"{_jobs(len(grid.retried))} needed more than one attempt.")
    if grid.diverged:
        lines.append(f"{len(grid.diverged)} of the runs diverged and are recorded so: {_some(grid.diverged)}")
    if grid.failures:
        lines.append(f"{_jobs(len(grid.failures))} FAILED:")
        for failure in grid.failures.values():
            reason = f"  ({failure.reason})" if failure.reason else ""
            log = f"  log: {', '.join(failure.log)}" if failure.log else ""
            lines.append(f"  {failure.job.rule}  {failure.job.label}{reason}{log}")
    missing = grid.total - grid.done - len(grid.failures)
    if missing > 0:
        lines.append(f"{_jobs(missing)} did not run or did not end.")
    if grid.failures or missing > 0:
        lines.append("What is finished is kept: the same command goes on from here.")
    return "\n".join(lines)


def _jobs(number: int) -> str:
    return f"{number} job{'s' * (number != 1)}"


def _some(names: Sequence[str], limit: int = 5) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
