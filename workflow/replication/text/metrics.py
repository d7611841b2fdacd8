"""Metrics of the paper, as fractions of 1 (the paper prints percent)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

Array = np.ndarray
Metric = Callable[[Array, Array], float]


def _accuracy(predicted: Array, true: Array) -> float:
    return float(np.mean(predicted == true))


def _f1(predicted: Array, true: Array, average: str = "binary") -> float:
    from sklearn.metrics import f1_score  # takes seconds to import, and most commands score nothing

    return float(f1_score(true, predicted, average=average, zero_division=0.0))


def _matthews(predicted: Array, true: Array) -> float:
    from sklearn.metrics import matthews_corrcoef

    return float(matthews_corrcoef(true, predicted))


def _correlation(predicted: Array, true: Array, name: str) -> float:
    from scipy import stats

    if np.ptp(predicted) == 0 or np.ptp(true) == 0:
        return 0.0  # undefined for a constant
    return float(getattr(stats, name)(predicted, true).statistic)


_pearson, _spearman = partial(_correlation, name="pearsonr"), partial(_correlation, name="spearmanr")


def _mean(predicted: Array, true: Array, of: Sequence[Metric]) -> float:
    return sum(metric(predicted, true) for metric in of) / len(of)


def _group_mean(predicted: Array, true: Array, group: Sequence[str], of: Metric) -> float:
    names = np.asarray(group)
    return float(np.mean([of(predicted[names == name], true[names == name]) for name in np.unique(names)]))


#: Metrics of single rows, from predicted and true values.
ROW_METRICS: dict[str, Metric] = {
    "accuracy": _accuracy,
    "f1": _f1,  # F1 of class 1 (QQP, MRPC)
    "f1_macro": partial(_f1, average="macro"),  # unweighted mean over classes (SciCite, Hyperpartisan, SciERC)
    "f1_micro": partial(_f1, average="micro"),  # equals the accuracy if rows have one label (ChemProt, RCT)
    "accuracy_f1_mean": partial(_mean, of=(_accuracy, _f1)),
    "matthews": _matthews,  # CoLA; 0 if all predictions are the same class
    "pearson": _pearson,  # STS-B
    "spearman": _spearman,
    "pearson_spearman_mean": partial(_mean, of=(_pearson, _spearman)),
}
#: Metrics of groups of rows (MultiRC's questions).
GROUP_METRICS: dict[str, Callable[[Array, Array, Sequence[str]], float]] = {
    "group_f1": partial(_group_mean, of=_f1),  # mean over groups, as released; 0 for a group without positive rows
    "group_exact_match": partial(_group_mean, of=np.array_equal),  # fraction of groups with all rows correct
}
#: Metrics of predicted spans (:mod:`replication.text.spans`).
SPAN_METRICS = ("span_f1", "span_exact_match")


def known_metrics(kind: str, *, grouped: bool) -> list[str]:
    """Names of the metrics for a kind of task."""
    if kind == "spans":
        return list(SPAN_METRICS)
    if kind == "regression":
        return ["pearson_spearman_mean", "pearson", "spearman"]
    classes = [name for name in ROW_METRICS if "pearson" not in name and "spearman" not in name]
    return classes + (list(GROUP_METRICS) if grouped else [])


def score(names: Sequence[str], predicted: Array, true: Array, metadata: Mapping[str, Any]) -> dict[str, float]:
    """Metric -> value, for names of :data:`ROW_METRICS` and :data:`GROUP_METRICS`.

    ``predicted`` and ``true`` are class numbers or values ``[rows]``; ``metadata`` has a ``group`` per row for group
    metrics.
    """
    return {
        name: ROW_METRICS[name](predicted, true)
        if name in ROW_METRICS
        else GROUP_METRICS[name](predicted, true, metadata["group"])
        for name in names
    }
