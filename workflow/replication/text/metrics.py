"""Metrics of the paper, as fractions of 1 (the paper prints percent)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Array = np.ndarray


def accuracy(predicted: Array, true: Array) -> float:
    """Share of rows predicted right."""
    return float(np.mean(predicted == true))


def f1(predicted: Array, true: Array) -> float:
    """F1 of class 1 (QQP, MRPC)."""
    from sklearn.metrics import f1_score

    return float(f1_score(true, predicted, pos_label=1, zero_division=0.0))


def f1_macro(predicted: Array, true: Array) -> float:
    """Unweighted mean of the classes' F1 (SciCite, Hyperpartisan, SciERC)."""
    from sklearn.metrics import f1_score

    return float(f1_score(true, predicted, average="macro", zero_division=0.0))


def f1_micro(predicted: Array, true: Array) -> float:
    """Micro F1 (ChemProt, RCT); with one label a row it equals the accuracy."""
    from sklearn.metrics import f1_score

    return float(f1_score(true, predicted, average="micro", zero_division=0.0))


def accuracy_f1_mean(predicted: Array, true: Array) -> float:
    """Mean of accuracy and F1 (QQP, MRPC)."""
    return (accuracy(predicted, true) + f1(predicted, true)) / 2


def matthews(predicted: Array, true: Array) -> float:
    """Matthews correlation (CoLA); 0 where all predictions are one class."""
    from sklearn.metrics import matthews_corrcoef

    return float(matthews_corrcoef(true, predicted))


def _correlation(name: str, predicted: Array, true: Array) -> float:
    from scipy import stats

    if np.ptp(predicted) == 0 or np.ptp(true) == 0:
        return 0.0  # undefined for a constant; 0 says "no relation found"
    return float(getattr(stats, name)(predicted, true).statistic)


def pearson(predicted: Array, true: Array) -> float:
    """Pearson correlation (STS-B)."""
    return _correlation("pearsonr", predicted, true)


def spearman(predicted: Array, true: Array) -> float:
    """Spearman rank correlation (STS-B)."""
    return _correlation("spearmanr", predicted, true)


def pearson_spearman_mean(predicted: Array, true: Array) -> float:
    """Mean of Pearson and Spearman (STS-B)."""
    return (pearson(predicted, true) + spearman(predicted, true)) / 2


def group_exact_match(predicted: Array, true: Array, group: Sequence[str]) -> float:
    """Share of groups (MultiRC questions) whose rows are all right."""
    right: dict[str, bool] = {}
    for name, good in zip(group, predicted == true, strict=True):
        right[name] = right.get(name, True) and bool(good)
    return float(np.mean(list(right.values())))


def group_f1(predicted: Array, true: Array, group: Sequence[str]) -> float:
    """Mean over groups (MultiRC questions) of the F1 of each, as released; 0 for a group without right answers."""
    names, members = np.unique(np.asarray(group), return_inverse=True)
    return float(np.mean([f1(predicted[members == n], true[members == n]) for n in range(len(names))]))


#: Metrics over predicted and true values of single rows.
ROW_METRICS: dict[str, Callable[[Array, Array], float]] = {
    function.__name__: function
    for function in (
        accuracy, f1, f1_macro, f1_micro, accuracy_f1_mean, matthews, pearson, spearman,
        pearson_spearman_mean,
    )
}  # fmt: skip
#: Metrics that also need the group of each row.
GROUP_METRICS: dict[str, Callable[[Array, Array, Sequence[str]], float]] = {
    function.__name__: function for function in (group_f1, group_exact_match)
}
#: Metrics of predicted spans, see :mod:`replication.text.spans`.
SPAN_METRICS = ("span_f1", "span_exact_match")


def known_metrics(kind: str, *, grouped: bool) -> list[str]:
    """Names of the metrics that a kind of task may ask for."""
    if kind == "spans":
        return list(SPAN_METRICS)
    if kind == "regression":
        return ["pearson_spearman_mean", "pearson", "spearman"]
    classes = [name for name in ROW_METRICS if "pearson" not in name and "spearman" not in name]
    return classes + (list(GROUP_METRICS) if grouped else [])


def score(names: Sequence[str], predicted: Array, true: Array, metadata: Mapping[str, Any]) -> dict[str, float]:
    """The named metrics.

    Args:
        names: of :data:`ROW_METRICS` and :data:`GROUP_METRICS`.
        predicted: [rows] class numbers or values.
        true: [rows] the same of the data.
        metadata: ``group`` (a name a row) where a group metric is asked.
    """
    return {
        name: ROW_METRICS[name](predicted, true)
        if name in ROW_METRICS
        else GROUP_METRICS[name](predicted, true, metadata["group"])
        for name in names
    }
