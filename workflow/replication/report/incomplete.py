"""The page that replaces the report where jobs failed: which, why, and the progress of every experiment."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from replication.runs.checkpoint import write_atomically
from replication.settings.grid import Experiment
from replication.settings.paths import RUNS

#: Older than any input of the report, so that the workflow makes the real one as soon as it can.
LONG_AGO = 1


@dataclass(frozen=True)
class FailedJob:
    """A job that failed.

    Attributes:
        rule: its rule.
        label: the run's folder, or its first output.
        reason: exit status or signal; empty where it is not known.
        logs: path of each log -> its last lines.
    """

    rule: str
    label: str
    reason: str
    logs: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Progress:
    """Progress of an experiment: finished of planned trainings."""

    experiment: str
    title: str
    finished: int
    planned: int


def progress(experiments: Mapping[str, Experiment], results: Path) -> list[Progress]:
    """Count the trainings of every experiment that have a record."""
    rows = []
    for name, experiment in experiments.items():
        finished = sum((results / RUNS / path / "metrics.json").is_file() for path in experiment.runs)
        rows.append(Progress(name, experiment.title, finished, len(experiment.runs)))
    return rows


def write_incomplete_report(
    out: Path, *, failed: Sequence[FailedJob], waiting: int, rows: Sequence[Progress], template: Path
) -> None:
    """Write the page, with a time stamp that makes the workflow replace it.

    Args:
        out: where the report would be.
        failed: the failed jobs.
        waiting: how many jobs did not run.
        rows: progress of every experiment.
        template: the Jinja2 template; ``report.css`` lies beside it.
    """
    loader = FileSystemLoader(template.parent)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    css = Markup(loader.get_source(environment, "report.css")[0])  # noqa: S704 our own file, not data
    page = environment.get_template(template.name).render(css=css, failed=failed, waiting=waiting, rows=rows)
    write_atomically(out, page)
    os.utime(out, (LONG_AGO, LONG_AGO))
