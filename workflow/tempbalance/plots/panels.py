"""Parts that figures share: panels over the data ratio, marks, gains, and the stand-in's label."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from tempbalance.analysis.cells import ENOUGH_SEEDS, summarise, title_of, values_of
from tempbalance.analysis.paired import paired_table
from tempbalance.analysis.published import join_published
from tempbalance.plots.data import FigureData
from tempbalance.plots.style import BASELINE, MARKERS, PAGE_WIDTH, PALETTE, TB, Mark

#: Methods of one ratio stand this far apart, as a factor of the ratio.
DODGE = 1.05
METRICS = {
    "accuracy": "Accuracy (%)",
    "accuracy_f1_mean": "Mean of accuracy and F1 (%)",
    "matthews": "Matthews correlation (%)",
    "pearson_spearman_mean": "Mean correlation (%)",
    "f1_macro": "Macro F1 (%)",
    "f1_micro": "Micro F1 (%)",
    "span_f1": "F1 (%)",
    "nrmse": "nRMSE",
}


def metric_label(runs: pd.DataFrame) -> str:
    """Axis label of the runs' score."""
    names = runs["metric"].dropna().unique()
    if len(names) != 1:
        return "Score (%)" if (runs["family"] == "nlp").all() else "Error"
    return METRICS.get(names[0], names[0].replace("_", " "))


def percent(ratio: float) -> str:
    """A ratio as the axis shows it: ``0.88%``."""
    return f"{100 * ratio:.3g}%"


