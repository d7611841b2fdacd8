"""The page that replaces the report if jobs failed: which ones, why, and the progress of every experiment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text

from replication.report.page import fill
from replication.runs.checkpoint import write_atomically
from replication.settings.grid import Experiment
from replication.settings.paths import RUNS

#: A time stamp older than any input, so that the workflow makes the real report as soon as it can.
LONG_AGO = 1
LOG_LINES, LOG_BYTES = 15, 64_000


@dataclass(frozen=True)
class FailedJob:
    """A job that failed: ``label`` names the folders of its runs, or its first output; ``reason`` is its exit status or
    signal, empty if unknown; ``logs`` maps the path of each log to its last lines.
    """

    rule: str
    label: str
    reason: str
    logs: Mapping[str, Sequence[str]]


def tail(path: str) -> list[str]:
    """The last lines of a log without control characters; [] if it is empty or missing."""
    try:
        end = Path(path).read_bytes()[-LOG_BYTES:].decode(errors="replace").rstrip().split("\n")
    except OSError:
        return []
    # A progress bar overwrites its line; only its last state is kept.
    return [Text.from_ansi(line).plain for line in end[-LOG_LINES:] if line]


def describe_failure(
    rule: str, job_id: int, output: Sequence[str], *, logs: Sequence[str], command: str | None, said: str
) -> FailedJob:
    """A failed job, with its reason and logs as far as Snakemake's own log file, with the text ``said``, names them.

    ``job_id`` is Snakemake's number of the job; ``command`` is None for a job without a shell command.
    """
    blocks = [block for block in said.split("Error in rule ") if block.startswith(f"{rule}:\n")]
    block = next((block for block in reversed(blocks) if re.search(rf" jobid: {job_id}\n", block)), "")
    if found := re.search(r" log: (.*) \(check log file", block):
        logs = found[1].split(", ")  # a cluster's own log is among them
    why = "".join(re.findall(r" message: (?!None$)(.*)", block, re.MULTILINE)[:1])
    ended = r"' (?:returned non-zero (exit status \d+)|died with <Signals\.(SIG\w+))"
    if command and (exits := re.findall(re.escape(command.strip()) + r"\s*" + ended, said)):
        status, signal = exits[-1]
        why = status or f"killed by {signal}"
    runs = [path.removesuffix("/metrics.json") for path in output if path.endswith("/metrics.json")]
    return FailedJob(rule, ", ".join(runs or output[:1]), why, {path: tail(path) for path in logs})


@dataclass(frozen=True)
class Progress:
    """Progress of an experiment: finished and planned trainings."""

    experiment: str
    title: str
    finished: int
    planned: int


def progress(experiments: Mapping[str, Experiment], results: Path) -> list[Progress]:
    """Count the trainings of every experiment that have a record."""
    finished = {
        name: sum((results / RUNS / path / "metrics.json").is_file() for path in experiment.runs)
        for name, experiment in experiments.items()
    }
    return [Progress(name, one.title, finished[name], len(one.runs)) for name, one in experiments.items()]


def write_incomplete_report(
    out: Path, *, failed: Sequence[FailedJob], waiting: int, rows: Sequence[Progress], template: Path
) -> None:
    """Write the page to the report's place, with a time stamp that makes the workflow replace it.

    ``waiting`` is the number of jobs that did not run, ``rows`` the progress of every experiment.
    """
    write_atomically(out, fill(template, failed=failed, waiting=waiting, rows=rows))
    os.utime(out, (LONG_AGO, LONG_AGO))


def clear_incomplete_report(out: Path) -> None:
    """Remove the page if it is still in the report's place; a real report stays."""
    if out.is_file() and out.stat().st_mtime == LONG_AGO:
        out.unlink()
