"""The three kinds of figures over the data ratio that language and PDE artifacts share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tempbalance.analysis.paired import unit_of
from tempbalance.plots.data import FigureData
from tempbalance.plots.panels import (
    curve,
    gain_panel,
    label_ratio_axes,
    legend,
    marked,
    metric_label,
    pair_panels,
    panel_grid,
    panel_title,
    ratio_axis,
    stand_in_label,
)
from tempbalance.plots.style import BASELINE, styled

STD_LABEL = "STD of alpha over layers"
COLUMNS = 3


def score_figure(data: FigureData, style: Mapping[str, Any], gain_title: str) -> Figure:
    """Scores of both methods against the ratio, a panel a model and data set, and a panel of TB's gains."""
    with styled(style):
        figure, axes = panel_grid(len(data.groups) + 1, columns=COLUMNS)
        published = pair_panels(axes[:-1], data, "score")
        unit = unit_of(str(data.runs["family"].iloc[0]))
        gain_panel(axes[-1], data, "score", gain_title, "Gain (points)" if unit == "points" else "Error reduction (%)")
        legend(figure, data, marked(data), published=published)
        label_ratio_axes(figure)
        stand_in_label(figure, data)
    return figure


def balance_figure(data: FigureData, style: Mapping[str, Any]) -> Figure:
    """STD of alpha of both methods against the ratio, before training dotted, and a panel of its reductions."""
    with styled(style):
        figure, axes = panel_grid(len(data.groups) + 1, columns=COLUMNS)
        pair_panels(axes[:-1], data, "alpha_std", STD_LABEL)
        before = [
            _before_training(axis, data, model, dataset)
            for axis, (model, dataset) in zip(axes, data.groups, strict=False)
        ]
        gain_panel(axes[-1], data, "alpha_std", "Reduction by TB", "Reduction of STD (%)")
        extra = [Line2D([], [], color="#888888", linestyle=":", label="before training")] if any(before) else []
        legend(figure, data, marked(data), published=False, extra=extra)
        label_ratio_axes(figure)
        stand_in_label(figure, data)
    return figure


def _before_training(axis: Any, data: FigureData, model: str, dataset: str) -> bool:
    """A dotted line at the mean STD of alpha before the first update, from the rows of epoch 0."""
    initial = initial_std(data.spectra, data.layers, model, dataset)
    if initial is not None:
        axis.axhline(initial, color="#888888", linestyle=":", linewidth=0.9, zorder=1, gid="before")
    return initial is not None


def initial_std(spectra: pd.DataFrame, layers: pd.DataFrame, model: str, dataset: str) -> float | None:
    """STD of alpha over layers at epoch 0, mean over runs; over the layers whose final exponents count.

    None where there are no rows of epoch 0.
    """
    if not len(spectra) or not len(layers):
        return None
    own = spectra[(spectra["model"] == model) & (spectra["dataset"] == dataset) & (spectra["epoch"] == 0)]
    final = layers[(layers["model"] == model) & (layers["dataset"] == dataset)]
    counted = set(final.dropna(subset=["alpha"])["layer"])
    own = own[own["layer"].isin(counted)]
    deviations = own.groupby(["ratio", "method", "seed"])["alpha"].std(ddof=0).dropna()
    return float(deviations.mean()) if len(deviations) else None


def imbalance_figure(data: FigureData, style: Mapping[str, Any]) -> Figure:
    """The baseline's score (upper row) and STD of alpha (lower row) against the ratio, a column a panel group."""
    with styled(style):
        groups = data.groups
        figure = Figure(figsize=(min(6.3, 1.2 + 2.4 * len(groups)), 3.6), layout="constrained")
        axes = figure.subplots(2, len(groups), squeeze=False, sharex="col")
        method = data.pair[0]
        for column, (model, dataset) in enumerate(groups):
            runs = data.of(model, dataset)
            for row, (value, label) in enumerate((("score", metric_label(runs)), ("alpha_std", STD_LABEL))):
                axis = axes[row][column]
                curve(axis, runs, method, BASELINE, value, 1.0)
                ratio_axis(axis, runs)
                if column == 0 or value == "score":
                    axis.set_ylabel(label)
            axes[0][column].set_title(panel_title(data, model, dataset))
        legend(figure, data, [(method, BASELINE, 1.0)], published=False)
        label_ratio_axes(figure)
        stand_in_label(figure, data)
    return figure
