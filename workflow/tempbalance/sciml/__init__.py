"""Scientific machine learning: PDE data, neural operators, autoregressive training."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "count_training_rows": "tempbalance.sciml.data",
    "fetch": "tempbalance.sciml.fetching",
    "simulate": "tempbalance.sciml.simulation",
    "train": "tempbalance.sciml.training",
}

__all__ = ["count_training_rows", "fetch", "simulate", "train"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
