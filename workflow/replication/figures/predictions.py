"""Sample predictions: the target of a test sample, both methods' predictions, and their errors."""

from __future__ import annotations

from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from replication.figures.data import FigureData
from replication.figures.multiples import LETTERS, legend_handles, small_print
from replication.figures.samples import MINUS, Sample, draw_image, edges, number_text, say_diverged
from replication.figures.style import ERROR_COLORS, FIELD_COLORS, PAGE

#: Height of a row of panels, in inches.
PROFILE_ROW = 1.55
FIELD_ROW = 1.08
LAST = -1


def profiles_and_errors(data: FigureData) -> Figure:
    """1-D: profiles at the last predicted frame, and both methods' errors over space and time; one row per channel.

    Raises DataError if a method's sample predictions are missing or not of a 1-D flow.
    """
    sample = Sample.of(data, 1)
    figure, grid = _page(sample, 3, PROFILE_ROW, "constrained")
    for channel, row in enumerate(grid):
        _draw_profiles(row[0], sample, channel)
        _draw_error_maps(figure, list(row[1:]), sample, channel)
    handles = legend_handles(figure)
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=len(handles), columnspacing=1.5)
    return figure


def fields_and_errors(data: FigureData) -> Figure:
    """2-D, at the last predicted frame: target, both predictions, both errors; one row per channel.

    Raises DataError if a method's sample predictions are missing or not of a 2-D flow.
    """
    sample = Sample.of(data, 2)
    # The compressed layout leaves no gaps between square panels.
    figure, grid = _page(sample, 5, FIELD_ROW, "compressed")
    for channel, row in enumerate(grid):
        _draw_fields(figure, list(row), sample, channel)
        row[0].set_ylabel(f"({LETTERS[channel]}) {sample.truth.channels[channel]}\ny")
    for axis in grid[:, 1:].flat:
        axis.tick_params(labelleft=False)
    methods = [one.title for one in sample.predictions]
    heads = ("target", *methods, *(f"{method} {MINUS} target" for method in methods))
    grid[0, 0].set_title(sample.truth.moment(LAST))
    for axis, head in zip(grid[0], heads, strict=True):
        axis.set_title(f"{head}\n{axis.get_title()}")
    return figure


def _page(
    sample: Sample, columns: int, height: float, layout: Literal["constrained", "compressed"]
) -> tuple[Figure, np.ndarray]:
    """A page-wide figure with its small print, and its axes ``[channel, column]``."""
    rows = len(sample.truth.channels)
    figure = Figure(figsize=(PAGE, rows * height + 0.45), layout=layout)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True)
    for axis in axes[-1]:
        axis.set_xlabel("x")
    figure.suptitle(small_print(sample.notes, PAGE), style="italic", color="0.25")
    return figure, axes


def _draw_profiles(axis: Axes, sample: Sample, channel: int) -> None:
    truth, name = sample.truth, sample.truth.channels[channel]
    x = truth.grid[:, 0]
    axis.plot(x, truth.target[:, LAST, channel], color="0.6", linewidth=2.4, label="target")
    scores = []
    for one in sample.predictions:
        if one.diverged:
            scores.append(f"{one.title} diverged")
            continue
        values = np.ma.masked_invalid(one.values[:, LAST, channel])
        axis.plot(x, values, color=one.look.color, linestyle=one.look.dashes, linewidth=1.0, label=one.title)
        scores.append(f"{one.title} {number_text(one.nrmse[LAST, channel])}")
    axis.set_title(f"({LETTERS[channel]}) {name}, {truth.moment(LAST)}\nnRMSE: {', '.join(scores)}")
    axis.set_ylabel(name)


def _draw_error_maps(figure: Figure, axes: list[Axes], sample: Sample, channel: int) -> None:
    """Prediction minus target over space (across) and predicted frames (up), on one scale for both methods."""
    truth = sample.truth
    extent = (*edges(truth.grid[:, 0]), *edges(truth.time_axis))
    limits = sample.error_limits(channel, slice(None))
    for axis, one in zip(axes, sample.predictions, strict=True):
        image = draw_image(axis, one.errors[..., channel], extent, limits, ERROR_COLORS)
        title = f"nRMSE {number_text(one.nrmse[:, channel].mean())}, all frames"
        if one.diverged:
            say_diverged(axis)
            title = ""
        axis.set_title(f"{one.title} {MINUS} target\n{title}")
    axes[0].set_ylabel(sample.time_label)
    if not sample.all_diverged:
        figure.colorbar(image, ax=axes, label=f"error of {truth.channels[channel]}", aspect=14, pad=0.01)


def _draw_fields(figure: Figure, axes: list[Axes], sample: Sample, channel: int) -> None:
    """A channel's target, predictions and errors at the last predicted frame."""
    truth, last = sample.truth, slice(LAST, None)
    extent = (*edges(truth.grid[:, 0, 0]), *edges(truth.grid[0, :, 1]))
    limits, pointed = sample.field_limits(channel, last)
    target = draw_image(axes[0], truth.target[..., LAST, channel], extent, limits, FIELD_COLORS)
    for one, over, under in zip(sample.predictions, axes[1:3], axes[3:], strict=True):
        draw_image(over, one.values[..., LAST, channel], extent, limits, FIELD_COLORS)
        errors = draw_image(
            under, one.errors[..., LAST, channel], extent, sample.error_limits(channel, last), ERROR_COLORS
        )
        for axis in (over, under):
            if one.diverged:
                say_diverged(axis)
            else:
                axis.set_title(f"nRMSE {number_text(one.nrmse[LAST, channel])}")
    for axis in axes:
        axis.set_box_aspect((extent[3] - extent[2]) / (extent[1] - extent[0]))
    figure.colorbar(target, ax=axes[:3], aspect=14, pad=0.01, extend=pointed)
    if not sample.all_diverged:
        figure.colorbar(errors, ax=axes[3:], aspect=14, pad=0.01)
