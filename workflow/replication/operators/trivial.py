"""Trivial predictors of PDE data, which a network should beat."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from replication.operators.metrics import Errors
from replication.operators.rollout import Fields, read_fields
from replication.simulation.data import PDEFile, split

CHUNK = 64
#: Initial steps of a flow, as in every experiment (hyper-parameter ``initial_steps``).
INITIAL_STEPS = 10
METRICS = ("nrmse", "nrmse_rollout")


def trivial_predictions(fields: Fields, training_mean: Tensor) -> dict[str, Tensor]:
    """Predictor -> its predictions ``[sample, x, (y), frames, channel]``.

    The predictors are zero and the mean of the training targets ``[x, (y), frames, channel]``; for a flow also the last
    initial step (persistence), and the linear extrapolation of the last two.
    """
    found = {
        "zero": torch.zeros_like(fields.target),
        "training_mean": training_mean.expand_as(fields.target),
    }
    if not fields.steady:
        last = fields.inputs[..., -1:, :]
        found["persistence"] = last.expand_as(fields.target)
        if fields.inputs.shape[-2] > 1:
            steps = torch.arange(1, fields.target.shape[-2] + 1, dtype=last.dtype).unsqueeze(-1)
            found["extrapolation"] = last + steps * (last - fields.inputs[..., -2:-1, :])
    return found


def trivial_errors(data: Path, options: Mapping[str, Any]) -> list[tuple[str, str, float]]:
    """Errors of the trivial predictors on the test rows of an HDF5 file, as (predictor, metric, value).

    The metrics are ``nrmse`` and ``nrmse_rollout`` (:class:`replication.operators.metrics.Errors`).

    Raises DataError for a bad file, ConfigError for options that do not fit it.
    """
    with PDEFile(data) as file:
        rows = split(file.rows, options)
        sums = [fields.target.double().sum(0) for fields in _chunks(file, rows.train, options)]
        mean = (torch.stack(sums).sum(0) / len(rows.train)).float()
        errors: dict[str, Errors] = {}
        for fields in _chunks(file, rows.test, options):
            for name, predicted in trivial_predictions(fields, mean).items():
                found = errors.setdefault(name, Errors(fields.initial_steps))
                found.update(fields.whole(predicted), fields.whole(fields.target))
    return [(name, metric, each.result()[metric]) for name, each in errors.items() for metric in METRICS]


def _chunks(file: PDEFile, rows: NDArray[np.int64], options: Mapping[str, Any]) -> Iterator[Fields]:
    for start in range(0, len(rows), CHUNK):
        yield read_fields(file, rows[start : start + CHUNK], options, INITIAL_STEPS)
