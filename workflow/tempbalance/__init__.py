"""TempBalance: heavy-tailed layer diagnostics and layer-wise learning rates for low-data training.

The public API is what this module names, and what the modules it names export; modules that begin with an underscore
may change at any time. Names are loaded when first used, so that a command-line call which needs no torch starts fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tempbalance import balance, errors, integrations, spectra
    from tempbalance.balance import TempBalance, linear_schedule, sigmoid_schedule
    from tempbalance.spectra import esd, layer_metrics, pl_alpha_hill

__version__ = "0.1.0"

__all__ = [
    "TempBalance",
    "balance",
    "errors",
    "esd",
    "integrations",
    "layer_metrics",
    "linear_schedule",
    "pl_alpha_hill",
    "sigmoid_schedule",
    "spectra",
]

#: Module of each name that is not a module itself.
_HOME = {
    "TempBalance": "balance",
    "esd": "spectra",
    "layer_metrics": "spectra",
    "linear_schedule": "balance",
    "pl_alpha_hill": "spectra",
    "sigmoid_schedule": "balance",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'tempbalance' has no attribute {name!r}")
    if name in _HOME:
        return getattr(import_module(f"tempbalance.{_HOME[name]}"), name)
    return import_module(f"tempbalance.{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
