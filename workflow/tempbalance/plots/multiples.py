"""Small multiples: panels on a grid with one legend, and the label that says what is a stand-in."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tempbalance.plots.style import COLUMN, PAGE, PANEL

#: Characters of small print to an inch of figure.
CHARACTERS = 22
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Cell:
    """One panel of a figure: its title, and what draws it into an axis."""

    title: str
    draw: Callable[[Axes], None]


def columns_for(count: int) -> int:
    """Columns for so many panels: at most three, and no row of one below a row of three."""
    return 2 if count in (2, 4) else min(count, 3)


def small_multiples(
    cells: Sequence[Cell | None],
    *,
    columns: int,
    notes: Sequence[str] = (),
    panel_height: float = PANEL,
) -> Figure:
    """A figure of panels, row by row, lettered (a), (b), ...

    Args:
        cells: the panels; None leaves a place empty.
        columns: panels in a row.
        notes: small print above the panels (what the figure's data stand in for).
        panel_height: inches.

    The legend below the panels gathers the labelled artists of all of them, each label once.
    """
    rows = -(-len(cells) // columns)
    width = COLUMN if columns == 1 else PAGE
    lines = [line for note in notes for line in textwrap.wrap(note, int(width * CHARACTERS))]
    figure = Figure(figsize=(width, rows * panel_height + 0.35 + 0.11 * len(lines)), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).flat
    letters = iter(LETTERS)
    for axis, cell in zip(grid, [*cells, *[None] * (rows * columns - len(cells))], strict=True):
        if cell is None:
            axis.set_visible(False)
            continue
        cell.draw(axis)
        axis.set_title(f"({next(letters, '·')}) {cell.title}")
        axis.spines[["top", "right"]].set_visible(False)
    if lines:
        figure.suptitle("\n".join(lines), style="italic", color="0.25")
    handles = legend_handles(figure)
    if handles:
        per_row = 3 if columns > 1 else 2
        figure.legend(
            handles.values(), handles.keys(), loc="outside lower center", ncols=min(per_row, len(handles)),
            columnspacing=1.5,
        )  # fmt: skip
    return figure


def legend_handles(figure: Figure) -> dict[str, Artist]:
    """Label -> artist over all panels that have no legend of their own."""
    handles: dict[str, Artist] = {}
    for axis in figure.axes:
        if axis.get_legend() is None:
            for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
                handles.setdefault(label, handle)
    return handles
