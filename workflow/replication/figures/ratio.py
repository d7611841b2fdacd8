"""Figures 2 to 8: score and STD of alpha against the data ratio, and the domain sets side by side."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from replication.statistics.cells import ENOUGH_SEEDS, summarise
from replication.errors import DataError
from replication.figures.curves import Ticks, dataset_ticks, draw_gains, draw_methods, gain_label, ratio_ticks
from replication.figures.data import FigureData, Panel
from replication.figures.multiples import Subplot, columns_for, small_multiples
from replication.figures.style import PANEL

ALPHA_STD = {"alpha_std": "STD(α) over layers", "alpha_std_block": "STD(α) over blocks"}


def _notes(data: FigureData, value: str) -> list[str]:
    """Small print: stand-ins, and cells with too few seeds."""
    notes = [f"Stand-in: {text}" for text in data.stand_ins]
    if summarise(data.shown, value)["n"].min() < ENOUGH_SEEDS:
        notes.append(f"no claim and no interval below {ENOUGH_SEEDS} finished seeds")
    return notes


def _curve(
    data: FigureData, panel: Panel, ticks: Ticks, methods: tuple[str, ...], value: str
) -> Callable[[Axes], None]:
    def draw(axis: Axes) -> None:
        draw_methods(axis, data, panel.runs, ticks, methods=methods, value=value)
        axis.set_ylabel(data.score_label(panel.runs) if value == "score" else ALPHA_STD[value])
        before = data.spread_before(panel.runs) if value == data.spread else None
        if before is not None:
            axis.axhline(before, color="0.5", linestyle=":", linewidth=0.9, label="before training")

    return draw


def _require(data: FigureData, value: str) -> None:
    lost = (data.shown["status"] == "diverged").all()
    if not lost and (value not in data.shown or data.shown[value].notna().sum() == 0):
        raise DataError(
            f"{data.artifact.name}: no run has a value of '{value}'; where that is an exponent, no layer of the models is "
            "large enough for one (the runs' layers.csv say why), and nothing was balanced"
        )


def _methods_and_gain(data: FigureData, value: str) -> Figure:
    """Both methods in every panel, and a last panel with the improvement of all.

    Raises DataError if no run has the value.
    """
    _require(data, value)
    pair = data.pair
    subplots = [
        Subplot(panel.title, _curve(data, panel, ratio_ticks(panel.runs), pair, value)) for panel in data.panels
    ]

    def improvement(axis: Axes) -> None:
        draw_gains(axis, data, data.panels, ratio_ticks(data.shown), pair=pair, value=value)
        axis.set_ylabel(gain_label(data, pair, value))

    subplots.append(Subplot("Improvement\n(above zero is better)", improvement))
    return small_multiples(subplots, columns=columns_for(len(subplots)), notes=_notes(data, value))


def score_and_spread(data: FigureData) -> Figure:
    """Figures 2 and 6: the baseline's test score, and beside or below it the STD of its exponents.

    Raises DataError if no run has exponents.
    """
    _require(data, data.spread)
    baseline = data.pair[:1]
    # With three or six panels, rows of three scores alternate with rows of three STDs. Otherwise each score stands beside
    # its STD, one such pair in a row, or two where the figure would be taller than a page.
    count = len(data.panels)
    columns, abreast = (3, 3) if count in (3, 6) else (2, 1) if count <= 4 else (4, 1)
    subplots = [
        Subplot(panel.title, _curve(data, panel, ratio_ticks(panel.runs), baseline, value))
        for start in range(0, len(data.panels), abreast)
        for value in ("score", data.spread)
        for panel in data.panels[start : start + abreast]
    ]
    height = PANEL + 0.2 * (columns == 4)  # narrow panels have labels of two lines
    return small_multiples(subplots, columns=columns, notes=_notes(data, "score"), panel_height=height)


def domain_sets(data: FigureData) -> Figure:
    """Figure 5: both methods on each domain set, and the improvement.

    Raises DataError if no run has a score.
    """
    _require(data, "score")
    pair = data.pair
    subplots: list[Subplot] = []
    for model, runs in data.shown.groupby("model", sort=False):
        panel = Panel(data.title("model", str(model)), runs)
        ticks = dataset_ticks(data, runs)
        subplots.append(Subplot(panel.title, _curve(data, panel, ticks, pair, "score")))

        def improvement(axis: Axes, panel: Panel = panel, ticks: Ticks = ticks) -> None:
            draw_gains(axis, data, [panel], ticks, pair=pair, value="score")
            axis.set_ylabel(gain_label(data, pair, "score"))

        subplots.append(Subplot("Improvement (above zero is better)", improvement))
    return small_multiples(subplots, columns=2, notes=_notes(data, "score"))


def scores_and_gain(data: FigureData) -> Figure:
    """Figures 3 and 4: the score of both methods against the data ratio, and the improvement."""
    return _methods_and_gain(data, "score")


def spread_and_gain(data: FigureData) -> Figure:
    """Figures 7 and 8: the STD of alpha of both methods (over blocks in language, as in the paper), and its reduction."""
    return _methods_and_gain(data, data.spread)
