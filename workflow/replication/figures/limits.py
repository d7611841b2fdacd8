"""Vertical limits of panels: shared by panels of one measure, and not dominated by one wide interval."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

Array = NDArray[np.floating]
#: A panel extends beyond its means by this share of their range or by this many median bars, whichever is larger.
REACH, BARS = 0.35, 3.0
#: Panels share an axis if each fills at least this share of it; otherwise small differences would vanish.
FILLS = 0.5
MARGIN = 0.08
#: Space for the name of a trivial predictor next to its line, as a share of the range.
NAME_ROOM = 0.2
#: Height of one row of a panel's own legend, as a share of the panel.
LEGEND_ROOM = 0.16
#: Entries per row of that legend.
LEGEND_COLUMNS = 4


def fit_panels(panels: Sequence[Axes]) -> None:
    """Set the limits of panels with means and error bars; panels with the same axis label may share them.

    A bar that ends outside its panel gets an arrow at the edge and the value at its end. A seed outside gets one too, if its
    bar ends inside; of several, only the farthest does.
    """
    groups: dict[str, list[Axes]] = {}
    for axis in panels:
        if len(_means(axis)):
            groups.setdefault(axis.get_ylabel(), []).append(axis)
    for group in groups.values():
        own = [limits(axis) for axis in group]
        low, high = min(pair[0] for pair in own), max(pair[1] for pair in own)
        shared = all(pair[1] - pair[0] >= FILLS * (high - low) for pair in own)
        for axis, pair in zip(group, own, strict=True):
            _apply(axis, *((low, high) if shared else pair))


def limits(axis: Axes) -> tuple[float, float]:
    """Limits that include all means and lines of a panel, and its bars and seeds unless they are far away."""
    lines, bars = axis.get_lines(), np.concatenate([np.empty((0, 3)), *map(_bars, _containers(axis))])
    core = np.concatenate([_means(axis), *(_heights(line) for line in lines if _is_level(line))])
    lengths = (bars[:, 2] - bars[:, 1]) / 2
    reach = max(REACH * float(np.ptp(core)), BARS * float(np.median(lengths)) if len(lengths) else 0.0)
    points = [_heights(line) for line in lines if line.get_transform() == axis.transData]
    everything = np.concatenate([core, bars[:, 1:].ravel(), *points])
    lowest, highest = float(np.nanmin(everything)), float(np.nanmax(everything))
    low, high = max(lowest, float(core.min()) - reach), min(highest, float(core.max()) + reach)
    room = MARGIN * (high - low) or 0.05 * abs(high) or 1.0
    bottom, top = low - room, high + room
    # The name of a trivial predictor is above its line, or below if the line is the lowest thing in the panel.
    for level in (float(_heights(line)[0]) for line in lines if line.get_gid() == "trivial"):
        if level <= lowest:
            bottom = min(bottom, level - NAME_ROOM * (high - low))
        else:
            top = max(top, level + NAME_ROOM * (high - low))
    return bottom, top


def _apply(axis: Axes, low: float, high: float) -> None:
    legend = axis.get_legend()
    # Above the curves: with many of them matplotlib finds no empty corner.
    room = LEGEND_ROOM * math.ceil(len(legend.get_texts()) / LEGEND_COLUMNS) if legend is not None else 0
    axis.set_ylim(low, high + (high - low) * room / (1 - room))
    ends = []
    for container in _containers(axis):
        mean, caps, collections = container.lines
        ends += [(at, end, str(mean.get_color())) for at, *both in _bars(container) for end in both]
        # Cut here, because the axis goes on above, behind the legend.
        for collection in collections:
            collection.set_segments([segment.clip((-np.inf, low), (np.inf, high)) for segment in collection.get_segments()])
        for cap in caps:
            tips = _heights(cap)
            cap.set_ydata(np.where((tips < low) | (tips > high), np.nan, tips))
    # Of all that is drawn at one position, the bar comes first, then the farthest seed.
    ends += sorted(_seeds(axis), key=lambda seed: -abs(seed[1] - (low + high) / 2))
    arrows: dict[tuple[float, float, str], float] = {}
    for position, end, color in ends:
        if end < low or end > high:
            arrows.setdefault((position, low if end < low else high, color), end)
    for (position, edge, color), end in arrows.items():
        _arrow(axis, position, end, edge, color)


def _arrow(axis: Axes, position: float, end: float, edge: float, color: str) -> None:
    up = end > edge
    axis.plot(position, edge, marker="^" if up else "v", color=color, linestyle="none", clip_on=False, gid="arrow")
    axis.annotate(
        f"{end:.3g}".replace("-", "\N{MINUS SIGN}"), (position, edge), xytext=(4, -1 if up else 1),
        textcoords="offset points", va="top" if up else "bottom", color=color, gid="arrow",
    )  # fmt: skip


def _containers(axis: Axes) -> list[ErrorbarContainer]:
    return [each for each in axis.containers if isinstance(each, ErrorbarContainer)]


def _heights(line: Line2D) -> Array:
    return np.asarray(line.get_ydata(), float)


def _means(axis: Axes) -> Array:
    means = np.concatenate([np.empty(0), *(_heights(each.lines[0]) for each in _containers(axis))])
    return means[np.isfinite(means)]


def _bars(container: ErrorbarContainer) -> Array:
    """Position, bottom and top of every bar, ``[n, 3]``."""
    segments = [segment for collection in container.lines[2] for segment in collection.get_segments() if len(segment)]
    bars = np.array([(part[0, 0], part[:, 1].min(), part[:, 1].max()) for part in segments], float).reshape(-1, 3)
    return bars[np.isfinite(bars).all(axis=1)]


def _seeds(axis: Axes) -> list[tuple[float, float, str]]:
    """Position, value and colour of every seed's point."""
    return [
        (float(position), float(value), str(line.get_color()))
        for line in axis.get_lines()
        if line.get_gid() == "seeds"
        for position, value in zip(np.asarray(line.get_xdata(), float), _heights(line), strict=True)
    ]


def _is_level(line: Line2D) -> bool:
    """Whether a line is a reference level: zero, a trivial predictor, or the value before training."""
    values = _heights(line)
    return len(values) == 2 and values[0] == values[1] and line.get_marker() in ("None", "", None)


def hide_crowded_labels(figure: Figure, panels: Sequence[Axes]) -> None:
    """Hide horizontal tick labels that would overlap; all ticks and the first and last label stay."""
    figure.draw_without_rendering()
    gap = 1.5 * figure.dpi / 72
    for axis in panels:
        labels = [label for label in axis.get_xticklabels() if label.get_text() and label.get_rotation() == 0]
        boxes = [label.get_window_extent() for label in labels]
        if len(boxes) < 3:
            continue
        taken = boxes[0].x1
        for label, box in zip(labels[1:-1], boxes[1:-1], strict=True):
            if box.x0 < taken + gap or box.x1 > boxes[-1].x0 - gap:
                label.set_visible(False)
            else:
                taken = box.x1
