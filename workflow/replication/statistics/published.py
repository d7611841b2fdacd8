"""The paper's numbers for our cells."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd

from replication.errors import DataError
from replication.statistics.cells import SETTING, read_table
from replication.statistics.paired import Pair

COLUMNS = ("artifact", "model", "dataset", "metric", "ratio", "method", "mean", "std", "source")
#: Data set -> error of the predicted frames over the published nRMSE. PDEBench's code also averages over the initial
#: steps, whose error is zero: 10 of the 21 frames of a flow (arXiv 2210.07182), and one of two for Darcy.
UNDILUTED = {"1dcfd": 21 / 11, "2dcfd": 21 / 11, "darcy": 2.0}
#: Artifacts whose nRMSE is not PDEBench's: DPOT's code averages over the predicted frames only.
NOT_DILUTED = ("table2",)
#: Names of the default TB in ablation tables, which name it by what they vary.
DEFAULT_TB = dict.fromkeys(("tb(metric=pl_alpha_hill)", "tb(schedule=sigmoid)", "tb(unit=block)"), "tb")


def read_published(path: Path | str) -> pd.DataFrame:
    """The table of published results. Raises DataError if it cannot be read or lacks a column."""
    table = read_table(path)
    if missing := [name for name in COLUMNS if name not in table]:
        raise DataError(f"{path}: column '{missing[0]}' is missing, so it is not the table of published results")
    return table


def join_published(runs: pd.DataFrame, published: pd.DataFrame, artifact: str | None) -> pd.DataFrame:
    """The published mean and standard deviation of each cell that has them.

    Cells are joined by artifact, model, data set, ratio and method, under their names in the paper.

    Returns columns ``model``, ``dataset``, ``ratio``, ``method``, ``published_mean``, ``published_sd`` (``ddof=0``),
    ``published_undiluted`` (the error of the predicted frames alone, missing for other metrics) and ``same_setting``
    (false if our cell is a stand-in for the paper's).
    """
    kinds = ("model", "dataset", "method")
    cells = runs.drop_duplicates([*SETTING, "method"])
    names = {f"published_{kind}": cells.get(f"published_{kind}", cells[kind]).fillna(cells[kind]) for kind in kinds}
    cells = cells[[*SETTING, "method", "stand_in"]].assign(**names, key=cells["ratio"].map(ratio_key))
    family = "sciml" if (runs["family"] == "sciml").all() else "nlp"
    rows = _rows_of(published, artifact, family)
    rows = rows.assign(key=rows["ratio"].map(ratio_key)).drop(columns="ratio")
    rows = rows.rename(columns={kind: f"published_{kind}" for kind in kinds} | {"std": "published_sd"})
    joined = cells.merge(rows, on=[*names, "key"]).rename(columns={"mean": "published_mean"})
    factors = {} if artifact in NOT_DILUTED else UNDILUTED
    factor = joined["published_dataset"].map(factors).where(joined["metric"] == "nrmse").astype(float)
    joined["published_undiluted"] = joined["published_mean"].astype(float) * factor
    joined["same_setting"] = joined["stand_in"] == ""
    return joined[[*SETTING, "method", "published_mean", "published_sd", "published_undiluted", "same_setting"]]


def _rows_of(published: pd.DataFrame, artifact: str | None, family: str) -> pd.DataFrame:
    """The published rows of an artifact, with our names of the methods."""
    # Table 2 fine-tunes operators, so it names the baseline "ft"; our name for it is always `baseline`.
    names = DEFAULT_TB | ({"ft": "baseline"} if family == "sciml" else {})
    return published[published["artifact"] == artifact].replace({"method": names})


def ratio_key(ratio: float) -> float:
    """A ratio to three significant figures, so that 0.1 from two files is the same number."""
    return 0.0 if not ratio or math.isnan(ratio) else float(f"{ratio:.3g}")


def published_gains(published: pd.DataFrame, artifact: str | None, pair: Pair, family: str) -> pd.DataFrame:
    """The paper's gain of one method over another, one row per setting, in the unit of our gains."""
    rows = _rows_of(published, artifact, family)
    wide = rows.pivot_table(index=SETTING, columns="method", values="mean", aggfunc="first")
    return gain_of(wide, pair, family).rename("gain").reset_index()


def gain_of(means: pd.DataFrame, pair: Pair, family: str) -> pd.Series:
    """Gain of the second method of a pair, from a table with one column of means per method."""
    if not set(pair) <= set(means.columns):
        return pd.Series(index=means.index[:0], dtype=float)
    base, other = means[pair[0]], means[pair[1]]
    return (other - base if family == "nlp" else 100 * (base - other) / base).dropna()
