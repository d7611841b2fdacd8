"""Trivial predictors and trained networks: which cells are better, and sentences about those that are not."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from replication.statistics.cells import SETTING, display_scale, higher_is_better, records, summarise
from replication.statistics.numbers import percent_text

COLUMNS = ["dataset", "predictor", "metric", "value"]
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
    """Add the best trivial predictor of each data set to its runs, from tables of ``replication trivial``.

    Adds columns ``trivial`` (its name), ``trivial_score`` (in the runs' metric) and ``trivial_undiluted`` (over the
    predicted frames alone). They are missing if a data set has no trivial predictor for the metric.
    """
    frames = [table for table in trivial if len(table)]
    table = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=COLUMNS)
    undiluted = table.loc[table["metric"] == UNDILUTED_METRIC, ["dataset", "predictor", "value"]]
    keys = ["dataset", "metric"]
    best = runs[[*keys, "higher_is_better"]].drop_duplicates().merge(table.dropna(subset="value"), on=keys)
    best["error"] = best["value"].where(~best["higher_is_better"].astype(bool), -best["value"])
    best = best.sort_values(["error", "predictor"]).drop_duplicates(keys)
    best = best.merge(undiluted, on=["dataset", "predictor"], how="left", suffixes=("", "_undiluted"))
    found = runs[keys].merge(best, on=keys, how="left").set_axis(runs.index)
    return runs.assign(
        trivial=found["predictor"], trivial_score=found["value"], trivial_undiluted=found["value_undiluted"]
    )


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


def not_learned(runs: pd.DataFrame) -> pd.DataFrame:
    """Cells that have not learned (:data:`MARGIN`), among those with the most data of their model and data set.

    The error of an accuracy is its difference from 1. The predicted frames alone would give the same result, since the
    initial steps dilute both errors alike.

    Returns rows of :func:`against_trivial`; data sets without a trivial predictor have none.
    """
    cells = against_trivial(runs)
    largest = cells.groupby(["model", "dataset"])["ratio"].transform("max")
    facts = runs.groupby("dataset")[["family", "higher_is_better"]].first()
    perfect = facts["family"].map(display_scale) * higher_is_better(facts)
    wanted = cells["dataset"].map(perfect)
    shares = (wanted - cells["mean"]).abs() / (wanted - cells["trivial_score"]).abs()
    return cells[cells["ratio"].eq(largest) & cells["trivial_score"].notna() & ~(shares < 1 - MARGIN)]


def learned_lines(runs: pd.DataFrame, title: Callable[[str, str], str]) -> list[str]:
    """One line per cell that :func:`not_learned` finds, or one that says that all have learned; for ``title`` see
    :func:`sentences`.
    """
    lines = [
        f"{_name(line, title)}: {_score(line)} is not clearly better than {TITLES[line['trivial']]} "
        f"({line['trivial_score']:.3g})"
        for line in records(not_learned(runs))
    ]
    return lines or [
        f"at the largest data ratios, all errors are at least {MARGIN:.0%} smaller than the best trivial predictor's"
    ]


def sentences(cells: pd.DataFrame, title: Callable[[str, str], str]) -> list[str]:
    """One sentence per cell whose mean score is not better than the best trivial predictor.

    ``cells`` has the columns of :meth:`replication.statistics.artifact.Numbers.tidy`. ``title`` maps a kind (``model``,
    ``dataset``, ``method``) and an id to the title to show.
    """
    return [
        f"{_name(line, title)}: not better than {TITLES[line['trivial']]} "
        f"({_score(line)} against {line['trivial_score']:.3g})."
        for line in records(cells[~cells["beats_trivial"].astype(bool)])
    ]


def published_sentences(cells: pd.DataFrame, title: Callable[[str, str], str]) -> list[str]:
    """One sentence per published value that is not better than the best trivial predictor on our data.

    Errors are compared over the predicted frames alone, and only if ours count as many initial steps as the paper's.
    For the arguments see :func:`sentences`.
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
    return found


def _score(cell: Mapping[str, Any]) -> str:
    return "no finished run" if math.isnan(cell["mean"]) else f"{cell['mean']:.3g}"


def _name(cell: Mapping[str, Any], title: Callable[[str, str], str]) -> str:
    model, dataset, method = (title(kind, str(cell[kind])) for kind in ("model", "dataset", "method"))
    return f"{model} on {dataset} at {percent_text(cell['ratio'])}, {method}"
