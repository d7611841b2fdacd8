"""A test sample and two methods' predictions of it, for the figures and the animation of sample predictions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from replication.runs.predictions import Array, Rollout
from replication.errors import DataError
from replication.figures.data import FigureData
from replication.figures.style import BALANCED, BASELINE, Look

MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Prediction:
    """A method's prediction of a sample.

    Attributes:
        title: the method's.
        values: ``[x, (y), predicted frames, channel]``; these arrays are NaN if the run diverged.
        errors: prediction minus target, of the same shape.
        nrmse: ``[predicted frames, channel]``.
    """

    title: str
    look: Look
    diverged: bool
    values: Array
    errors: Array
    nrmse: Array

    @classmethod
    def of(cls, rollout: Rollout, title: str, look: Look) -> Prediction:
        values, nrmse = rollout.prediction, rollout.nrmse()
        if values is None or nrmse is None:
            values, nrmse = np.full_like(rollout.target, np.nan), np.full(rollout.target.shape[-2:], np.nan)
        return cls(title, look, rollout.prediction is None, values, values - rollout.target, nrmse)


@dataclass(frozen=True)
class Sample:
    """A test sample and its predictions.

    Attributes:
        truth: the rollout that has the target, the grid and the names.
        predictions: the baseline's and the balanced method's.
        notes: small print: stand-ins, then model, data set, share of the data, seed and sample.
    """

    truth: Rollout
    predictions: tuple[Prediction, Prediction]
    notes: list[str]

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
        if not np.array_equal(first.target, second.target):
            raise DataError(f"{data.artifact.name}: the two methods' sample predictions are of different samples")
        base, balanced = (data.title("method", method) for method in data.pair)
        predictions = Prediction.of(first, base, BASELINE), Prediction.of(second, balanced, BALANCED)
        where = f"{data.setting(run)}, seed {run.seed}, test sample {first.sample}"
        return cls(first, predictions, [*data.stand_ins, where])

    @property
    def time_label(self) -> str:
        """Label of the axis of :attr:`Rollout.time_axis`."""
        return "t" if len(self.truth.times) else "predicted frame"

    @property
    def all_diverged(self) -> bool:
        return all(one.diverged for one in self.predictions)

    def error_limits(self, channel: int, frames: slice) -> tuple[float, float]:
        """Limits of the colour scale of both methods' errors, symmetric about zero: the largest finite error."""
        values = np.abs([one.errors[..., frames, channel] for one in self.predictions])
        largest = float(values[np.isfinite(values)].max(initial=0.0)) or 1.0
        return -largest, largest

    def field_limits(self, channel: int, frames: slice) -> tuple[tuple[float, float], str]:
        """Limits of the colour scale shared by target and predictions, and matplotlib's ``extend`` for its colour bar.

        It reaches as far as any of them, but beyond the target's own range at most by that range's width: one
        prediction that is far off would leave the others a single colour.
        """
        arrays = self.truth.target, *(one.values for one in self.predictions)
        values = np.stack([array[..., frames, channel] for array in arrays])
        low, high = float(values[0].min()), float(values[0].max())
        width = (high - low) or 1.0
        values = values[np.isfinite(values)]
        limits = max(float(values.min()), low - width), min(float(values.max()), high + width)
        beyond = bool((values < limits[0]).any()), bool((values > limits[1]).any())
        pointed = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[beyond]
        return (limits if limits[1] > limits[0] else (low - 0.5, low + 0.5)), pointed


def number_text(value: float) -> str:
    """An nRMSE, three significant figures."""
    return f"{value:#.3g}".rstrip(".") if np.isfinite(value) else "not finite"


def edges(centres: Array) -> tuple[float, float]:
    """Outer edges of cells around evenly spaced centres, ``[N]``; a single cell is one wide."""
    half = (float(centres[-1]) - float(centres[0])) / (len(centres) - 1) / 2 if len(centres) > 1 else 0.5
    return float(centres[0]) - half, float(centres[-1]) + half


def draw_image(
    axis: Axes, values: Array, extent: tuple[float, float, float, float], limits: tuple[float, float], colors: str
) -> AxesImage:
    """Draw ``[horizontal, vertical]`` values; those that are not finite are left out."""
    for side in (axis.xaxis, axis.yaxis):
        side.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
    axis.grid(visible=False)
    return axis.imshow(
        np.ma.masked_invalid(values.T), origin="lower", extent=extent, vmin=limits[0], vmax=limits[1], cmap=colors,
        aspect="auto", interpolation="nearest",
    )  # fmt: skip


def say_diverged(axis: Axes) -> None:
    """Say in an empty panel why it is empty."""
    axis.set_facecolor("0.94")
    axis.text(0.5, 0.5, "diverged", transform=axis.transAxes, ha="center", va="center", gid="words")
