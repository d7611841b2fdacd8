"""Gain against s, the strength of balancing, with one line per data ratio."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from replication.figures.curves import Ticks, draw_series, seeds_text
from replication.figures.data import FigureData, count_text, ratio_text
from replication.figures.multiples import Subplot, columns_for, small_multiples
from replication.figures.style import SERIES
from replication.statistics.strength import gains_by_strength

#: Column of values -> title of its panels and label of their axis.
VALUES = {"score": ("Error", "error cut by TB, %"), "alpha_std": ("STD of alpha", "STD(α) cut by TB, %")}
BOUNDS = ["below", "above"]


def gain_against_strength(data: FigureData) -> Figure:
    """Gain and cut of STD(alpha) against s: a row of panels per model and data set, a line per data ratio.

    Raises DataError where a method has not one s.
    """
    numbers = {value: data.all_pairs(value) for value in VALUES}
    tables = {value: gains_by_strength(one) for value, one in numbers.items()}
    runs = numbers["score"].runs
    counts = runs.groupby("ratio")["n_train"].first()
    subplots: list[Subplot] = []
    for model, dataset in runs[["model", "dataset"]].drop_duplicates().itertuples(index=False):
        for value, (title, label) in VALUES.items():
            here = tables[value].query("model == @model and dataset == @dataset")

            def panel(axis: Axes, here: pd.DataFrame = here, label: str = label) -> None:
                _draw_lines(axis, here, counts)
                axis.set_ylabel(label)

            where = f"{data.title('model', str(model))}, {data.title('dataset', str(dataset))}"
            subplots.append(Subplot(f"{title}\n{where}", panel))
    stand_ins = [f"Stand-in: {text}" for text in dict.fromkeys(runs["stand_in"]) if text]
    return small_multiples(subplots, columns=columns_for(len(subplots)), notes=stand_ins, panel_height=2.1)


def _draw_lines(axis: Axes, gains: pd.DataFrame, counts: pd.Series) -> None:
    """One line per data ratio, shifted a little so that the intervals do not cover each other; s = 0 is the baseline."""
    axis.axhline(0, color="0.35", linewidth=0.7)
    ratios = sorted(set(gains["ratio"]), reverse=True)
    places = sorted({0.0, *gains["s"]})
    labels = tuple(f"{s:g}" for s in places)
    ticks = Ticks("s", {s: s for s in places}, labels, "s, strength of balancing")
    for number, (ratio, look) in enumerate(zip(ratios, SERIES * len(ratios), strict=False)):
        means = gains[gains["ratio"] == ratio].reindex(columns=[*gains.columns, *BOUNDS])
        means = means.assign(
            position=means["s"] + (2 * number - (len(ratios) - 1)) * 0.02 * ticks.step, mean=means["gain"],
            below=means["gain"] - means["ci_low"], above=means["ci_high"] - means["gain"],
        )  # fmt: skip
        label = f"{ratio_text(ratio)} % ({count_text(counts[ratio])} samples; {seeds_text(means['n'])})"
        no_points = pd.DataFrame({"position": [], "value": []})
        draw_series(axis, no_points, means, look, joined=True, label=label)
    ticks.apply(axis)
