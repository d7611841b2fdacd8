"""The trivial predictor of a language task: the most frequent class of the training rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import mode
from typing import Any

import numpy as np

from replication.text.metrics import score
from replication.text.preparing import read_table
from replication.text.tasks import parse_task


def trivial_scores(data: Path, options: Mapping[str, Any]) -> list[tuple[str, str, float]]:
    """(predictor, metric, value) of the majority class on the test rows of a prepared data set.

    There are none for spans and regression, which have no classes. Raises DataError if a table is damaged.
    """
    task = parse_task(options)
    if task.kind in ("spans", "regression"):
        return []
    train, test = (read_table(data, split).to_pydict() for split in ("train", "test"))
    true = np.asarray(test["label"])
    scores = score(task.metrics, np.full_like(true, mode(train["label"])), true, test)
    return [("majority", metric, value) for metric, value in scores.items()]
