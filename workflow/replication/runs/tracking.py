"""Scalars for TensorBoard, or for another tracker of the transformers Trainer. They affect no result."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from replication.errors import ConfigError

#: Takes name -> value, and the epoch.
Sink = Callable[[dict[str, float], int], None]


def check_tracker(name: str) -> None:
    """Raise ConfigError if TensorBoard is requested but not installed; the Trainer checks other trackers."""
    if name == "tensorboard" and find_spec("tensorboard") is None:
        raise ConfigError(
            "key 'report_to' is 'tensorboard', but that package is not installed; run pip install "
            "--constraint envs/constraints.txt tensorboard"
        )


def epoch_scalars(row: Mapping[str, Any]) -> dict[str, float]:
    """A row of ``history.csv`` under the Trainer's names: ``eval_`` is the validation set.

    The loss is ``epoch_loss``, because the Trainer itself logs the ``loss`` of every step.
    """
    return {
        "epoch_loss" if name == "train_loss" else re.sub("^val_", "eval_", name): float(value)
        for name, value in row.items()
        if name not in ("epoch", "step")
    }


def block_scalars(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """``alpha/<block>`` and ``lr/<block>`` of one epoch's rows of ``spectra.csv``: means over a block's layers.

    A layer without a block counts as a block.
    """
    found: dict[str, list[float]] = {}
    for row in rows:
        for name in ("alpha", "lr"):
            value = row[name]
            if value is not None and math.isfinite(value):
                found.setdefault(f"{name}/{row['block'] or row['layer']}", []).append(value)
    return {name: sum(values) / len(values) for name, values in found.items()}


def tensorboard(folder: Path) -> Sink:
    """A sink that writes event files into a folder, with the tags of the Trainer's own callback."""
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder))

    def write(scalars: dict[str, float], epoch: int) -> None:
        for name, value in scalars.items():
            group, _, rest = name.partition("_")
            writer.add_scalar(f"{group}/{rest}" if group in ("eval", "test") else f"train/{name}", value, epoch)
        writer.flush()

    return write
