"""SIGTERM, which schedulers send before a time limit: a training then saves a checkpoint and ends."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_asked = threading.Event()


def termination_asked() -> bool:
    """Whether this process was asked to end since :func:`ending_on_sigterm` began."""
    return _asked.is_set()


@contextmanager
def ending_on_sigterm() -> Iterator[None]:
    """Within the block, the first SIGTERM is only noted; a second one kills as usual."""
    _asked.clear()
    before = signal.getsignal(signal.SIGTERM)

    def note(number: int, frame: FrameType | None) -> None:
        _asked.set()
        signal.signal(signal.SIGTERM, before)

    signal.signal(signal.SIGTERM, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
