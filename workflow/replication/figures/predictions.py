"""Sample predictions: the target of a test sample, both methods' predictions, and their errors."""

from __future__ import annotations

from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from replication.figures.data import FigureData
from replication.figures.multiples import LETTERS, legend_handles, small_print
from replication.figures.samples import (
    MINUS,
    Sample,
    draw_error,
    draw_field,
    draw_words,
    edges,
    number_text,
)
from replication.figures.style import BALANCED, BASELINE, PAGE

#: Height of a row of panels, in inches.
PROFILE_ROW = 1.55
FIELD_ROW = 1.08
LAST = -1


def profiles_and_errors(data: FigureData) -> Figure:
    """1-D: profiles at the last predicted frame, and both methods' errors over space and time; one row per channel.

    Raises DataError if a method's sample predictions are missing or not of a 1-D flow.
    """
    sample = Sample.of(data, 1)
    channels = sample.truth.channels
    figure, grid, line = _page(len(channels), 3, PROFILE_ROW, "constrained", sample)
    for channel, row in enumerate(grid):
        _draw_profiles(row[0], sample, channel)
        _draw_error_maps(figure, list(row[1:]), sample, channel)
    handles = legend_handles(figure)
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=len(handles), columnspacing=1.5)
    figure.suptitle(line, style="italic", color="0.25")
    return figure


def fields_and_errors(data: FigureData) -> Figure:
    """2-D, at the last predicted frame: target, both predictions, both errors; one row per channel.

    Raises DataError if a method's sample predictions are missing or not of a 2-D flow.
    """
    sample = Sample.of(data, 2)
    channels = sample.truth.channels
    # The compressed layout leaves no gaps between square panels.
    figure, grid, line = _page(len(channels), 5, FIELD_ROW, "compressed", sample)
    for channel, row in enumerate(grid):
        _draw_fields(figure, list(row), sample, channel)
        row[0].set_ylabel(f"({LETTERS[channel]}) {channels[channel]}\ny")
    for axis in grid[-1]:
        axis.set_xlabel("x")
    for axis in grid[:, 1:].flat:
        axis.tick_params(labelleft=False)
    heads = ("target", *sample.methods, *(f"{method} {MINUS} target" for method in sample.methods))
    grid[0, 0].set_title(sample.truth.moment(LAST))
    for axis, head in zip(grid[0], heads, strict=True):
        axis.set_title(f"{head}\n{axis.get_title()}")
    figure.suptitle(line, style="italic", color="0.25")
    return figure


def _page(
    rows: int, columns: int, height: float, layout: Literal["constrained", "compressed"], sample: Sample
) -> tuple[Figure, np.ndarray, str]:
    """A page-wide figure, its axes ``[rows, columns]``, and its small print."""
    figure = Figure(figsize=(PAGE, rows * height + 0.45), layout=layout)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True)
    return figure, axes, small_print(sample.stand_ins_and_setting(), PAGE)


def _draw_profiles(axis: Axes, sample: Sample, channel: int) -> None:
    truth = sample.truth
    x = truth.grid[:, 0]
    target = truth.target[:, LAST, channel]
    axis.plot(x, target, color="0.6", linewidth=2.4, label="target")
    scores = []
    for method, look, rollout in zip(sample.methods, (BASELINE, BALANCED), sample.rollouts, strict=True):
        nrmse = rollout.nrmse()
        if rollout.prediction is None or nrmse is None:
            scores.append(f"{method} diverged")
            continue
        values = np.ma.masked_invalid(rollout.prediction[:, LAST, channel])
        axis.plot(x, values, color=look.color, linestyle=look.dashes, linewidth=1.0, label=method)
        scores.append(f"{method} {number_text(float(nrmse[LAST, channel]))}")
    name = truth.channels[channel]
    axis.set_title(f"({LETTERS[channel]}) {name}, {truth.moment(LAST)}\nnRMSE: {', '.join(scores)}")
    axis.set(xlabel="x" if channel == len(truth.channels) - 1 else "", ylabel=name)


def _draw_error_maps(figure: Figure, axes: list[Axes], sample: Sample, channel: int) -> None:
    """Prediction minus target over space (across) and predicted frames (up), on one scale for both methods."""
    truth = sample.truth
    extent = (*edges(truth.grid[:, 0]), *edges(truth.time_axis))
    limit = sample.error_limit(channel, slice(None))
    image: AxesImage | None = None
    for axis, method, rollout in zip(axes, sample.methods, sample.rollouts, strict=True):
        errors, nrmse = rollout.errors(), rollout.nrmse()
        if errors is None or nrmse is None:
            draw_words(axis, "diverged", extent)
            title = ""
        else:
            image = draw_error(axis, errors[..., channel], extent, limit)
            title = f"nRMSE {number_text(float(nrmse[:, channel].mean()))}, all frames"
        axis.set_title(f"{method} {MINUS} target\n{title}")
        axis.set_xlabel("x" if channel == len(truth.channels) - 1 else "")
    axes[0].set_ylabel("t" if len(truth.times) else "predicted frame")
    if image is not None:
        figure.colorbar(image, ax=axes, label=f"error of {truth.channels[channel]}", aspect=14, pad=0.01)


def _draw_fields(figure: Figure, axes: list[Axes], sample: Sample, channel: int) -> None:
    """A channel's target, predictions and errors at the last predicted frame."""
    truth = sample.truth
    extent = (*edges(truth.grid[:, 0, 0]), *edges(truth.grid[0, :, 1]))
    last = slice(truth.frames - 1, None)
    limits, pointed = sample.field_limits(channel, last)
    limit = sample.error_limit(channel, last)
    target = draw_field(axes[0], truth.target[..., LAST, channel], extent, limits)
    errors: AxesImage | None = None
    for offset, rollout in enumerate(sample.rollouts):
        prediction, error, nrmse = rollout.prediction, rollout.errors(), rollout.nrmse()
        over, under = axes[1 + offset], axes[3 + offset]
        if prediction is None or error is None or nrmse is None:
            draw_words(over, "diverged", extent)
            draw_words(under, "diverged", extent)
            continue
        draw_field(over, prediction[..., LAST, channel], extent, limits)
        errors = draw_error(under, error[..., LAST, channel], extent, limit)
        for axis in (over, under):
            axis.set_title(f"nRMSE {number_text(float(nrmse[LAST, channel]))}")
    for axis in axes:
        axis.set_box_aspect((extent[3] - extent[2]) / (extent[1] - extent[0]))
    figure.colorbar(target, ax=axes[:3], aspect=14, pad=0.01, extend=pointed)
    if errors is not None:
        figure.colorbar(errors, ax=axes[3:], aspect=14, pad=0.01)
