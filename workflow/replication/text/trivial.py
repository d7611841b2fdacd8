"""The trivial predictor of a language task: the most frequent class of the training rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from replication.text.metrics import score
from replication.text.preparing import read_table
from replication.text.tasks import parse_task


def trivial_scores(data: Path, options: Mapping[str, Any]) -> list[tuple[str, str, float]]:
    """Scores of the majority class on the test rows of a prepared data set, with the metrics of its runs.

    Returns (predictor, metric, value); none for spans and regression, which have no classes.

    Raises DataError if a table is damaged.
    """
    task = parse_task(options)
    if task.kind in ("spans", "regression"):
        return []
    majority, _ = Counter(read_table(data, "train").column("label").to_pylist()).most_common(1)[0]
    test = read_table(data, "test")
    true = np.asarray(test.column("label").to_pylist())
    metadata = {} if task.group is None else {"group": test.column("group").to_pylist()}
    scores = score(task.metrics, np.full_like(true, majority), true, metadata)
    return [("majority", metric, value) for metric, value in scores.items()]