def panel_grid(n: int, *, columns: int, row_height: float = 1.75, extra: float = 0.55) -> tuple[Figure, list[Axes]]:
    """A page-wide grid of ``n`` panels; ``extra`` inches of height for legend and notes."""
    columns = min(n, columns)
    rows = -(-n // columns)
    figure = Figure(figsize=(PAGE_WIDTH, rows * row_height + extra), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for spare in axes[n:]:
        spare.remove()
    return figure, list(axes[:n])


def ratio_axis(axis: Axes, runs: pd.DataFrame) -> None:
    """A logarithmic axis of data ratios, with the number of training samples under each."""
    sizes = runs.groupby("ratio")["n_train"].first().sort_index()
    ratios = [float(ratio) for ratio in sizes.index]
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(FixedLocator(ratios))
    axis.xaxis.set_minor_locator(NullLocator())
    labels = [f"{percent(ratio)}\n{int(size)}" for ratio, size in zip(ratios, sizes, strict=True)]
    axis.xaxis.set_major_formatter(FixedFormatter(labels))
    axis.set_xlim(min(ratios) / 1.35, max(ratios) * 1.35)


def label_ratio_axes(figure: Figure) -> None:
    """One label for every ratio axis of a figure."""
    figure.supxlabel("Share of the training set, and number of training samples", fontsize="medium")


def curve(axis: Axes, runs: pd.DataFrame, method: str, mark: Mark, value: str, shift: float) -> None:
    """One method's mean over seeds against the ratio, its standard deviation, single seeds and diverged runs."""
    own = runs[runs["method"] == method]
    cells = summarise(own, value).sort_values("ratio")
    known = cells.dropna(subset=["mean"])
    axis.errorbar(
        known["ratio"] * shift, known["mean"], yerr=known["sd"].fillna(0.0), color=mark.color,
        linestyle=mark.linestyle, marker=mark.marker, capsize=2, elinewidth=0.8, zorder=3, label=method,
    )  # fmt: skip
    single = values_of(own, value)
    axis.scatter(own["ratio"] * shift, single, s=6, color=mark.color, alpha=0.35, linewidths=0, zorder=2)
    _diverged(axis, own, mark, shift)


def _diverged(axis: Axes, runs: pd.DataFrame, mark: Mark, shift: float) -> None:
    """A cross at the panel's top for each ratio with diverged runs, with their number."""
    lost = runs[runs["status"] == "diverged"].groupby("ratio").size()
    for ratio, count in lost.items():
        place: dict[str, Any] = {
            "xycoords": axis.get_xaxis_transform(),
            "ha": "center",
            "va": "center",
            "annotation_clip": False,
        }
        axis.plot(
            [float(str(ratio)) * shift], [0.96], marker="x", markersize=5, color=mark.color, linestyle="none",
            transform=axis.get_xaxis_transform(), clip_on=False, zorder=4, gid="diverged",
        )  # fmt: skip
        axis.annotate(f"{count}", (float(str(ratio)) * shift * 1.07, 0.96), fontsize=5.5, color=mark.color, **place)


def published_points(axis: Axes, data: FigureData, runs: pd.DataFrame, method: str, mark: Mark, shift: float) -> int:
    """The paper's means as faint open markers, where it has the cell; how many there are."""
    if data.published is None or data.artifact.published is None:
        return 0
    points = join_published(runs[runs["method"] == method], data.published, data.artifact.published)
    axis.plot(
        points["ratio"] * shift, points["published_mean"], marker=mark.marker, markersize=5.5, linestyle="none",
        markerfacecolor="none", markeredgecolor=mark.color, markeredgewidth=0.7, alpha=0.55, zorder=1, gid="published",
    )  # fmt: skip
    return len(points)


def panel_title(data: FigureData, model: str, dataset: str) -> str:
    """Model and data set by their titles."""
    return f"{title_of(data.runs, 'model', model)}\n{title_of(data.runs, 'dataset', dataset)}"


def pair_panels(axes: Sequence[Axes], data: FigureData, value: str, label: str | None = None) -> bool:
    """A panel a model and data set: baseline dashed, TB solid. Whether any published point was drawn."""
    published = 0
    for axis, (model, dataset) in zip(axes, data.groups, strict=True):
        runs = data.of(model, dataset)
        for method, mark, shift in marked(data):
            curve(axis, runs, method, mark, value, shift)
            if value == "score":
                published += published_points(axis, data, runs, method, mark, shift)
        ratio_axis(axis, runs)
        axis.set_title(panel_title(data, model, dataset))
        axis.set_ylabel(label or metric_label(runs))
    return published > 0


def marked(data: FigureData) -> list[tuple[str, Mark, float]]:
    """The figure's two methods with their marks and their places beside a ratio."""
    base, other = data.pair
    return [(base, BASELINE, 1 / DODGE), (other, TB, DODGE)]


def gain_panel(axis: Axes, data: FigureData, value: str, title: str, label: str) -> None:
    """TB's gain against the ratio for every model and data set, with bootstrap 95 % intervals from 3 seeds on."""
    table = paired_table(data.runs, [data.pair], value)
    shifts = np.linspace(-1, 1, len(data.groups)) if len(data.groups) > 1 else [0.0]
    for index, ((model, dataset), shift) in enumerate(zip(data.groups, shifts, strict=True)):
        rows = table[(table["model"] == model) & (table["dataset"] == dataset)].sort_values("ratio")
        color, marker = PALETTE[index % len(PALETTE)], MARKERS[index % len(MARKERS)]
        place = rows["ratio"] * DODGE**shift
        enough = rows["n"] >= ENOUGH_SEEDS
        name = f"{title_of(data.runs, 'model', model)}, {title_of(data.runs, 'dataset', dataset)}"
        axis.plot(place, rows["gain"], color=color, linewidth=0.9, zorder=2)
        for chosen, face in ((enough, color), (~enough, "white")):
            axis.plot(place[chosen], rows["gain"][chosen], marker=marker, color=color, markerfacecolor=face,
                      linestyle="none", zorder=3)  # fmt: skip
        error = np.abs(np.stack([rows["gain"] - rows["ci_low"], rows["ci_high"] - rows["gain"]]))[:, enough]
        axis.errorbar(place[enough], rows["gain"][enough], yerr=error, linestyle="none", color=color, capsize=2,
                      elinewidth=0.8)  # fmt: skip
        axis.plot([], [], color=color, marker=marker, label=name)
    axis.axhline(0, color="black", linewidth=0.6, zorder=1)
    ratio_axis(axis, data.runs)
    axis.set_title(title)
    axis.set_ylabel(label)
    if len(data.groups) > 1:
        axis.legend(loc="best", fontsize=5.5, handlelength=1.5)


def legend(figure: Figure, data: FigureData, methods: Iterable[tuple[str, Mark, float]], *, published: bool,
           extra: Sequence[Line2D] = ()) -> None:  # fmt: skip
    """One legend for the figure, above its panels."""
    handles = [
        Line2D([], [], color=mark.color, linestyle=mark.linestyle, marker=mark.marker,
               label=title_of(data.runs, "method", method))
        for method, mark, _ in methods
    ]  # fmt: skip
    handles.append(Line2D([], [], color="#888888", marker="o", markersize=2.5, linestyle="none", label="single seed"))
    handles += extra
    if published:
        own = "" if (data.runs["stand_in"] == "").all() else " (its own data and model)"
        handles.append(
            Line2D(
                [],
                [],
                color="#888888",
                marker="o",
                markersize=5.5,
                markerfacecolor="none",
                linestyle="none",
                label=f"paper{own}",
            )
        )
    if (data.runs["status"] == "diverged").any():
        handles.append(Line2D([], [], color="#888888", marker="x", linestyle="none", label="diverged runs"))
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), columnspacing=1.4)


def stand_in_label(figure: Figure, data: FigureData) -> None:
    """On the figure itself: what stands in for the paper's model or data, and that seeds are too few for a claim."""
    notes = [f"Stand-in: {note}." for note in sorted(set(data.runs["stand_in"]) - {""})]
    seeds = data.runs.groupby(["model", "dataset", "ratio", "method"])["seed"].nunique()
    if seeds.min() < ENOUGH_SEEDS:
        notes.append("Fewer than 3 seeds: no claim (open symbols have no interval).")
    if notes:
        text = "\n".join(line for note in notes for line in textwrap.wrap(note, 115))
        figure.suptitle(text, fontsize="small", style="italic", color="#8A3B00")
