"""The figures' own style, for every test of this folder."""

from __future__ import annotations

import pytest

from replication.figures.style import style


@pytest.fixture(autouse=True)
def _style():
    with style():
        yield
