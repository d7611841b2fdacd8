"""Figures 2 to 8: score and STD of alpha against the data ratio, and the domain sets side by side."""

from __future__ import annotations

from functools import partial

import pandas as pd
from matplotlib.figure import Figure

from replication.statistics.cells import ENOUGH_SEEDS, summarise
from replication.errors import DataError
from replication.figures.curves import Ticks, dataset_ticks, draw_gains, draw_methods, ratio_ticks
from replication.figures.data import FigureData
from replication.figures.multiples import Subplot, columns_for, small_multiples
from replication.figures.style import PANEL


def score_and_spread(data: FigureData) -> Figure:
    """Figures 2 and 6: the baseline's test score, and beside or below it the STD of its exponents.

    Raises DataError if no run has exponents.
    """
    _require_value(data)
    # With three or six panels, rows of three scores alternate with rows of three STDs. Otherwise each score stands beside
    # its STD, one such pair in a row, or two where the figure would be taller than a page.
    count = len(data.panels)
    columns, abreast = (3, 3) if count in (3, 6) else (2, 1) if count <= 4 else (4, 1)
    subplots = [
        _methods(data, title, runs, ratio_ticks(runs), data.pair[:1], value)
        for start in range(0, count, abreast)
        for value in ("score", data.spread)
        for title, runs in data.panels[start : start + abreast]
    ]
    height = PANEL + 0.2 * (columns == 4)  # narrow panels have labels of two lines
    return small_multiples(subplots, columns=columns, notes=_notes(data, "score"), panel_height=height)


def methods_and_gain(data: FigureData) -> Figure:
    """Figures 3, 4, 7 and 8: the score or the STD of alpha of both methods, and a panel with the improvement of all.

    The STD is over blocks in language, as in the paper. Raises DataError if no run has the value.
    """
    _require_value(data)
    panels, ticks = [runs for _, runs in data.panels], ratio_ticks(data.shown)
    subplots = [_methods(data, title, runs, ratio_ticks(runs), data.pair, data.value) for title, runs in data.panels]
    gains = partial(draw_gains, data=data, panels=panels, ticks=ticks, value=data.value)
    subplots.append(Subplot("Improvement\n(above zero is better)", gains))
    return small_multiples(subplots, columns=columns_for(len(subplots)), notes=_notes(data, data.value))


def domain_sets(data: FigureData) -> Figure:
    """Figure 5: both methods on each domain set, and the improvement.

    Raises DataError if no run has a score.
    """
    _require_value(data)
    subplots: list[Subplot] = []
    for model, runs in data.shown.groupby("model", sort=False):
        ticks = dataset_ticks(data, runs)
        gains = partial(draw_gains, data=data, panels=[runs], ticks=ticks, value="score")
        subplots += [
            _methods(data, data.title("model", str(model)), runs, ticks, data.pair, "score"),
            Subplot("Improvement (above zero is better)", gains),
        ]
    return small_multiples(subplots, columns=2, notes=_notes(data, "score"))


def _methods(
    data: FigureData, title: str, runs: pd.DataFrame, ticks: Ticks, methods: tuple[str, ...], value: str
) -> Subplot:
    return Subplot(title, partial(draw_methods, data=data, runs=runs, ticks=ticks, methods=methods, value=value))


def _notes(data: FigureData, value: str) -> list[str]:
    """Small print: stand-ins, and cells with too few seeds."""
    few = summarise(data.shown, value)["n"].min() < ENOUGH_SEEDS
    return [*data.stand_ins, *[f"no claim and no interval below {ENOUGH_SEEDS} finished seeds"] * bool(few)]


def _require_value(data: FigureData) -> None:
    lost = (data.shown["status"] == "diverged").all()
    if not lost and (data.value not in data.shown or data.shown[data.value].isna().all()):
        raise DataError(
            f"{data.artifact.name}: no run has a value of '{data.value}'; where that is an exponent, no layer of the models "
            "is large enough for one (the runs' layers.csv say why), and nothing was balanced"
        )
