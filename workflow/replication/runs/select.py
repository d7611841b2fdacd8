"""The hyper-parameter search: choose one trial of a cell by the mean score over its seeds."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from replication.settings.grid import Cell

Record = dict[str, Any]
#: Split and weights whose score may choose a trial (``val.selected``: the best epoch on the validation set,
#: no look at the test set; ``test.paper``: the paper's protocol, the best epoch on the test set).
CHOSEN_ON = {"validation": ("val", "selected"), "test": ("test", "paper")}


class Choice(NamedTuple):
    """The trials of a cell that are shown, and a row for each trial.

    Attributes:
        trial: position of the trial that the experiment's rule chooses.
        paper: position of the trial that the paper's protocol chooses.
        rows: all trials with their mean scores.
    """

    trial: int
    paper: int
    rows: list[dict[str, Any]]


def metrics_of(record: Record, split: str, weights: str) -> dict[str, float]:
    """A run's metrics on a split with the ``selected``, ``final`` or ``paper`` weights; empty where unmeasured."""
    return (record["metrics"].get(split) or {}).get(weights) or {}


def score(record: Record, split: str, weights: str) -> float:
    """The primary one of :func:`metrics_of`; NaN where unmeasured."""
    value = metrics_of(record, split, weights).get(record["primary"])
    return math.nan if value is None else float(value)


def choose(cell: Cell, records: Mapping[str, Record]) -> Choice:
    """Choose among the trials of a cell; ``records`` are path of a run -> its record."""
    higher = bool(records[cell.runs[0].path]["higher_is_better"])
    members = [[records[run.path] for run in trial.runs] for trial in cell.trials]
    means = {on: [_mean_score(group, *source) for group in members] for on, source in CHOSEN_ON.items()}
    best = {on: _best(means[on], higher) for on in CHOSEN_ON}
    rows = [
        {
            "model": cell.model, "dataset": cell.dataset, "ratio": cell.ratio, "method": cell.method,
            "trial": json.dumps(trial.values, sort_keys=True) if trial.values else "",
            "seeds": len(trial.runs), "select_on": cell.select_on,
            **{f"mean_{on}": means[on][number] for on in CHOSEN_ON},
            "chosen": number == best[cell.select_on], "chosen_paper": number == best["test"],
        }
        for number, trial in enumerate(cell.trials)
    ]  # fmt: skip
    # Without scores of the paper's protocol there is nothing to choose by it.
    has_paper = any(map(math.isfinite, means["test"]))
    return Choice(best[cell.select_on], best["test" if has_paper else cell.select_on], rows)


def _mean_score(records: Sequence[Record], split: str, weights: str) -> float:
    """Mean over seeds; NaN if a seed diverged or has no such score."""
    scores = [math.nan if record["status"] == "diverged" else score(record, split, weights) for record in records]
    return statistics.fmean(scores) if scores else math.nan


def _best(means: Sequence[float], higher_is_better: bool) -> int:
    """Position of the best mean, the first of equals. One that is not finite is the worst."""
    ranks = [(mean if higher_is_better else -mean) if math.isfinite(mean) else -math.inf for mean in means]
    return ranks.index(max(ranks))
