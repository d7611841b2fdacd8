"""The forest plot: TempBalance's gain in every cell, with its interval, grouped by model and data set."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from replication.figures.multiples import marks, no_cells
from replication.figures.style import BALANCED
from replication.statistics.cells import Line, records
from replication.statistics.numbers import count_text, number, percent_text

#: In inches: the width (chosen to fit a phone screen), the height of a row, and of everything else in a panel.
WIDTH = 3.8
ROW = 0.135
MARGINS = 0.62
#: Group names start this many points to the left of the axis, above the labels of their cells.
INDENT = 66
TITLES = {"nlp": "Language: gain in points", "sciml": "PDEs: error cut in %"}
#: Intervals longer than this many times the panel's median do not widen the axis; they end in an arrow.
WIDE = 4.0
#: Margin on both sides, as a share of the range shown.
MARGIN = 0.06
NOT_LEARNED = "0.6"
#: The box behind a text that covers lines.
WHITE = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}


def draw_forest(gains: pd.DataFrame) -> Figure:
    """One panel per family and one row per cell of :func:`replication.statistics.overview.gain_table`.

    A full marker is the paper's own setting, a hollow one a stand-in; grey: neither method beats the trivial
    predictors; a diamond: the published gain. Bars are bootstrap 95 % intervals over paired seeds.
    """
    if gains.empty:
        return no_cells(WIDTH, "no cell has runs of both methods")
    families = list(gains.groupby("family"))
    # The ratios are of the panels without their margins, so all rows are equally high.
    rows = [len(_rows(own)) for _, own in families]
    figure = Figure(figsize=(WIDTH, ROW * sum(rows) + MARGINS * len(rows) + 0.5), layout="constrained")
    axes = figure.subplots(len(rows), 1, squeeze=False, height_ratios=rows)[:, 0]
    for axis, (family, own) in zip(axes, families, strict=True):
        _draw_family(axis, own)
        axis.set_title(TITLES[str(family)], loc="left", fontweight="bold")
    stand_in, learned = gains["stand_in"] != "", gains["learned"].astype(bool)
    handles = marks([
        ((~stand_in & learned).any(), "the paper's setting", BALANCED.color, BALANCED.color, "o"),
        ((stand_in & learned).any(), "stand-in", BALANCED.color, "white", "o"),
        ((~learned).any(), "neither method beats the trivial predictors", NOT_LEARNED, "white", "o"),
        (gains["published"].notna().any(), "published gain", "0.25", "none", "D"),
    ], markersize=4)  # fmt: skip
    figure.legend(handles=handles, loc="outside lower center", ncols=2, columnspacing=1.2)
    return figure


def _rows(gains: pd.DataFrame) -> list[Line | str]:
    """The rows from top to bottom: each group's name, then its cells, largest ratio first."""
    found: list[Line | str] = []
    for (model, dataset), group in gains.groupby(["model_title", "dataset_title"], sort=False):
        found.append(f"{model}, {dataset}" + " (stand-in)" * bool((group["stand_in"] != "").any()))
        found += records(group.sort_values("ratio", ascending=False))
    return found


def _limits(gains: pd.DataFrame) -> tuple[float, float]:
    """Limits that include zero, every gain and published gain, and all but the very wide intervals of a family."""
    values = gains[["gain", "published", "ci_low", "ci_high"]].astype(float)
    lengths = values["ci_high"] - values["ci_low"]
    wide = lengths > WIDE * lengths.median()
    values.loc[wide, ["ci_low", "ci_high"]] = math.nan
    shown = [0.0, *values.stack().dropna()]
    low, high = min(shown), max(shown)
    room = MARGIN * (high - low) or 1.0
    return low - room, high + room


def _draw_family(axis: Axes, gains: pd.DataFrame) -> None:
    low, high = _limits(gains)
    axis.axvline(0, color="0.35", linewidth=0.7)
    labels = []
    for position, row in enumerate(_rows(gains)):
        if isinstance(row, str):
            labels.append("")
            axis.annotate(
                row, (0, position), xycoords=axis.get_yaxis_transform(), xytext=(-INDENT, 0), textcoords="offset points",
                va="center", fontweight="bold", bbox=WHITE, gid="group",
            )  # fmt: skip
        else:
            labels.append(f"{percent_text(row['ratio'])}, {count_text(int(row['n']), 'seed')}")
            _draw_cell(axis, position, row, (low, high))
    axis.set_yticks(range(len(labels)), labels)
    axis.set_ylim(len(labels) - 0.4, -0.6)
    axis.set_xlim(low, high)
    axis.spines["left"].set_visible(False)  # names of groups would cross it; zero is the line to look at
    axis.tick_params(axis="y", length=0, pad=5)
    axis.grid(visible=False, axis="y")
    axis.grid(visible=True, axis="x")
    axis.set_xlabel("worse  ←  TB  →  better", x=-low / (high - low))


def _draw_cell(axis: Axes, position: int, row: Line, limits: tuple[float, float]) -> None:
    color = BALANCED.color if row["learned"] else NOT_LEARNED
    low, high = row["ci_low"], row["ci_high"]
    if math.isfinite(low) and math.isfinite(high):
        axis.plot([max(low, limits[0]), min(high, limits[1])], [position] * 2, color=color, linewidth=1.1, gid="interval")
        if low < limits[0]:
            _arrow(axis, position, low, limits[0], "<", color)
        if high > limits[1]:
            _arrow(axis, position, high, limits[1], ">", color)
    axis.plot(
        row["gain"], position, marker=BALANCED.marker, color=color, linestyle="none",
        markerfacecolor="white" if row["stand_in"] else color, gid="gain",
    )  # fmt: skip
    if math.isfinite(row["published"]):
        axis.plot(row["published"], position, marker="D", color="0.25", markerfacecolor="none", markersize=4,
                  linestyle="none", gid="published")  # fmt: skip


def _arrow(axis: Axes, position: int, end: float, edge: float, marker: str, color: str) -> None:
    """Mark an interval that leaves the panel by an arrow at the edge, with the value at its end."""
    axis.plot(edge, position, marker=marker, color=color, markersize=4, clip_on=False, gid="arrow")
    axis.annotate(
        number(end, 1, signed=True), (edge, position), xytext=(-6 if marker == ">" else 6, 0), textcoords="offset points",
        ha="right" if marker == ">" else "left", va="center", color="0.3", bbox=WHITE,
    )  # fmt: skip
