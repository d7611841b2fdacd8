"""Curves of each method against data ratio or data set, and of the gain of one method over the other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from replication.statistics.cells import records, summarise, values_of
from replication.statistics.numbers import count_text
from replication.statistics.paired import gains
from replication.statistics.trivial import TITLES
from replication.figures.data import FigureData, short_count
from replication.figures.limits import LEGEND_COLUMNS
from replication.figures.multiples import LETTERS
from replication.figures.style import BALANCED, BASELINE, DIVERGED, PUBLISHED, SERIES, Look

#: Half the distance between two methods' points at one tick, in units of the tick spacing, so that bars do not overlap.
DODGE = 0.06
TRIVIAL = "best trivial predictor"
ALPHA_STD = {"alpha_std": "STD(α) over layers", "alpha_std_block": "STD(α) over blocks"}


@dataclass(frozen=True)
class Ticks:
    """The horizontal axis: one labelled tick for each data ratio (on a logarithmic scale), data set or block."""

    column: str
    places: Mapping[Any, float]
    labels: Sequence[str]
    title: str

    def of(self, values: pd.Series) -> pd.Series:
        """Positions of the column's values on the axis."""
        return values.map(self.places).astype(float)

    @property
    def step(self) -> float:
        """Mean distance between neighbouring ticks."""
        places = self.places.values()
        return (max(places) - min(places)) / (len(places) - 1) if len(places) > 1 else 1.0

    @property
    def edges(self) -> tuple[float, float]:
        """Limits of the axis."""
        return min(self.places.values()) - 0.4 * self.step, max(self.places.values()) + 0.4 * self.step

    def apply(self, axis: Axes) -> None:
        axis.set_xticks(list(self.places.values()), self.labels)
        axis.set_xlabel(self.title)
        axis.set_xlim(self.edges)
        axis.grid(visible=False, axis="x")


def even_ticks(column: str, keys: Sequence[Any], labels: Sequence[str], title: str) -> Ticks:
    """Evenly spaced ticks."""
    return Ticks(column, {key: float(place) for place, key in enumerate(keys)}, labels, title)


def ratio_ticks(runs: pd.DataFrame) -> Ticks:
    """Data ratios in per cent on a logarithmic scale, with sample counts below if all data sets have the same."""
    counts = runs.groupby("ratio")["n_train"].agg(["min", "max"])
    same = (counts["min"] == counts["max"]).all()
    labels = [
        f"{100 * ratio:.3g}" + (f"\n{short_count(count)}" if same else "")
        for ratio, count in zip(counts.index, counts["min"], strict=True)
    ]
    # With no-break spaces, so that the title wraps before the parenthesis.
    title = "training data (%" + ("\N{NO-BREAK SPACE}/\N{NO-BREAK SPACE}samples)" if same else ")")
    return Ticks("ratio", {ratio: math.log10(ratio) for ratio in counts.index}, labels, title)


def dataset_ticks(data: FigureData, runs: pd.DataFrame) -> Ticks:
    """Data sets by title, with the number of training samples below."""
    counts = runs.groupby("dataset", sort=False)["n_train"].first()
    labels = [f"{data.title('dataset', str(name))}\n{short_count(count)}" for name, count in counts.items()]
    return even_ticks("dataset", list(counts.index), labels, "data set / number of training samples")


def draw_series(axis: Axes, seeds: pd.DataFrame, means: pd.DataFrame, look: Look, *, joined: bool, label: str) -> None:
    """Draw each mean with its error bar, joined by a line or not, and every seed as a faint point.

    ``seeds`` has columns ``position`` and ``value``; ``means`` has ``position``, ``mean``, and the bar's lengths ``below``
    and ``above`` (NaN draws none). The baseline's markers are hollow.
    """
    axis.plot(
        seeds["position"], seeds["value"], linestyle="none", marker=look.marker, color=look.color, alpha=0.45,
        markersize=2.2, markeredgewidth=0, gid="seeds",
    )  # fmt: skip
    means = means.sort_values("position")
    bars = [means[side].fillna(0.0).clip(lower=0.0) for side in ("below", "above")]
    axis.errorbar(
        means["position"], means["mean"], yerr=bars, color=look.color, linestyle=look.dashes if joined else "none",
        marker=look.marker, markerfacecolor="white" if look is BASELINE else look.color, capsize=1.8, elinewidth=0.7,
        capthick=0.7, label=label,
    )  # fmt: skip


