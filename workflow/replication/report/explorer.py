"""Data for the report's explorer: each measure of each cell against the data ratio, with single seeds."""

from __future__ import annotations

from typing import Any

import pandas as pd

from replication.report.browser import short
from replication.statistics.cells import (
    ROLLOUT,
    each_once,
    predicted_frames_only,
    records,
    spread_of,
    summarise,
    values_of,
)
from replication.statistics.paired import MAIN_PAIRS
from replication.statistics.trivial import TITLES, against_trivial

SPREADS = {"alpha_std": "STD(alpha) over layers", "alpha_std_block": "STD(alpha) over blocks"}
BANDS = {
    f"test_selected_frmse_{band}": f"Fourier RMSE, {band} band ({wavenumbers})"
    for band, wavenumbers in (("low", "wavenumbers below 4"), ("mid", "4 to 11"), ("high", "from 12"))
}
#: Measure -> the columns with its trivial predictor, published value and published deviation.
BESIDE = {
    "score": ("trivial_score", "published", "published_sd"),
    ROLLOUT: ("trivial_undiluted", "published_undiluted", "no deviation"),
}


def explorer_data(runs: pd.DataFrame, measured: pd.DataFrame) -> list[dict[str, Any]]:
    """One entry per model and data set, in the units of the figures (language scores in per cent).

    If a model and data set have runs of the paper's methods, only these are shown. Published values come from
    ``measured`` (:func:`replication.statistics.overview.measured_table`).
    """
    return [_group(own, measured) for _, own in each_once(runs).groupby(["model", "dataset"], sort=False)]


def _group(runs: pd.DataFrame, measured: pd.DataFrame) -> dict[str, Any]:
    main = runs["method"].isin([method for pair in MAIN_PAIRS for method in pair])
    runs = runs[main] if main.any() else runs
    first = runs.iloc[0]
    own = measured[(measured["model"] == first["model"]) & (measured["dataset"] == first["dataset"])]
    own = own[(own["stand_in"] == "") & own["method"].isin(runs["method"])]
    measures = [_measure(runs, own, name, label) for name, label in _labels(runs).items()]
    return {
        **{name: first[name] for name in ("model", "dataset", "stand_in")},
        "measures": [measure for measure in measures if any(point["seeds"] for point in measure["points"])],
    }  # fmt: skip


def _labels(runs: pd.DataFrame) -> dict[str, str]:
    """Measure (a column of the runs) -> its label."""
    family, metric = runs[["family", "metric"]].iloc[0]
    if family == "nlp":
        scores = {"score": f"Test score: {metric.replace('_', ' ')}, %"}
    elif ROLLOUT in runs and not predicted_frames_only(runs).all():
        both = {"score": "nRMSE, diluted (initial steps too)", ROLLOUT: "nRMSE, undiluted (predicted frames only)"}
        scores = {**both, **BANDS}
    else:
        scores = {"score": "nRMSE", **BANDS}
    return {**scores, spread_of(family): SPREADS[spread_of(family)]}


def _measure(runs: pd.DataFrame, measured: pd.DataFrame, name: str, label: str) -> dict[str, Any]:
    values = runs.assign(value=values_of(runs, name)).dropna(subset=["value"])
    seeds = {
        key: [[int(line["seed"]), short(line["value"])] for line in records(own)]
        for key, own in values.groupby(["ratio", "method"])
    }
    points = [
        {
            "ratio": line["ratio"], "n": int(line["n_train"]), "method": line["method"],
            "mean": short(line["mean"]), "sd": short(line["sd"]), "diverged": line["diverged"],
            "seeds": seeds.get((line["ratio"], line["method"]), []),
        }
        for line in records(summarise(runs, name))
    ]  # fmt: skip
    measure: dict[str, Any] = {"name": name, "label": label, "points": points, "trivial": None, "published": []}
    if name in BESIDE:
        trivial, mean, deviation = BESIDE[name]
        best = against_trivial(runs).iloc[0]
        if not pd.isna(best[trivial]):
            measure["trivial"] = [TITLES[best["trivial"]], short(best[trivial])]
        # Tables of earlier versions lack the undiluted column.
        known = measured.reindex(columns=["ratio", "method", mean, deviation]).dropna(subset=[mean])
        measure["published"] = [
            [line["ratio"], line["method"], short(line[mean]), short(line[deviation])] for line in records(known)
        ]
    return measure
