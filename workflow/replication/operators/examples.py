"""Predictions of the first test samples, saved with every run for figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from replication.operators.rollout import Fields, Scale, predict
from replication.simulation.data import PDEFile

#: Number of test samples.
COUNT = 2


@dataclass(frozen=True)
class Examples:
    """The saved samples, without predictions.

    Attributes:
        fields: the samples, in physical units.
        channels: names of the channels, in order.
        times: times of the predicted frames ``[frames]``; empty if the file has none.
        rows: row of each sample in the data file ``[sample]``.
    """

    fields: Fields
    channels: tuple[str, ...]
    times: NDArray[np.floating]
    rows: NDArray[np.int64]

    @classmethod
    def of(cls, file: PDEFile, rows: NDArray[np.int64], fields: Fields, options: Mapping[str, Any]) -> Examples:
        """The first samples of a test set with the given rows and fields; ``options`` are the data set's."""
        times = file.times(options.get("reduced_resolution_t", 1))[-fields.target.shape[-2] :]
        # Indexing copies. A slice would keep the whole test set in memory after it was copied to the device.
        few = fields.part(torch.arange(min(COUNT, len(fields))))
        return cls(few, file.fields, times, rows[:COUNT])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Arrays to save for a run that diverged; ``prediction`` has no samples.

        ``target`` and ``prediction`` are ``[sample, x, (y), frames, channel]`` in physical units, ``grid`` is
        ``[x, (y), ndim]``. ``channels``, ``times`` and ``samples`` (rows of the data file) label the axes.
        """
        target = self.fields.target.cpu().numpy()
        return {
            "target": target, "prediction": target[:0], "grid": self.fields.grid.cpu().numpy(),
            "channels": np.array(self.channels), "times": self.times, "samples": self.rows,
        }  # fmt: skip

    @torch.inference_mode()
    def predicted(self, model: nn.Module, scale: Scale) -> dict[str, NDArray[Any]]:
        """The same arrays with the model's predictions."""
        model.eval()
        prediction = predict(model, self.fields.to(str(scale.target_mean.device)), scale)
        return {**self.arrays(), "prediction": prediction.cpu().numpy()}
