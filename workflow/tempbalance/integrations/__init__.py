"""Hooks for training frameworks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tempbalance.integrations._neuraloperator import balance_trainer

if TYPE_CHECKING:
    from tempbalance.integrations._transformers import TempBalanceCallback

__all__ = ["TempBalanceCallback", "balance_trainer"]


def __getattr__(name: str) -> Any:
    if name == "TempBalanceCallback":  # the only one that needs transformers
        from tempbalance.integrations._transformers import TempBalanceCallback

        return TempBalanceCallback
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