def draw_methods(
    axis: Axes, data: FigureData, runs: pd.DataFrame, ticks: Ticks, *, methods: Sequence[str], value: str
) -> None:
    """Draw each method's mean and standard deviation over seeds at every tick, and each seed as a faint point.

    ``runs`` are the panel's, ``methods`` are one or two (two stand side by side), and ``value`` is ``score`` or a column of
    :data:`ALPHA_STD`.
    """
    axis.set_ylabel(data.score_label(runs) if value == "score" else ALPHA_STD[value])
    before = data.spread_before(runs) if value == data.spread else None
    runs = runs[runs["method"].isin(methods)]
    numbers = data.numbers(value)
    seeds, means = runs.assign(value=values_of(runs, value)), _of_panel(numbers.cells, runs)
    means = means.assign(**dict.fromkeys(("below", "above"), means[_deviation(data, value)]))
    for method, shift, look in sides(methods, ticks):
        points, bars = (placed(table, method, ticks, shift) for table in (seeds, means))
        label = mean_label(data, method, value)
        draw_series(axis, points, bars, look, joined=ticks.column == "ratio", label=label)
        if value == "score":
            published = placed(_of_panel(numbers.published, runs), method, ticks, shift)
            _draw_published(axis, published, look, data.title("method", method))
    _mark_diverged(axis, runs, ticks)
    ticks.apply(axis)
    if value == "score":
        _draw_trivial(axis, _of_panel(numbers.trivial, runs), seeds["value"], ticks)
    if before is not None:
        axis.axhline(before, color="0.5", linestyle=":", linewidth=0.9, label="before training")


