"""The hyper-parameter search: choose one trial of a cell by the mean score over its seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from replication.errors import InputError

Record = dict[str, Any]
#: Split and weights whose score may choose a trial (``val.selected``: the best epoch on the validation set,
#: no look at the test set; ``test.paper``: the paper's protocol, the best epoch on the test set).
CHOSEN_ON = {"validation": ("val", "selected"), "test": ("test", "paper")}


def score(record: Record, split: str, weights: str) -> float:
    """A run's primary metric on a split with the ``selected``, ``final`` or ``paper`` weights; NaN where unmeasured."""
    value = ((record["metrics"].get(split) or {}).get(weights) or {}).get(record["primary"])
    return math.nan if value is None else float(value)


def trial_mean(records: Sequence[Record], select_on: str) -> float:
    """Mean score of a trial over its seeds; NaN where a seed diverged or has no such score."""
    split, weights = CHOSEN_ON[select_on]
    scores = [math.nan if record["status"] == "diverged" else score(record, split, weights) for record in records]
    return statistics.fmean(scores) if scores else math.nan


def best_trial(means: Mapping[int, float], higher_is_better: bool) -> int:
    """Number of the trial with the best mean, the first of equals; NaN only if all are NaN.

    Raises InputError where there is none.
    """
    if not means:
        raise InputError("a search without trials: nothing to choose from")
    finite = {trial: mean for trial, mean in means.items() if math.isfinite(mean)}
    if not finite:
        return next(iter(means))
    return (max if higher_is_better else min)(finite, key=lambda trial: finite[trial])
