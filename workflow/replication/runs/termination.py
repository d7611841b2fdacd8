"""SIGTERM, which schedulers send before a time limit: a training saves a checkpoint as soon as it can, then ends."""

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
    """Within the block the first SIGTERM is only noted; a second one has its usual effect (it kills).

    Outside the main thread, where Python allows no handler, the block changes nothing.
    """
    _asked.clear()
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)

    def note(number: int, frame: FrameType | None) -> None:
        _asked.set()
        signal.signal(signal.SIGTERM, before)

    signal.signal(signal.SIGTERM, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
