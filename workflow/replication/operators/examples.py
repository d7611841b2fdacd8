"""Predictions of the first test samples, saved with every run for figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from replication.operators.rollout import Fields, Scale, predict
from replication.simulation.data import PDEFile

#: Number of test samples.
COUNT = 2


def example_labels(file: PDEFile, rows: NDArray[np.int64], options: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Channels, times of all frames (empty if the file has none), and rows in the file of the saved test samples."""
    times = file.times(options.get("reduced_resolution_t", 1))
    return {"channels": np.array(file.fields), "times": times, "samples": rows[:COUNT]}


@torch.inference_mode()
def examples(
    model: nn.Module | None, fields: Fields, scale: Scale, labels: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """Arrays to save.

    ``target`` and ``prediction`` are ``[sample, x, (y), frames, channel]`` in physical units, ``grid`` is
    ``[x, (y), ndim]``. ``labels`` (:func:`example_labels`) name the axes. Without a model, for a run that diverged,
    ``prediction`` has no samples.
    """
    few = fields.part(slice(COUNT))
    prediction = few.target[:0] if model is None else predict(model.eval(), few, scale)
    return {
        "target": few.target.cpu().numpy(), "prediction": prediction.cpu().numpy(), "grid": few.grid.cpu().numpy(),
        **labels, "times": labels["times"][-few.target.shape[-2] :],
    }  # fmt: skip
