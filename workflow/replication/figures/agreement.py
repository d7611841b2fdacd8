"""Published against measured values: one panel per family, one point per cell and method."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from replication.figures.multiples import marks, no_cells
from replication.figures.style import BALANCED, BASELINE, COLUMN, PAGE
from replication.statistics.cells import records

TITLES = {"nlp": "Language: score in %", "sciml": "PDEs: nRMSE"}
HEIGHT = 3.1
#: Margin around the points, as a share of their range.
MARGIN = 0.08
#: The axes are logarithmic if the largest error is at least this many times the smallest.
DECADES = 20.0


def draw_agreement(measured: pd.DataFrame) -> Figure:
    """The cells of :func:`replication.statistics.overview.measured_table`; on the diagonal, they agree with the paper.

    A full marker is the paper's own setting, a hollow one a stand-in; grey: not better than the trivial predictors.
    Bars are one standard deviation over seeds (ddof 0, the paper's convention).
    """
    if measured.empty:
        return no_cells(COLUMN, "no cell has a published value")
    families = list(measured.groupby("family"))
    figure = Figure(figsize=(PAGE if len(families) > 1 else COLUMN, HEIGHT), layout="constrained")
    axes = figure.subplots(1, len(families), squeeze=False)[0]
    for axis, (family, own) in zip(axes, families, strict=True):
        _draw_family(axis, own)
        axis.set_title(TITLES[str(family)], loc="left", fontweight="bold")
    base, beats = measured["base"].astype(bool), measured["beats_trivial"].astype(bool)
    handles = marks([
        (base.any(), "baseline", BASELINE.color, BASELINE.color, BASELINE.marker),
        ((~base).any(), "TB", BALANCED.color, BALANCED.color, BALANCED.marker),
        ((measured["stand_in"] != "").any(), "stand-in", "0.2", "white", "o"),
        ((~beats).any(), "no better than trivial", "0.6", "0.6", "o"),
    ])  # fmt: skip
    handles.append(Line2D([], [], color="0.6", linewidth=0.8, label="equal"))
    columns = 5 if len(families) > 1 else 2
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, columnspacing=1.5)
    return figure


def _draw_family(axis: Axes, rows: pd.DataFrame) -> None:
    values = rows[["mean", "published"]].to_numpy(float)
    low, high = float(values.min()), float(values.max())
    if low > 0 and high / low > DECADES:
        axis.set(xscale="log", yscale="log")
        ends = np.array([low / 1.3, high * 1.3])
    else:
        low, high = _with_bars(rows, low, high)
        room = MARGIN * (high - low) or 1.0
        ends = np.array([low - room, high + room])
        for side in (axis.xaxis, axis.yaxis):
            side.set_major_locator(MaxNLocator(5))
    axis.plot(ends, ends, color="0.6", linewidth=0.8, gid="diagonal")
    for row in records(rows):
        look = BASELINE if row["base"] else BALANCED
        color = look.color if row["beats_trivial"] else "0.6"
        axis.errorbar(
            row["published"], row["mean"], xerr=_bar(row["published_sd"]), yerr=_bar(row["sd"]), color=color,
            marker=look.marker, markerfacecolor="white" if row["stand_in"] else color, linestyle="none",
            elinewidth=0.6, gid="cell",
        )  # fmt: skip
    # A square panel with a corner-to-corner diagonal is the easiest to read.
    axis.set(xlim=ends, ylim=ends, xlabel="published", ylabel="measured", box_aspect=1)
    axis.grid(visible=True)


def _with_bars(rows: pd.DataFrame, low: float, high: float) -> tuple[float, float]:
    """The range of the points, widened for bars on either side by at most its own width; longer bars leave the panel."""
    ends = [
        rows[value] + sign * rows[deviation].fillna(0.0)
        for value, deviation in (("mean", "sd"), ("published", "published_sd"))
        for sign in (-1, 1)
    ]
    lowest, highest = min(end.min() for end in ends), max(end.max() for end in ends)
    return max(float(lowest), 2 * low - high), min(float(highest), 2 * high - low)


def _bar(deviation: float) -> float | None:
    return deviation if deviation > 0 else None
