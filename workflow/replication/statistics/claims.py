"""The paper's claims, tested on the cells of an artifact.

Four claims, each a question about gains over cells (docs/verdicts.md states the rule in words):

- ``better``: the second method of a pair scores better than the first ("TB helps").
- ``low_data``: that gain grows as the data shrink ("more so with less data").
- ``balances``: TB leaves a smaller standard deviation of alpha, the paper's (over the means of blocks for language,
  over layers for PDEs).
- ``imbalance``: without TB, that standard deviation grows as the data shrink.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from replication.statistics.cells import ENOUGH_SEEDS, SETTING, spread_of, values_of
from replication.statistics.paired import Pair, gains, paired_table, student

ALPHA = 0.05
#: From this many cells on a sign test can reach ALPHA (6 of 6: p = .031).
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
    """What the data say about one claim: an estimate, its interval, and one-sided p-values both ways.

    ``p_for`` is the p-value of the claim's direction, ``p_against`` of the opposite one. ``low``/``high`` are
    the 95 % Student interval of the mean over cells (the cells are its units), missing below two cells.
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
    """The evidence of an artifact's runs on a claim; None where no cell has enough common seeds."""
    return _TESTS[claim](runs, pair)


def _difference(runs: pd.DataFrame, pair: Pair, value: str | None) -> Evidence | None:
    table = paired_table(runs, [pair], value or spread_of(runs["family"].iloc[0]))
    table = table[table["n"] >= ENOUGH_SEEDS]
    if not len(table):
        return None
    mean = table["gain"].mean()
    low, high, _ = student(table["gain"])
    p_for, p_against, test = combine(table)
    unit = "points" if (table["unit"] == "points").all() else "%" if (table["unit"] == "%").all() else "mixed"
    return Evidence(
        len(table), int((table["gain"] > 0).sum()), int(table["n"].sum()), float(mean), unit,
        low, high, p_for, p_against, test,
    )  # fmt: skip


def combine(table: pd.DataFrame) -> tuple[float, float, str]:
    """One-sided p-values, for and against a positive gain, of all cells of a paired table.

    From six cells on: the sign test over cells (binomial, ties left out). Below: Stouffer's combination of the
    cells' one-sided paired t-tests.
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
    count = len(table)
    test = f"paired t-tests of {count} cells combined (Stouffer)" if count > 1 else "paired t-test of 1 cell"
    return float(p_for), float(p_against), test


def _trend(blocks: Sequence[pd.DataFrame], cells: int, unit: str) -> Evidence | None:
    """Evidence that ``value`` rises as the ratio falls, within blocks of one model, data set and seed each."""
    from scipy import stats

    p_for, p_against, correlations = [], [], []
    pairs = 0
    for block in blocks:
        # One row per seed, one column per ratio, largest first: the claim says that values grow along a row.
        wide = block.pivot_table(index="seed", columns="ratio", values="value").sort_index(axis=1, ascending=False)
        wide = _complete(wide)
        if len(wide) < ENOUGH_SEEDS or wide.shape[1] < MIN_RATIOS:
            continue
        pairs += wide.size
        data = wide.to_numpy()
        p_for.append(_page(data))
        p_against.append(_page(data[:, ::-1]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a constant row has no correlation
            # Page's statistic is the mean of the rows' rank correlations, so this is the estimate it tests.
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
        cells, sum(value < 0 for value in known), pairs, float(np.mean(known)), unit, low, high,
        combined[0], combined[1], f"Page's trend test of {len(known)} curve{'s' * (len(known) != 1)}, seeds as rows",
    )  # fmt: skip


def _complete(wide: pd.DataFrame) -> pd.DataFrame:
    """Drop the ratios that lack a seed; where fewer than three ratios would be left, drop the seeds instead."""
    ratios = wide.dropna(axis="columns")
    return ratios if ratios.shape[1] >= MIN_RATIOS else wide.dropna()


def _page(data: Any) -> float:
    from scipy import stats

    return float(stats.page_trend_test(data).pvalue)


def _gain_trend(runs: pd.DataFrame, pair: Pair) -> Evidence | None:
    frame = gains(runs, pair).assign(value=lambda table: table["gain"])
    blocks = [block for _, block in frame.groupby(["model", "dataset"])]
    return _trend(blocks, len(frame.drop_duplicates(SETTING)), "rank correlation of gain and ratio")


def _imbalance_trend(runs: pd.DataFrame, pair: Pair) -> Evidence | None:
    frame = runs.assign(value=values_of(runs, spread_of(runs["family"].iloc[0])))
    frame = frame[frame["method"] == pair[0]].dropna(subset=["value"])
    blocks = [block for _, block in frame.groupby(["model", "dataset"])]
    return _trend(blocks, len(frame.drop_duplicates(SETTING)), "rank correlation of STD(alpha) and ratio")


_TESTS: dict[str, Callable[[pd.DataFrame, Pair], Evidence | None]] = {
    "better": lambda runs, pair: _difference(runs, pair, "score"),
    "balances": lambda runs, pair: _difference(runs, pair, None),
    "low_data": _gain_trend,
    "imbalance": _imbalance_trend,
}
