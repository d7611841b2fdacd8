"""Paired comparison of two methods over seeds, cell by cell."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from replication.statistics.cells import ENOUGH_SEEDS, SETTING, each_once, higher_is_better, values_of

RESAMPLES = 9999
LEVEL = 0.95
Pair = tuple[str, str]


def present_pairs(pairs: Sequence[Pair], runs: pd.DataFrame) -> list[Pair]:
    """The pairs of which both methods have runs."""
    methods = set(runs["method"])
    return [pair for pair in pairs if set(pair) <= methods]


def by_pair(runs: pd.DataFrame, pairs: Sequence[Pair]) -> Iterator[tuple[str, Pair, pd.DataFrame]]:
    """For each family and each of its present pairs: (family, pair, the runs of the two methods, each once)."""
    for family, own in each_once(runs).groupby("family"):
        for pair in present_pairs(pairs, own):
            yield str(family), pair, own[own["method"].isin(pair)]


def unit_of(family: str, value: str = "score") -> str:
    """Unit of a gain: points for scores of language tasks, otherwise per cent of the baseline's value."""
    return "points" if family == "nlp" and value.startswith("score") else "%"


def gains(runs: pd.DataFrame, pair: Pair, value: str = "score") -> pd.DataFrame:
    """Gain of the second method over the first: one row per setting and seed that both methods finished.

    Positive is better. The gain is in points for language scores. Otherwise it is the reduction in per cent of the
    baseline's value, as in the paper's Figure 4.

    Returns columns ``family``, ``model``, ``dataset``, ``ratio``, ``seed``, ``n_train``, ``unit``, ``base``,
    ``other``, ``gain``.
    """
    frame = runs.assign(value=values_of(runs, value))[["family", *SETTING, "n_train", "method", "seed", "value"]]
    keys = ["family", *SETTING, "seed"]
    base = frame[frame["method"] == pair[0]].drop(columns="method").rename(columns={"value": "base"})
    other = frame[frame["method"] == pair[1]][[*keys, "value"]].rename(columns={"value": "other"})
    both = base.merge(other, on=keys).dropna(subset=["base", "other"])
    better = _better(runs, value)
    both["unit"] = [unit_of(family, value) for family in both["family"]]
    sign = both["family"].map(better) if len(both) else 1.0
    difference = sign * (both["other"] - both["base"])
    both["gain"] = difference.where(both["unit"] == "points", 100 * difference / both["base"].abs())
    return both.replace({"gain": {np.inf: np.nan, -np.inf: np.nan}}).dropna(subset=["gain"]).reset_index(drop=True)


def _better(runs: pd.DataFrame, value: str) -> dict[str, float]:
    """Family -> +1 if a higher value is better, otherwise -1."""
    if not value.startswith("score"):
        return {"nlp": -1.0, "sciml": -1.0}
    known = runs.dropna(subset=["higher_is_better"]).drop_duplicates("family")
    return dict(zip(known["family"], higher_is_better(known).map({True: 1.0, False: -1.0}), strict=True))


def paired_table(runs: pd.DataFrame, pairs: Sequence[Pair], value: str = "score") -> pd.DataFrame:
    """One row per pair of methods and setting: the mean gain with its intervals and tests.

    ``ci_low``, ``ci_high``: percentile bootstrap of the mean (scipy, fixed seed); ``t_low``, ``t_high``: Student's
    interval; ``p_t``: two-sided paired t-test; ``p_holm``: the same after Holm's correction over all rows;
    ``p_wilcoxon``: exact signed-rank test; ``effect``: Hedges' g of the pairs (pingouin). With fewer than three common
    seeds, there are only ``n`` and ``gain``.
    """
    rows: list[dict[str, Any]] = []
    for pair in pairs:
        for key, group in gains(runs, pair, value).groupby(["family", *SETTING, "unit"], sort=True):
            setting = dict(zip(["family", *SETTING, "unit"], key, strict=True))
            rows.append({
                "baseline": pair[0], "method": pair[1], **setting, "n_train": group["n_train"].iloc[0],
                **compare_pairs(group["base"].to_numpy(), group["other"].to_numpy(), group["gain"].to_numpy()),
            })  # fmt: skip
    table = pd.DataFrame(rows, columns=COLUMNS)
    table["p_holm"] = holm(table["p_t"]) if rows else []
    return table


COLUMNS = [
    "baseline", "method", "family", *SETTING, "unit", "n_train", "n", "gain", "gain_sd", "ci_low", "ci_high",
    "t_low", "t_high", "p_t", "p_wilcoxon", "effect",
]  # fmt: skip


def student(values: pd.Series | NDArray[np.floating]) -> tuple[float, float, float]:
    """Student's 95 % interval of a mean and its two-sided p-value against zero; NaN if the values do not vary."""
    from scipy import stats

    if len(values) < 2 or values.std() == 0:
        return float("nan"), float("nan"), float("nan")
    test = stats.ttest_1samp(values, 0.0)
    interval = test.confidence_interval(LEVEL)
    return float(interval.low), float(interval.high), float(test.pvalue)


def compare_pairs(
    base: NDArray[np.floating], other: NDArray[np.floating], gain: NDArray[np.floating]
) -> dict[str, float]:
    """Statistics of the pairs of one cell (:func:`paired_table`), from arrays ``[n]``, one entry per common seed."""
    n = len(gain)
    row: dict[str, float] = {"n": n, "gain": float(gain.mean())}
    if n < ENOUGH_SEEDS:
        return row
    from scipy import stats

    row["gain_sd"] = float(gain.std(ddof=1))
    if row["gain_sd"] == 0:
        # Without variation there is nothing to test, and the interval is the value itself.
        edges = dict.fromkeys(("ci_low", "ci_high", "t_low", "t_high"), row["gain"])
        return {**row, **edges, "p_t": float("nan"), "p_wilcoxon": float("nan"), "effect": float("nan")}
    boot = stats.bootstrap(
        (gain,), np.mean, confidence_level=LEVEL, n_resamples=RESAMPLES, method="percentile",
        rng=np.random.default_rng(0), vectorized=True,
    )  # fmt: skip
    t_low, t_high, p_t = student(gain)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ties in tiny samples
        signed_rank = stats.wilcoxon(gain)
    row.update(
        ci_low=float(boot.confidence_interval.low), ci_high=float(boot.confidence_interval.high),
        t_low=t_low, t_high=t_high, p_t=p_t, p_wilcoxon=float(signed_rank.pvalue), effect=_hedges(base, other, gain),
    )  # fmt: skip
    return row


def _hedges(base: NDArray[np.floating], other: NDArray[np.floating], gain: NDArray[np.floating]) -> float:
    from pingouin import compute_effsize

    if base.std() == 0 and other.std() == 0:
        return float("nan")
    size = abs(float(compute_effsize(other, base, paired=True, eftype="hedges")))
    return float(np.copysign(size, gain.mean()))


def holm(p_values: pd.Series) -> pd.Series:
    """Holm-corrected p-values (statsmodels); missing values stay missing and do not count."""
    from statsmodels.stats.multitest import multipletests

    known = p_values.dropna()
    corrected = pd.Series(float("nan"), index=p_values.index)
    if len(known):
        corrected[known.index] = multipletests(known, method="holm")[1]
    return corrected