def _of_panel(table: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    return table.merge(runs[["model", "dataset"]].drop_duplicates(), on=["model", "dataset"])


def placed(table: pd.DataFrame, method: str, ticks: Ticks, shift: float) -> pd.DataFrame:
    """A method's rows with their ``position`` on the axis."""
    own = table[table["method"] == method]
    return own.assign(position=ticks.of(own[ticks.column]) + shift)


def _deviation(data: FigureData, value: str) -> str:
    """The column for error bars: with ``ddof=0``, as in the paper, if published scores are drawn too."""
    return "sd_ddof0" if value == "score" and len(data.numbers(value).published) else "sd"


def _draw_trivial(axis: Axes, trivial: pd.DataFrame, values: pd.Series, ticks: Ticks) -> None:
    """Draw the best trivial predictor of each data set as a dotted line, or as an arrow if it is far off the panel."""
    rows = trivial.dropna(subset=["trivial_score"]).drop_duplicates("dataset")
    low, high = values.min(), values.max()
    reach = (high - low) or abs(high)
    for line in records(rows):
        score, name = float(line["trivial_score"]), TITLES[line["trivial"]]
        wide = ticks.column == "ratio"
        position = ticks.edges[1] if wide else ticks.places[line["dataset"]]
        style: dict[str, Any] = {"color": "0.3", "ha": "right" if wide else "center", "gid": "trivial"}
        if not low - reach <= score <= high + reach:
            above = score > high
            axis.annotate(
                f"{'↑' if above else '↓'} {name} {score:.3g}", (position, 0.98 if above else 0.02),
                xycoords=("data", "axes fraction"), va="top" if above else "bottom", **style,
            )  # fmt: skip
            continue
        edges = axis.get_xlim() if wide else (position - 0.35, position + 0.35)
        axis.plot(edges, [score] * 2, color="0.3", linestyle=":", linewidth=1.0, label=TRIVIAL, gid="trivial")
        # The name goes on the side of the line that has no points.
        below = score < low
        axis.annotate(
            name, (position, score), xytext=(0, -1.5 if below else 1.5), textcoords="offset points",
            va="top" if below else "bottom", **style,
        )  # fmt: skip


def sides(methods: Sequence[str], ticks: Ticks) -> list[tuple[str, float, Look]]:
    """(method, shift, look): the baseline is dashed with squares, the balanced method solid with circles."""
    shifts = (-DODGE * ticks.step, DODGE * ticks.step) if len(methods) == 2 else (0.0,)
    return list(zip(methods, shifts, (BASELINE, BALANCED), strict=False))


def mean_label(data: FigureData, method: str, value: str) -> str:
    """Legend text of a method's means, the same in all panels of a figure."""
    cells = summarise(data.shown, value)
    counts = cells.loc[cells["method"] == method, "n"]
    what = f"mean ± SD with ddof {0 if _deviation(data, value) == 'sd_ddof0' else 1}, " if counts.max() > 1 else ""
    return f"{data.title('method', method)} ({what}{seeds_text(counts)})"


def seeds_text(counts: pd.Series) -> str:
    """``3 seeds``, or ``2-3 seeds`` if cells differ."""
    low, high = int(counts.min()), int(counts.max())
    return count_text(low, "seed") if low == high else f"{low}–{high} seeds"


def _draw_published(axis: Axes, published: pd.DataFrame, look: Look, title: str) -> None:
    if len(published):
        where = "ddof 0" if published["same_setting"].all() else "other data; ddof 0"
        axis.errorbar(
            published["position"], published["published_mean"], yerr=published["published_sd"].fillna(0.0),
            marker=look.marker, elinewidth=0.6, label=f"{title}, published ({where})", **PUBLISHED,
        )  # fmt: skip


def _mark_diverged(axis: Axes, runs: pd.DataFrame, ticks: Ticks) -> None:
    counts = runs[runs["status"] == "diverged"].groupby(ticks.column).size()
    if counts.empty:
        return
    places, base = [ticks.places[key] for key in counts.index], axis.get_xaxis_transform()
    axis.plot(places, [0.04] * len(places), transform=base, label="diverged runs (how many)", **DIVERGED)
    for place, count in zip(places, counts, strict=True):
        axis.annotate(
            str(count), (place, 0.04), xycoords=base, xytext=(4, 0), textcoords="offset points", va="center",
            color=DIVERGED["color"],
        )  # fmt: skip


def gain_means(gains: pd.DataFrame, position: pd.Series) -> pd.DataFrame:
    """Rows of a paired table with the columns that :func:`draw_series` needs; without an interval there is no bar."""
    mean = gains["gain"]
    return gains.assign(position=position, mean=mean, below=mean - gains["ci_low"], above=gains["ci_high"] - mean)


def draw_gains(axis: Axes, data: FigureData, panels: Sequence[pd.DataFrame], ticks: Ticks, *, value: str) -> None:
    """Draw the mean gain of a method over its baseline, paired by seed, and a line at zero; above it is better.

    One line for the runs of each panel, named by the panel's letter.
    """
    axis.axhline(0, color="0.35", linewidth=0.7)
    spread = ticks.step * min(DODGE, 0.3 / max(len(panels), 1))
    for number, (runs, look, letter) in enumerate(zip(panels, SERIES * len(panels), LETTERS, strict=False)):
        shift = (2 * number - (len(panels) - 1)) * spread
        seeds = gains(runs, data.pair, value)
        if seeds.empty:
            continue
        table = _of_panel(data.numbers(value).gains, runs)
        points = seeds.assign(position=ticks.of(seeds[ticks.column]) + shift, value=seeds["gain"])
        draw_series(
            axis, points, gain_means(table, ticks.of(table[ticks.column]) + shift), look,
            joined=ticks.column == "ratio", label=f"({letter})" if len(panels) > 1 else "",
        )  # fmt: skip
    ticks.apply(axis)
    axis.set_ylabel(_gain_label(data, value))
    if len(panels) > 1 and axis.get_legend_handles_labels()[1]:
        axis.legend(
            loc="upper center", ncols=min(LEGEND_COLUMNS, len(panels)), handlelength=1.3, handletextpad=0.4,
            columnspacing=0.7, borderaxespad=0,
        )  # fmt: skip


def _gain_label(data: FigureData, value: str) -> str:
    """Axis label for gains, with the unit; positive is better."""
    base, method = (data.title("method", name) for name in data.pair)
    if value != "score":
        return f"STD(α) cut by {method}, %"
    if (data.shown["family"] == "nlp").all():
        return f"{method} minus {base}, points"
    return f"error cut by {method}, %"
