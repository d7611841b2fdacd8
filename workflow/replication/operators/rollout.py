"""Autoregressive prediction, and the samples it works on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from replication.errors import ConfigError
from replication.operators.fno import FNO
from replication.operators.metrics import Errors
from replication.settings.checks import whole_number
from replication.simulation.data import PDEFile


@dataclass(frozen=True)
class Fields:
    """Samples in memory."""

    inputs: Tensor  #: initial steps ``[sample, x, (y), frames, channel]``; for Darcy the coefficient, as one frame
    target: Tensor  #: frames to predict ``[sample, x, (y), frames, channel]``
    grid: Tensor  #: coordinates ``[x, (y), ndim]``
    steady: bool  #: whether ``inputs`` is not part of the solution (Darcy)

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def initial_steps(self) -> int:
        """Initial steps that are part of the solution."""
        return 0 if self.steady else self.inputs.shape[-2]

    def whole(self, frames: Tensor) -> Tensor:
        """The frames after the initial steps, if these are part of the solution."""
        return frames if self.steady else torch.cat((self.inputs, frames), dim=-2)

    def part(self, which: slice) -> Fields:
        """Some of the samples."""
        return replace(self, inputs=self.inputs[which], target=self.target[which])

    def to(self, device: str) -> Fields:
        """The same samples on a device."""
        return Fields(self.inputs.to(device), self.target.to(device), self.grid.to(device), self.steady)


def read_fields(
    file: PDEFile, rows: Sequence[int] | np.ndarray, options: Mapping[str, Any], initial_steps: int
) -> Fields:
    """Read samples from a file.

    ``options`` may have ``reduced_resolution`` and ``reduced_resolution_t`` (strides, 1 by default). ``initial_steps``
    counts the initial steps of a flow; Darcy has one.

    Raises ConfigError for a stride below 1, and if no frame is left to predict.
    """
    resolution, time_stride = (whole_number(options, key, 1) for key in ("reduced_resolution", "reduced_resolution_t"))
    grid = torch.from_numpy(file.grid(resolution))
    if file.steady:
        coefficient, solution = file.read_steady(list(rows), resolution)
        inputs, target = (torch.from_numpy(field).unsqueeze(-2) for field in (coefficient, solution))
        return Fields(inputs, target, grid, steady=True)
    values = torch.from_numpy(file.read(list(rows), resolution, time_stride))
    if initial_steps >= values.shape[-2]:
        raise ConfigError(
            f"hyper-parameter initial_steps is {initial_steps}, but {file.path} has {values.shape[-2]} frames; "
            "at least one must be left to predict"
        )
    return Fields(values[..., :initial_steps, :], values[..., initial_steps:, :], grid, steady=False)


class Scale(NamedTuple):
    """Channel-wise standardisation: mean and standard deviation of ``inputs`` and ``target``."""

    input_mean: Tensor
    input_std: Tensor
    target_mean: Tensor
    target_std: Tensor

    @classmethod
    def of(cls, fields: Fields) -> Scale:
        """Statistics of training samples; for a flow, over all frames together."""

        def moments(values: Tensor) -> tuple[Tensor, Tensor]:
            flat = values.flatten(0, -2)
            return flat.mean(0), flat.std(0, correction=0).clamp_min(1e-6)

        if fields.steady:
            return cls(*moments(fields.inputs), *moments(fields.target))
        both = moments(fields.whole(fields.target))
        return cls(*both, *both)

    @classmethod
    def identity(cls, fields: Fields) -> Scale:
        """No standardisation, as in the paper."""
        ones = [torch.ones(values.shape[-1]) for values in (fields.inputs, fields.target)]
        return cls(torch.zeros_like(ones[0]), ones[0], torch.zeros_like(ones[1]), ones[1])

    def to(self, device: str) -> Scale:
        """The same numbers on a device."""
        return Scale(*(values.to(device) for values in self))

    def apply(self, fields: Fields) -> Fields:
        """Standardised samples."""
        inputs = (fields.inputs - self.input_mean) / self.input_std
        target = (fields.target - self.target_mean) / self.target_std
        return replace(fields, inputs=inputs, target=target)

    def restore(self, predicted: Tensor) -> Tensor:
        """Predictions in physical units."""
        return predicted * self.target_std + self.target_mean


def rollout(model: nn.Module, inputs: Tensor, grid: Tensor, steps: int, unroll: int = 0) -> Tensor:
    """Predict ``steps`` frames, each from as many preceding ones as there are initial steps.

    The arguments ``inputs`` and ``grid`` are those of :class:`Fields`. The gradient goes through the last ``unroll``
    frames; 0: all.

    Returns ``[batch, x, (y), steps, channel]``, float32.
    """
    gradient = torch.is_grad_enabled()
    channels = inputs.shape[-1]
    coordinates = grid.expand(len(inputs), *grid.shape)
    window = inputs.flatten(-2)
    predicted = []
    with model.fixed_weights(tuple(grid.shape[:-1])) if isinstance(model, FNO) else nullcontext():
        for step in range(steps):
            with torch.set_grad_enabled(gradient and (unroll == 0 or step >= steps - unroll)):
                frame = model(window, coordinates).float()
            predicted.append(frame)
            if step + 1 < steps:
                window = torch.cat((window[..., channels:], frame), dim=-1)
    return torch.stack(predicted, dim=-2)


def rollout_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """The paper's loss: the mean squared error of each predicted frame, summed over frames."""
    return functional.mse_loss(predicted, target) * target.shape[-2]


def relative_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """The relative L2 error of each channel of a frame, summed over frames, averaged over channels and samples."""
    space = tuple(range(1, target.ndim - 2))
    size = target.square().sum(space).sqrt().clamp_min(1e-8)
    # The root has no gradient at 0.
    error = ((predicted - target).square().sum(space) + 1e-16).sqrt()
    return (error / size).mean() * target.shape[-2]


#: Losses (hyper-parameter ``loss``).
LOSSES = {"mse": rollout_loss, "relative": relative_loss}


def with_noise(inputs: Tensor, share: float) -> Tensor:
    """Add Gaussian noise: ``share`` times the standard deviation of each channel of a sample (as for DPOT)."""
    if not share:
        return inputs
    deviation = inputs.std(dim=tuple(range(1, inputs.ndim - 1)), keepdim=True)
    # Drawn on the CPU, because checkpoints store its generator.
    return inputs + share * deviation * torch.randn(inputs.shape).to(inputs.device)


@torch.inference_mode()
def evaluate(model: nn.Module, fields: Fields, scale: Scale, batch_size: int) -> dict[str, float]:
    """Errors in physical units (:class:`replication.operators.metrics.Errors`)."""
    model.eval()
    errors = Errors(fields.initial_steps)
    for start in range(0, len(fields), batch_size):
        part = fields.part(slice(start, start + batch_size))
        # PDEBench averages over all frames, including the initial steps.
        errors.update(part.whole(predict(model, part, scale)), part.whole(part.target))
    return errors.result()


def predict(model: nn.Module, fields: Fields, scale: Scale) -> Tensor:
    """Predicted frames in physical units, ``[sample, x, (y), frames, channel]``."""
    return scale.restore(rollout(model, scale.apply(fields).inputs, fields.grid, fields.target.shape[-2]))
