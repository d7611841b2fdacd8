"""Fixtures that every test may use."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say at the end what was skipped and for want of what, one line a reason."""
    skipped = Counter(
        str(report.longrepr[2]).removeprefix("Skipped: ") for report in terminalreporter.stats.get("skipped", [])
    )
    if skipped:
        terminalreporter.section("not tested here")
    for reason, count in skipped.most_common():
        terminalreporter.write_line(f"{count} skipped: {reason}")


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Oracles and real data sets beside the checkout; the maintainers' machines have them, a clone has not."""
    if not SHARED.is_dir():
        pytest.skip(
            "no ../shared beside this checkout: oracles and real data sets are only on the maintainers' machines"
        )
    return SHARED
