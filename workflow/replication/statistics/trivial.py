"""Trivial predictors and trained networks: which cells are better, and sentences about those that are not."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from replication.statistics.cells import SETTING, display_scale, higher_is_better, records, summarise
from replication.statistics.numbers import percent_text

COLUMNS = ("dataset", "predictor", "metric", "value")
#: A cell has learned if its error is smaller than the best trivial predictor's by at least this fraction.
MARGIN = 0.1
#: The nRMSE over predicted frames alone; PDEBench's is over all frames.
UNDILUTED_METRIC = "nrmse_rollout"
TITLES = {
    "zero": "predicting zero",
    "persistence": "persistence",
    "training_mean": "the mean of the training targets",
    "extrapolation": "linear extrapolation",
    "majority": "the majority class",
}


def join_trivial(runs: pd.DataFrame, trivial: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Add the best trivial predictor of each data set to its runs.

    Args:
        runs: tidy table of runs.
        trivial: tables of ``replication trivial``, columns :data:`COLUMNS`.

    Adds columns ``trivial`` (its name), ``trivial_score`` (in the runs' metric) and ``trivial_undiluted`` (over the
    predicted frames alone). They are missing if a data set has no trivial predictor for the metric.
    """
    frames = [table for table in trivial if len(table)]
    table = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(COLUMNS))
    wide = table.pivot_table(index=["dataset", "predictor"], columns="metric", values="value", aggfunc="first")
    found: dict[tuple[str, str], tuple[Any, ...]] = {}
    for line in records(runs[["dataset", "metric", "higher_is_better"]].drop_duplicates()):
        dataset, metric = line["dataset"], line["metric"]
        if metric not in wide or dataset not in wide.index.get_level_values("dataset"):
            continue
        own = wide.loc[dataset].dropna(subset=[metric])
        if own.empty:
            continue
        name = own[metric].idxmax() if line["higher_is_better"] else own[metric].idxmin()
        undiluted = own[UNDILUTED_METRIC][name] if UNDILUTED_METRIC in own else math.nan
        found[dataset, metric] = (name, own[metric][name], undiluted)
    values = [found.get(key, (None, math.nan, math.nan)) for key in zip(runs["dataset"], runs["metric"], strict=True)]
    names = ("trivial", "trivial_score", "trivial_undiluted")
    return runs.assign(**dict(zip(names, map(list, zip(*values, strict=True)), strict=True)))


def against_trivial(runs: pd.DataFrame) -> pd.DataFrame:
    """Compare the mean score of every cell with the best trivial predictor of its data set, in the paper's unit.

    Returns the columns of the cell, ``mean``, ``trivial``, ``trivial_score``, ``trivial_undiluted`` and
    ``beats_trivial``: whether the mean is better (True without a trivial predictor, False if every run diverged).
    """
    cells = summarise(runs)[["family", *SETTING, "method", "mean"]]
    columns = ["trivial", "trivial_score", "trivial_undiluted"]
    known = runs.reindex(columns=["dataset", *columns, "higher_is_better"]).drop_duplicates("dataset")
    cells = cells.merge(known, on="dataset", how="left")
    for name in columns[1:]:
        cells[name] = cells[name].astype(float) * cells["family"].map(display_scale)
    sign = higher_is_better(cells).map({True: 1, False: -1})
    cells["beats_trivial"] = cells["trivial_score"].isna() | (sign * (cells["mean"] - cells["trivial_score"]) > 0)
    return cells.drop(columns=["family", "higher_is_better"])


def learned(runs: pd.DataFrame) -> pd.Series:
    """For each run: whether any method beats the trivial predictors in its setting (model, data set, ratio).

    A setting in which none does supports no claim (docs/verdicts.md).
    """
    good = against_trivial(runs).groupby(SETTING)["beats_trivial"].any()
    settings = pd.MultiIndex.from_frame(runs[SETTING])
    return pd.Series(good.reindex(settings).to_numpy(dtype=bool), index=runs.index)


def not_learned(runs: pd.DataFrame, margin: float = MARGIN) -> pd.DataFrame:
    """Cells that have not learned, among those with the most data of their model and data set.

    A cell has learned if its error is below ``1 - margin`` times the best trivial predictor's. The error of an accuracy
    is its difference from 1. Predicted frames alone give the same ratio, as the initial steps dilute both errors alike.

    Returns rows of :func:`against_trivial`; data sets without a trivial predictor have none.
    """
    cells = against_trivial(runs)
    largest = cells.groupby(["model", "dataset"])["ratio"].transform("max")
    facts = runs.groupby("dataset")[["family", "higher_is_better"]].first()
    perfect = facts["family"].map(display_scale) * higher_is_better(facts)
    wanted = cells["dataset"].map(perfect)
    shares = (wanted - cells["mean"]).abs() / (wanted - cells["trivial_score"]).abs()
    return cells[cells["ratio"].eq(largest) & cells["trivial_score"].notna() & ~(shares < 1 - margin)]


def learned_lines(runs: pd.DataFrame, title: Callable[[str, str], str]) -> list[str]:
    """One line per cell that :func:`not_learned` finds, or one line that says that all have learned.

    ``title`` is as in :func:`sentences`.
    """
    lines = [
        f"{_name(line, title)}: {_score(line)} is not clearly better than {TITLES[line['trivial']]} ("
        f"{line['trivial_score']:.3g})"
        for line in records(not_learned(runs))
    ]
    return lines or [
        f"at the largest data ratios, all errors are at least {MARGIN:.0%} smaller than the best trivial predictor's"
    ]


def sentences(cells: pd.DataFrame, title: Callable[[str, str], str]) -> list[str]:
    """One sentence per cell whose mean score is not better than the best trivial predictor.

    Args:
        cells: columns as :meth:`replication.statistics.artifact.Numbers.tidy` has them.
        title: kind (``model``, ``dataset``, ``method``) and id -> the title to show.
    """
    found = [
        f"{_name(line, title)}: not better than {TITLES[line['trivial']]} ({_score(line)} against "
        f"{line['trivial_score']:.3g})."
        for line in records(cells[~cells["beats_trivial"].astype(bool)])
    ]
    return list(dict.fromkeys(found))


def published_sentences(cells: pd.DataFrame, title: Callable[[str, str], str]) -> list[str]:
    """One sentence per published value that is not better than the best trivial predictor on our data.

    Errors are compared over predicted frames alone, and only if ours count as many initial steps as the paper's. The
    arguments are as in :func:`sentences`.
    """
    found = []
    for line in records(cells.dropna(subset=["published_mean", "trivial_score"])):
        value, trivial, error = line["published_mean"], line["trivial_score"], line["family"] == "sciml"
        if error:
            value, trivial = line["published_undiluted"], line["trivial_undiluted"]
            same = math.isclose(trivial / line["trivial_score"], value / line["published_mean"], rel_tol=1e-3)
            if not same and trivial != line["trivial_score"]:
                continue
        if value >= trivial if error else value <= trivial:
            found.append(
                f"Published {_name(line, title)}: not better than {TITLES[line['trivial']]} on our data "
                f"({value:.3g} against {trivial:.3g}{', predicted frames only' * error})."
            )
    return list(dict.fromkeys(found))


def _score(cell: Mapping[str, Any]) -> str:
    return "no finished run" if math.isnan(cell["mean"]) else f"{cell['mean']:.3g}"


def _name(cell: Mapping[str, Any], title: Callable[[str, str], str]) -> str:
    model, dataset, method = (title(kind, str(cell[kind])) for kind in ("model", "dataset", "method"))
    return f"{model} on {dataset} at {percent_text(cell['ratio'])}, {method}"
