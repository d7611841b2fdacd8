"""The gain of a family in one row: mixed model, interquartile mean, and a result (docs/verdicts.md)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from replication.settings.artifacts import Artifact
from replication.statistics.cells import ENOUGH_SEEDS, SETTING, stand_ins
from replication.statistics.mixed import Coefficient, fit_gains
from replication.statistics.paired import LEVEL, RESAMPLES, Pair, by_pair, gains
from replication.statistics.published import published_gains
from replication.statistics.trivial import learned

GAIN, LOSS, NO_DIFFERENCE, UNDECIDED = "gain", "loss", "no difference", "undecided"
#: Two one-sided tests at level .05 are equivalent to a 90 % interval.
EQUIVALENCE_LEVEL = 0.90
COLUMNS = [
    "family", "baseline", "method", "unit", "cells", "left_out", "pairs", "result", "mean", "low", "high", "df",
    "smallest", "equivalence_low", "equivalence_high", "trend", "trend_low", "trend_high", "trend_result",
    "iqm", "iqm_low", "iqm_high", "random", "stand_in",
]  # fmt: skip


def decide(mean: Coefficient, smallest: float) -> str:
    """The result for the mixed model's mean gain: gain, loss, no difference or undecided.

    ``smallest`` is the smallest gain of interest in the same unit; NaN if the paper has no gain.
    """
    low, high = mean.interval(LEVEL)
    if low > 0 or high < 0:
        return GAIN if low > 0 else LOSS
    return NO_DIFFERENCE if equivalent(mean, smallest) else UNDECIDED


def equivalent(mean: Coefficient, smallest: float) -> bool:
    """Whether two one-sided tests show that the mean gain is closer to zero than the smallest gain of interest."""
    low, high = mean.interval(EQUIVALENCE_LEVEL)
    return bool(-smallest < low and high < smallest)


def interquartile_mean(cells: Sequence[NDArray[np.floating]]) -> tuple[float, float, float]:
    """Interquartile mean of the gains of all cells (each ``[seeds]``), and its 95 % interval by a stratified bootstrap.

    As in Agarwal et al. (NeurIPS 2021, rliable), seeds are resampled within each cell (9,999 times, fixed seed). The
    cells stay the same, so the interval is about these cells only.
    """
    from scipy import stats

    rng = np.random.default_rng(0)
    drawn = [cell[rng.integers(len(cell), size=(RESAMPLES, len(cell)))] for cell in cells]
    means = stats.trim_mean(np.concatenate(drawn, axis=1), 0.25, axis=1)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(stats.trim_mean(np.concatenate(list(cells)), 0.25)), float(low), float(high)


def smallest_gain(published: pd.DataFrame, artifacts: Sequence[Artifact], pair: Pair, family: str) -> float:
    """Half of the paper's mean gain over all its settings in the artifacts of a family; NaN if it has none."""
    names = dict.fromkeys(one.published for one in artifacts if one.family == family and "better" in one.claims)
    tables = [published_gains(published, name, pair, family) for name in names]
    return abs(float(pd.concat(tables).drop_duplicates(SETTING)["gain"].mean())) / 2 if tables else math.nan


def estimate_table(runs: pd.DataFrame, published: pd.DataFrame, artifacts: Sequence[Artifact]) -> pd.DataFrame:
    """One row per family and pair of methods, over every cell that counts, each once; columns :data:`COLUMNS`.

    As for the verdicts, a cell counts if it has three common seeds, and one method beats the trivial predictors.
    """
    rows = [
        {"family": family, **_row(used, pair, smallest_gain(published, artifacts, pair, family))}
        for family, pair, used in by_pair(runs)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(runs: pd.DataFrame, pair: Pair, smallest: float) -> dict[str, Any]:
    found = gains(runs, pair)
    counted = gains(runs[learned(runs)], pair)
    counted = counted[counted.groupby(SETTING)["seed"].transform("count") >= ENOUGH_SEEDS]
    cells = [group["gain"].to_numpy() for _, group in counted.groupby(SETTING)]
    row: dict[str, Any] = {
        "baseline": pair[0], "method": pair[1], "cells": len(cells), "pairs": len(counted), "smallest": smallest,
        "left_out": len(found.drop_duplicates(SETTING)) - len(cells), "result": UNDECIDED,
        "unit": "; ".join(found["unit"].unique()), "stand_in": "; ".join(stand_ins(runs)),
    }  # fmt: skip
    fit = fit_gains(counted) if cells else None
    if fit is None:
        return row
    row |= {"result": decide(fit.mean, smallest), "random": ", ".join(fit.random)}
    row |= {"mean": fit.mean.estimate, "df": fit.mean.df}
    row["low"], row["high"] = fit.mean.interval(LEVEL)
    row["equivalence_low"], row["equivalence_high"] = fit.mean.interval(EQUIVALENCE_LEVEL)
    row["iqm"], row["iqm_low"], row["iqm_high"] = interquartile_mean(cells)
    if fit.trend is not None:
        low, high = fit.trend.interval(LEVEL)
        result = "grows" if low > 0 else "shrinks" if high < 0 else UNDECIDED
        row |= {"trend": fit.trend.estimate, "trend_low": low, "trend_high": high, "trend_result": result}
    return row
