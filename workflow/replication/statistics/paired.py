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
#: (reference method, method)
Pair = tuple[str, str]
#: The paper's comparison in each family.
MAIN_PAIRS: tuple[Pair, ...] = (("ft", "tb"), ("baseline", "tb"))
CELL = ["family", *SETTING, "unit"]
COLUMNS = [
    "baseline", "method", *CELL, "n_train", "n", "gain", "gain_sd", "ci_low", "ci_high", "t_low", "t_high", "p_t",
    "p_wilcoxon", "effect",
]  # fmt: skip


def present_pairs(pairs: Sequence[Pair], runs: pd.DataFrame) -> list[Pair]:
    """The pairs of which both methods have runs."""
    methods = set(runs["method"])
    return [pair for pair in pairs if set(pair) <= methods]


def by_pair(runs: pd.DataFrame) -> Iterator[tuple[str, Pair, pd.DataFrame]]:
    """For each family and present pair of :data:`MAIN_PAIRS`: (family, pair, the two methods' runs, each once)."""
    for family, own in each_once(runs).groupby("family"):
        for pair in present_pairs(MAIN_PAIRS, own):
            yield str(family), pair, own[own["method"].isin(pair)]


def gains(runs: pd.DataFrame, pair: Pair, value: str = "score") -> pd.DataFrame:
    """Gain of the second method over the first: one row per setting and seed that both methods finished.

    Positive is better. The gain is in points for language scores. Otherwise it is the reduction in per cent of the
    baseline's value, as in the paper's Figure 4.

    Returns columns ``family``, ``model``, ``dataset``, ``ratio``, ``n_train``, ``seed``, ``base``, ``other``, ``unit``
    and ``gain``.
    """
    is_score = value.startswith("score")
    sign = np.where(higher_is_better(runs), 1.0, -1.0) if is_score else -1.0
    frame = runs.assign(base=values_of(runs, value), sign=sign)
    keys = ["family", *SETTING, "seed"]
    base = frame.loc[frame["method"] == pair[0], ["family", *SETTING, "n_train", "seed", "base", "sign"]]
    other = frame.loc[frame["method"] == pair[1], [*keys, "base"]].rename(columns={"base": "other"})
    both = base.merge(other, on=keys)
    points = both["family"].eq("nlp") & is_score
    both["unit"] = np.where(points, "points", "%")
    difference = both.pop("sign") * (both["other"] - both["base"])
    both["gain"] = difference.where(points, 100 * difference / both["base"].abs())
    return both[np.isfinite(both["gain"])].reset_index(drop=True)


def paired_table(runs: pd.DataFrame, pairs: Sequence[Pair], value: str = "score") -> pd.DataFrame:
    """One row per pair of methods and setting: the mean gain with its intervals and tests.

    ``ci_low``, ``ci_high``: percentile bootstrap of the mean (scipy, fixed seed); ``t_low``, ``t_high``: Student's
    interval; ``p_t``: two-sided paired t-test; ``p_holm``: the same after Holm's correction over all rows;
    ``p_wilcoxon``: exact signed-rank test; ``effect``: Hedges' g of the pairs (pingouin). With fewer than three common
    seeds, there are only ``n`` and ``gain``.
    """
    rows: list[dict[str, Any]] = []
    for pair in pairs:
        for key, group in gains(runs, pair, value).groupby(CELL):
            rows.append({
                "baseline": pair[0], "method": pair[1], **dict(zip(CELL, key, strict=True)),
                "n_train": group["n_train"].iloc[0],
                **compare_pairs(group["base"].to_numpy(), group["other"].to_numpy(), group["gain"].to_numpy()),
            })  # fmt: skip
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.assign(p_holm=holm(table["p_t"]))


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
    row |= dict(zip(("ci_low", "ci_high"), map(float, boot.confidence_interval), strict=True))
    row |= dict(zip(("t_low", "t_high", "p_t"), student(gain), strict=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ties in tiny samples
        signed_rank = stats.wilcoxon(gain)
    return {**row, "p_wilcoxon": float(signed_rank.pvalue), "effect": _hedges(base, other, gain)}


def _hedges(base: NDArray[np.floating], other: NDArray[np.floating], gain: NDArray[np.floating]) -> float:
    from pingouin import compute_effsize

    if base.std() == 0 and other.std() == 0:
        return float("nan")
    size = compute_effsize(other, base, paired=True, eftype="hedges")
    return float(np.copysign(size, gain.mean()))


def holm(p_values: pd.Series) -> pd.Series:
    """Holm-corrected p-values (statsmodels); missing values stay missing and do not count."""
    from statsmodels.stats.multitest import multipletests

    known = p_values.dropna()
    corrected = multipletests(known, method="holm")[1] if len(known) else []
    return pd.Series(corrected, index=known.index, dtype=float).reindex(p_values.index)
