"""Language tasks: corpora, tasks, fine-tuning with the transformers Trainer."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "count_training_rows": "tempbalance.nlp.preparing",
    "fetch": "tempbalance.nlp.fetching",
    "finetune": "tempbalance.nlp.training",
    "prepare": "tempbalance.nlp.preparing",
    "tokenize": "tempbalance.nlp.tokens",
    "training_labels": "tempbalance.nlp.preparing",
}

__all__ = ["count_training_rows", "fetch", "finetune", "prepare", "tokenize", "training_labels"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
