"""The paper's claims, tested on the cells of an artifact.

There are four claims (docs/verdicts.md states the rule in words):

- ``better``: the second method of a pair scores better than the first ("TB helps").
- ``low_data``: that gain grows as the data shrink ("more so with less data").
- ``balances``: TB leaves a smaller STD of alpha (:func:`replication.statistics.cells.spread_of`).
- ``imbalance``: without TB, the STD of alpha grows as the data shrink.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd

from replication.statistics.cells import ENOUGH_SEEDS, SETTING, spread_of, values_of
from replication.statistics.numbers import count_text
from replication.statistics.paired import Pair, gains, paired_table, student

ALPHA = 0.05
#: With this many cells or more, the test is a sign test over cells.
SIGN_TEST_CELLS = 6
#: A trend needs this many ratios.
MIN_RATIOS = 3
TITLES = {
    "better": "{other} does better than {base}",
    "low_data": "the gain of {other} over {base} grows as the data shrink",
    "balances": "{other} leaves a smaller STD of alpha than {base}",
    "imbalance": "without balancing, the STD of alpha grows as the data shrink",
}


@dataclass(frozen=True)
class Evidence:
    """What the data say about one claim: an estimate, its interval, and one-sided p-values.

    ``p_for`` is the p-value for the claim, ``p_against`` for its opposite. ``low`` and ``high`` are Student's 95 %
    interval of the mean over cells, missing if there are fewer than two.
    """

    cells: int
    cells_for: int
    pairs: int
    estimate: float
    unit: str
    low: float
    high: float
    p_for: float
    p_against: float
    test: str


def collect(claim: str, runs: pd.DataFrame, pair: Pair) -> Evidence | None:
    """What the runs of one family say about a claim; None if no cell has enough common seeds."""
    spread = spread_of(runs["family"].iloc[0])
    if claim in ("better", "balances"):
        return _difference(runs, pair, "score" if claim == "better" else spread)
    if claim == "low_data":
        return _trend(gains(runs, pair).rename(columns={"gain": "value"}), "rank correlation of gain and ratio")
    base = runs[runs["method"] == pair[0]]
    base = base.assign(value=values_of(base, spread)).dropna(subset="value")
    return _trend(base, "rank correlation of STD(alpha) and ratio")


def _difference(runs: pd.DataFrame, pair: Pair, value: str) -> Evidence | None:
    table = paired_table(runs, [pair], value)
    table = table[table["n"] >= ENOUGH_SEEDS]
    if not len(table):
        return None
    low, high, _ = student(table["gain"])
    return Evidence(
        len(table), int((table["gain"] > 0).sum()), int(table["n"].sum()), float(table["gain"].mean()),
        table["unit"].iloc[0], low, high, *combine(table),
    )  # fmt: skip


def combine(table: pd.DataFrame) -> tuple[float, float, str]:
    """One-sided p-values for and against a positive gain over all cells of a paired table, and the name of the test.

    With six or more cells: the sign test over cells (binomial, without ties). With fewer: the one-sided paired t-tests
    of the cells, combined by Stouffer's method.
    """
    from scipy import stats

    signs = table.loc[table["gain"] != 0, "gain"] > 0
    if len(signs) >= SIGN_TEST_CELLS:
        wins = int(signs.sum())
        p_for = stats.binomtest(wins, len(signs), alternative="greater").pvalue
        p_against = stats.binomtest(wins, len(signs), alternative="less").pvalue
        return float(p_for), float(p_against), f"sign test over {len(signs)} cells"
    half = table["p_t"] / 2
    one_sided = half.where(table["gain"] > 0, 1 - half).fillna(0.5).clip(1e-12, 1 - 1e-12)
    p_for = stats.combine_pvalues(one_sided, method="stouffer").pvalue
    p_against = stats.combine_pvalues(1 - one_sided, method="stouffer").pvalue
    test = f"paired t-tests of {len(table)} cells combined (Stouffer)" if len(table) > 1 else "paired t-test of 1 cell"
    return float(p_for), float(p_against), test


def _trend(frame: pd.DataFrame, unit: str) -> Evidence | None:
    """Evidence that ``value`` rises as the ratio falls, within each model, data set and seed."""
    from scipy import stats

    p_for, p_against, correlations = [], [], []
    pairs = 0
    for _, curve in frame.groupby(["model", "dataset"]):
        # One row per seed, one column per ratio, largest first: the claim says that values grow along a row.
        wide = curve.pivot_table(index="seed", columns="ratio", values="value").sort_index(axis=1, ascending=False)
        # Drop the ratios that lack a seed; if that would leave fewer than three ratios, drop the seeds instead.
        ratios = wide.dropna(axis="columns")
        wide = ratios if ratios.shape[1] >= MIN_RATIOS else wide.dropna()
        if len(wide) < ENOUGH_SEEDS or wide.shape[1] < MIN_RATIOS:
            continue
        pairs += wide.size
        data = wide.to_numpy()
        p_for.append(stats.page_trend_test(data).pvalue)
        p_against.append(stats.page_trend_test(data[:, ::-1]).pvalue)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a constant row has no correlation
            # Page's statistic is the mean of the rows' rank correlations, so this is the estimate that it tests.
            seeds = [stats.spearmanr(-np.arange(data.shape[1]), row).statistic for row in data]
            correlations.append(float(np.nanmean(seeds)))
    known = [value for value in correlations if not np.isnan(value)]
    if not known:
        return None
    combined = [
        float(stats.combine_pvalues(np.clip(values, 1e-12, 1 - 1e-12), method="stouffer").pvalue)
        for values in (p_for, p_against)
    ]
    low, high, _ = student(pd.Series(known))
    return Evidence(
        len(frame.drop_duplicates(SETTING)), sum(value < 0 for value in known), pairs, float(np.mean(known)), unit,
        low, high, combined[0], combined[1], f"Page's trend test of {count_text(len(known), 'curve')}, seeds as rows",
    )  # fmt: skip
