"""Small multiples: panels on a grid with one legend and small print."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.container import Container
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.textpath import text_to_path

from replication.figures.limits import fit_panels, hide_crowded_labels
from replication.figures.style import PAGE, PANEL, TALLEST

#: Characters per inch of the narrowest small print, of a panel's title, and of the label below it, as wide as the axis.
MOST_CHARACTERS = 26
TITLE_CHARACTERS = 17
LABEL_CHARACTERS = 13.5
LETTERS = "abcdefghijklmnopqrstuvwxyz"
#: Heights in inches of the small print, and of a row of the legend.
PRINT, LEGEND_ROW = 0.2, 0.17
#: The share of its width that the small print may fill: pixels make letters wider.
FILLED = 0.97


@dataclass(frozen=True)
class Subplot:
    """A panel: its title, and the function that draws it."""

    title: str
    draw: Callable[[Axes], None]


def columns_for(count: int) -> int:
    """Number of columns, at most three, such that at most one place is left over (for the legend)."""
    return 2 if count == 2 or (count % 3 == 1 and count > 1) else min(count, 3)


def small_multiples(
    subplots: Sequence[Subplot], *, columns: int, notes: Sequence[str], panel_height: float = PANEL
) -> Figure:
    """A page-wide figure of panels, row by row, lettered (a), (b), ..., with ``notes`` as small print above them.

    Panels are ``panel_height`` inches high, or less if the figure would not fit a page. Those of one measure share an axis
    (:func:`replication.figures.limits.fit_panels`). One legend gathers the labelled artists of all panels, each label
    once: in the free places at the grid's end, else below the panels.
    """
    rows = math.ceil(len(subplots) / columns)
    line = small_print(notes, PAGE)
    panel_height = min(panel_height, (TALLEST - PRINT - 3 * LEGEND_ROW) / rows)
    figure = Figure(figsize=(PAGE, rows * panel_height + PRINT), layout="constrained")
    grid = figure.add_gridspec(rows, columns)
    panels = []
    for number, subplot in enumerate(subplots):
        axis = figure.add_subplot(grid[number])
        subplot.draw(axis)
        letter = LETTERS[number] if number < len(LETTERS) else "·"
        axis.set_title(_wrapped(f"({letter}) {subplot.title}", PAGE / columns * TITLE_CHARACTERS))
        axis.set_xlabel(_wrapped(axis.get_xlabel(), PAGE / columns * LABEL_CHARACTERS))
        panels.append(axis)
    fit_panels(panels)
    if line:
        figure.suptitle(line, style="italic", color="0.25")
    free = len(subplots) < rows * columns
    if not free:
        _legend_below(figure)
    hide_crowded_labels(figure, panels)
    if free:
        _legend_in_gap(figure, columns=panels[len(panels) % columns : columns], row=panels[-1])
    return figure


def marks(entries: Sequence[tuple[object, str, str, str, str]], **properties: Any) -> list[Line2D]:
    """Legend handles (label, colour, face colour, marker) of what a figure shows; the rest, marked false, is left out."""
    return [
        Line2D([], [], color=color, markerfacecolor=face, marker=marker, linestyle="none", label=label, **properties)
        for shown, label, color, face, marker in entries
        if shown
    ]


def no_cells(width: float, words: str) -> Figure:
    """A figure that says why it shows nothing."""
    figure = Figure(figsize=(width, 1.0), layout="constrained")
    figure.text(0.5, 0.5, words, ha="center", va="center")
    return figure


def _legend_below(figure: Figure) -> None:
    handles = legend_handles(figure)
    for per_row in range(min(3, len(handles)), 0, -1):
        legend = figure.legend(
            handles.values(), handles.keys(), loc="outside lower center", ncols=per_row, columnspacing=1.5
        )
        if per_row == 1 or legend.get_window_extent().width <= figure.bbox.width:
            figure.set_figheight(figure.get_figheight() + LEGEND_ROW * math.ceil(len(handles) / per_row))
            return
        legend.remove()


def _legend_in_gap(figure: Figure, *, columns: Sequence[Axes], row: Axes) -> None:
    """Put the legend into the free places below some panels and beside another, once the layout is known."""
    handles = legend_handles(figure)
    if not handles:
        return
    down = row.get_position()
    place = (columns[0].get_position().x0 + columns[-1].get_position().x1) / 2, (down.y0 + down.y1) / 2
    labels = [label.replace(" (", "\n(", 1).replace(", ", ",\n") for label in handles]
    legend = figure.legend(
        handles.values(), labels, loc="center", bbox_to_anchor=place, handlelength=2.0, borderaxespad=0
    )  # fmt: skip
    legend.set_in_layout(False)


def small_print(notes: Sequence[str], width: float) -> str:
    """All notes in one line, ``width`` inches wide. The last note is cut last; captions have the rest in full."""
    if not notes:
        return ""
    *first, last = notes
    font = FontProperties(style="italic", size=mpl.rcParams["figure.titlesize"])
    for characters in range(int(width * MOST_CHARACTERS), 0, -1):
        room = max(characters - len(last) - 2, 0)
        cut = textwrap.shorten("; ".join(first), room, placeholder=" …") if first else ""
        line = textwrap.shorten("; ".join(filter(None, (cut, last))), characters, placeholder=" …")
        if text_to_path.get_text_width_height_descent(line, font, ismath=False)[0] < 72 * FILLED * width:
            return line
    return ""


def _wrapped(text: str, characters: float) -> str:
    """Text wrapped at a number of characters; existing line breaks are kept."""
    return "\n".join(
        part for line in text.split("\n") for part in textwrap.wrap(line, int(characters), break_on_hyphens=False)
    )


def legend_handles(figure: Figure) -> dict[str, Any]:
    """Label -> artist, from all panels without a legend of their own; lines with error bars come first."""
    handles: dict[str, Any] = {}
    for axis in figure.axes:
        if axis.get_legend() is None:
            for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
                handles.setdefault(label, handle)
    return dict(sorted(handles.items(), key=lambda item: not isinstance(item[1], Container)))
