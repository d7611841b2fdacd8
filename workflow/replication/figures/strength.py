"""Gain against s, the strength of balancing, with one line per data ratio."""

from __future__ import annotations

from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from replication.figures.curves import Ticks, draw_series, gain_means, seeds_text
from replication.figures.data import FigureData, short_count
from replication.figures.multiples import Subplot, columns_for, small_multiples
from replication.figures.style import SERIES
from replication.statistics.numbers import percent_text
from replication.statistics.strength import gains_by_strength

#: Column of values -> title of its panels and label of their axis.
VALUES = {"score": ("Error", "error cut by TB, %"), "alpha_std": ("STD of alpha", "STD(α) cut by TB, %")}


def gain_against_strength(data: FigureData) -> Figure:
    """Gain and cut of STD(alpha) against s: a row of panels per model and data set, a line per data ratio.

    Raises DataError where a method has not one s.
    """
    numbers = {value: data.all_pairs(value) for value in VALUES}
    tables = {value: gains_by_strength(one) for value, one in numbers.items()}
    counts = numbers["score"].runs.groupby("ratio")["n_train"].first()
    subplots = []
    for model, dataset in numbers["score"].groups:
        where = f"{data.title('model', model)}, {data.title('dataset', dataset)}"
        for value, (title, label) in VALUES.items():
            here = tables[value].query("model == @model and dataset == @dataset")
            draw = partial(_draw_lines, gains=here, counts=counts, label=label)
            subplots.append(Subplot(f"{title}\n{where}", draw))
    return small_multiples(subplots, columns=columns_for(len(subplots)), notes=data.stand_ins, panel_height=2.1)


def _draw_lines(axis: Axes, gains: pd.DataFrame, counts: pd.Series, label: str) -> None:
    """One line per data ratio, shifted a little so that the intervals do not cover each other; s = 0 is the baseline."""
    axis.axhline(0, color="0.35", linewidth=0.7)
    ratios = sorted(set(gains["ratio"]), reverse=True)
    places = sorted({0.0, *gains["s"]})
    ticks = Ticks("s", {s: s for s in places}, [f"{s:g}" for s in places], "s, strength of balancing")
    for number, (ratio, look) in enumerate(zip(ratios, SERIES * len(ratios), strict=False)):
        here = gains[gains["ratio"] == ratio]
        means = gain_means(here, here["s"] + (2 * number - (len(ratios) - 1)) * 0.02 * ticks.step)
        name = f"{percent_text(ratio)} ({short_count(counts[ratio])} samples; {seeds_text(here['n'])})"
        no_points = pd.DataFrame({"position": [], "value": []})
        draw_series(axis, no_points, means, look, joined=True, label=name)
    ticks.apply(axis)
    axis.set_ylabel(label)
