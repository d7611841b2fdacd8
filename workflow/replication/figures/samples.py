"""A test sample and two methods' predictions of it, for the figures and the animation of sample predictions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from replication.runs.predictions import Rollout
from replication.settings.paths import RunPath
from replication.errors import DataError
from replication.figures.data import FigureData, count_text, ratio_text
from replication.figures.style import ERROR_COLORS, FIELD_COLORS

Array = NDArray[np.floating]
MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Sample:
    """A test sample, its target, and the rollouts of the baseline and of the balanced method.

    Attributes:
        data: where titles and stand-ins are found.
        run: the baseline's.
        rollouts: the baseline's and the balanced method's.
    """

    data: FigureData
    run: RunPath
    rollouts: tuple[Rollout, Rollout]

    @classmethod
    def of(cls, data: FigureData, ndim: int) -> Sample:
        """The sample of a figure's data.

        Raises DataError if a method's rollout is missing, has not ``ndim`` space dimensions, or is of another
        sample than the other method's.
        """
        found = {run.method: (run, rollout) for run, rollout in data.predictions.items()}
        for method in data.pair:
            if method not in found:
                raise DataError(f"{data.artifact.name}: the sample predictions of a run of '{method}' are missing")
        (run, first), (_, second) = (found[method] for method in data.pair)
        if first.ndim != ndim:
            raise DataError(f"{data.artifact.name}: {run.dataset} has {first.ndim} space dimensions, expected {ndim}")
        if first.target.shape != second.target.shape or not np.array_equal(first.target, second.target):
            raise DataError(f"{data.artifact.name}: the two methods' sample predictions are of different samples")
        return cls(data, run, (first, second))

    @property
    def truth(self) -> Rollout:
        """The rollout whose target, grid and names stand for both methods."""
        return self.rollouts[0]

    @cached_property
    def methods(self) -> tuple[str, str]:
        """Titles of the two methods."""
        return self.data.title("method", self.data.pair[0]), self.data.title("method", self.data.pair[1])

    def error_limit(self, channel: int, frames: slice) -> float:
        """The largest finite error of both methods: the limit of the colour scale that they share."""
        largest = 0.0
        for errors in (rollout.errors() for rollout in self.rollouts):
            values = np.empty(0) if errors is None else np.abs(errors[..., frames, channel])
            largest = max(largest, float(values[np.isfinite(values)].max(initial=0.0)))
        return largest or 1.0

    def field_limits(self, channel: int, frames: slice) -> tuple[tuple[float, float], str]:
        """Limits of the colour scale shared by target and predictions, and matplotlib's ``extend`` for its colour bar.

        It reaches as far as any of them, but beyond the target's own range at most by that range's width: one
        prediction that is far off would leave the others a single colour.
        """
        target = self.truth.target[..., frames, channel]
        low, high = float(target.min()), float(target.max())
        width = (high - low) or 1.0
        shown = [rollout.prediction for rollout in self.rollouts if rollout.prediction is not None]
        values = np.concatenate([target.ravel(), *(array[..., frames, channel].ravel() for array in shown)])
        values = values[np.isfinite(values)]
        limits = max(float(values.min()), low - width), min(float(values.max()), high + width)
        beyond = bool((values < limits[0]).any()), bool((values > limits[1]).any())
        pointed = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[beyond]
        return (limits if limits[1] > limits[0] else (low - 0.5, low + 0.5)), pointed

    def stand_ins_and_setting(self) -> list[str]:
        """Small print: stand-ins, then model, data set, share of the data, seed and sample."""
        data, run = self.data, self.run
        runs = data.shown[(data.shown["dataset"] == run.dataset) & (data.shown["ratio"] == run.ratio)]
        count = f" ({count_text(runs['n_train'].iloc[0])} samples)" if len(runs) else ""
        where = f"{data.title('model', run.model)} on {data.title('dataset', run.dataset)}"
        return [
            *(f"Stand-in: {text}" for text in data.stand_ins),
            f"{where}, {ratio_text(run.ratio)} %{count}, seed {run.seed}, test sample {self.truth.sample}",
        ]


def number_text(value: float) -> str:
    """An nRMSE, three significant figures."""
    return f"{value:#.3g}".rstrip(".") if np.isfinite(value) else "not finite"


def edges(centres: Array) -> tuple[float, float]:
    """Outer edges of cells around evenly spaced centres, ``[N]``; a single cell is one wide."""
    half = (float(centres[-1]) - float(centres[0])) / (len(centres) - 1) / 2 if len(centres) > 1 else 0.5
    return float(centres[0]) - half, float(centres[-1]) + half


def draw_field(axis: Axes, values: Array, extent: tuple[float, ...], limits: tuple[float, float]) -> AxesImage:
    """Draw a field ``[horizontal, vertical]``."""
    return _image(axis, values, extent, limits, FIELD_COLORS)


def draw_error(axis: Axes, values: Array, extent: tuple[float, ...], limit: float) -> AxesImage:
    """Draw a signed error ``[horizontal, vertical]``; the scale goes from ``-limit`` to ``limit``, white is zero."""
    return _image(axis, values, extent, (-limit, limit), ERROR_COLORS)


def _image(axis: Axes, values: Array, extent: tuple[float, ...], limits: tuple[float, float], colors: str) -> AxesImage:
    left, right, bottom, top = extent
    _few_ticks(axis)
    return axis.imshow(
        np.ma.masked_invalid(values.T), origin="lower", extent=(left, right, bottom, top), vmin=limits[0],
        vmax=limits[1], cmap=colors, aspect="auto", interpolation="nearest",
    )  # fmt: skip


def draw_words(axis: Axes, words: str, extent: tuple[float, ...]) -> None:
    """Draw an empty panel with a text that says why it is empty."""
    axis.set_xlim(extent[0], extent[1])
    axis.set_ylim(extent[2], extent[3])
    _few_ticks(axis)
    axis.set_facecolor("0.94")
    axis.text(0.5, 0.5, words, transform=axis.transAxes, ha="center", va="center", gid="words")


def _few_ticks(axis: Axes) -> None:
    for side in (axis.xaxis, axis.yaxis):
        side.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
    axis.grid(visible=False)
