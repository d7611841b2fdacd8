"""TempBalance: heavy-tailed layer diagnostics and layer-wise learning rates for low-data training.

The public API is what this module names, and what the modules it names export; modules that begin with an underscore
may change at any time. Names are loaded when first used, so that a command-line call which needs no torch starts fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tempbalance import balance as balance
    from tempbalance import errors as errors
    from tempbalance import integrations as integrations
    from tempbalance import spectra as spectra
    from tempbalance.balance import TempBalance as TempBalance
    from tempbalance.balance import linear_schedule as linear_schedule
    from tempbalance.balance import sigmoid_schedule as sigmoid_schedule
    from tempbalance.spectra import esd as esd
    from tempbalance.spectra import layer_metrics as layer_metrics
    from tempbalance.spectra import pl_alpha_hill as pl_alpha_hill

__version__ = "0.1.0"

_MODULES = ("balance", "errors", "integrations", "spectra")
_HOME = {
    "TempBalance": "tempbalance.balance",
    "esd": "tempbalance.spectra",
    "layer_metrics": "tempbalance.spectra",
    "linear_schedule": "tempbalance.balance",
    "pl_alpha_hill": "tempbalance.spectra",
    "sigmoid_schedule": "tempbalance.balance",
}

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


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"tempbalance.{name}")
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'tempbalance' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
