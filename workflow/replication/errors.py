"""The library's errors, and those that the study adds."""

from __future__ import annotations

import signal

from tempbalance.errors import DataError, InputError, TempBalanceError

__all__ = ["BusyError", "ConfigError", "DataError", "InputError", "TempBalanceError", "TerminatedError"]


class ConfigError(InputError):
    """Bad configuration: the message names file, key, value and what was expected."""


class BusyError(TempBalanceError):
    """Another process is writing the same run."""


class TerminatedError(TempBalanceError):
    """The process was asked to end (SIGTERM) and has saved what it needs to continue."""

    exit_code = 128 + signal.SIGTERM
