"""Hooks for training frameworks, imported when first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tempbalance.integrations._neuraloperator import balance_trainer as balance_trainer
    from tempbalance.integrations._transformers import TempBalanceCallback as TempBalanceCallback

_HOME = {
    "TempBalanceCallback": "tempbalance.integrations._transformers",
    "balance_trainer": "tempbalance.integrations._neuraloperator",
}

__all__ = ["TempBalanceCallback", "balance_trainer"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
