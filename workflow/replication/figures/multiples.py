"""Small multiples: panels on a grid with one legend, and the label that says what is a stand-in."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.container import Container
from matplotlib.figure import Figure

from replication.figures.style import COLUMN, PAGE, PANEL

#: Characters of small print, and of a panel's title, to an inch.
CHARACTERS = 20.5
TITLE_CHARACTERS = 17
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Subplot:
    """The title of a panel, and what draws it into an axis."""

    title: str
    draw: Callable[[Axes], None]


def columns_for(count: int) -> int:
    """Columns for so many panels: at most three, and no row of one below a row of three."""
    return 2 if count in (2, 4) else min(count, 3)


def small_multiples(
    subplots: Sequence[Subplot | None],
    *,
    columns: int,
    notes: Sequence[str] = (),
    panel_height: float = PANEL,
) -> Figure:
    """A figure of panels, row by row, lettered (a), (b), ...

    Args:
        subplots: the panels; None leaves a gap.
        columns: panels in a row.
        notes: small print above the panels (what the figure's data stand in for).
        panel_height: inches.

    The legend below the panels gathers the labelled artists of all of them, each label once.
    """
    rows = -(-len(subplots) // columns)
    width = COLUMN if columns == 1 else PAGE
    lines = small_print(notes, width)
    figure = Figure(figsize=(width, rows * panel_height + 0.35 + 0.11 * lines.count("\n")), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).flat
    letters = iter(LETTERS)
    for axis, subplot in zip(grid, [*subplots, *[None] * (rows * columns - len(subplots))], strict=True):
        if subplot is None:
            axis.set_visible(False)
            continue
        subplot.draw(axis)
        axis.set_title(_wrapped(f"({next(letters, '·')}) {subplot.title}", width / columns * TITLE_CHARACTERS))
        axis.margins(y=0.1)
    if lines:
        figure.suptitle(lines, style="italic", color="0.25")
    handles = legend_handles(figure)
    if handles:
        per_row = 3 if columns > 1 else 2
        figure.legend(
            handles.values(), handles.keys(), loc="outside lower center", ncols=min(per_row, len(handles)),
            columnspacing=1.5,
        )  # fmt: skip
    return figure


def small_print(notes: Sequence[str], width: float) -> str:
    """Notes below each other, wrapped to a figure so many inches wide."""
    return "\n".join(_wrapped(note, width * CHARACTERS) for note in notes)


def _wrapped(text: str, characters: float) -> str:
    """Text with lines of at most so many characters; its own line breaks are kept."""
    return "\n".join(
        part for line in text.split("\n") for part in textwrap.wrap(line, int(characters), break_on_hyphens=False)
    )


def legend_handles(figure: Figure) -> dict[str, Any]:
    """Label -> artist over all panels that have no legend of their own; lines with bars come first."""
    handles: dict[str, Any] = {}
    for axis in figure.axes:
        if axis.get_legend() is None:
            for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
                handles.setdefault(label, handle)
    return dict(sorted(handles.items(), key=lambda item: not isinstance(item[1], Container)))
