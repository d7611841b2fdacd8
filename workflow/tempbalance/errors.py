"""The errors a user can cause: each carries one sentence that says what to do."""

from __future__ import annotations


class TempBalanceError(Exception):
    """Base of every error this package raises on purpose."""


class InputError(TempBalanceError, ValueError):
    """Bad input: a file, a value, a name. ``str(error)`` is one clear sentence."""


class ConfigError(InputError):
    """Bad configuration: the message names file, key, value and what was expected."""


class DataError(InputError):
    """A data file that is missing, truncated, of the wrong shape, or not finite."""


class BusyError(TempBalanceError):
    """Another process is writing the same run."""


class TerminatedError(TempBalanceError):
    """The process was asked to end (SIGTERM) and has saved what it needs to go on."""
