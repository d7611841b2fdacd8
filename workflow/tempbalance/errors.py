"""The errors a user can cause: each carries one sentence that says what to do."""

from __future__ import annotations


class TempBalanceError(Exception):
    """Base of every error that is raised on purpose; ``exit_code`` is what a command line ends with."""

    exit_code = 2


class InputError(TempBalanceError, ValueError):
    """Bad input: a file, a value, a name. ``str(error)`` is one clear sentence."""


class DataError(InputError):
    """A data file that is missing, truncated, of the wrong shape, or not finite."""
