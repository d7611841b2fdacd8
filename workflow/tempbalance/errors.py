"""Errors that a user can cause; each message is one sentence that says what to do."""

from __future__ import annotations


class TempBalanceError(Exception):
    """Base of all errors raised on purpose; ``exit_code`` is the exit code of a command line."""

    exit_code = 2


class InputError(TempBalanceError, ValueError):
    """Bad input, such as a file, a value or a name."""


class DataError(InputError):
    """A data file that is missing, truncated, of the wrong shape or with values that are not finite."""
