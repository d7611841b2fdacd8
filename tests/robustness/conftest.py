"""Fixtures of the robustness tests."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import Starter, TinyRun, make_pde_run, make_text_run


@pytest.fixture(scope="session")
def starter() -> Iterator[Starter]:
    made = Starter()
    yield made
    made.close()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], TinyRun]:
    """``tiny("text")`` and ``tiny("pde")``: a training a family, made once."""

    @cache
    def make(name: str) -> TinyRun:
        folder = tmp_path_factory.mktemp(f"inputs-{name}")
        return make_text_run(folder, epochs=8) if name == "text" else make_pde_run(folder, epochs=20)

    return make


@pytest.fixture(scope="session")
def undisturbed(
    starter: Starter, tiny: Callable[[str], TinyRun], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[dict[str, Any], float]]:
    """What each training gives when nothing happens, and the seconds it takes."""

    @cache
    def make(name: str) -> tuple[dict[str, Any], float]:
        folder: Path = tmp_path_factory.mktemp(f"whole-{name}")
        started = time.monotonic()
        process = starter.start(tiny(name).arguments, folder)
        assert process.wait() == 0, process.output
        return tiny(name).result(folder), time.monotonic() - started

    return make


@pytest.fixture(scope="session")
def whole(undisturbed: Callable[[str], tuple[dict[str, Any], float]]) -> Callable[[str], dict[str, Any]]:
    """What each training gives when nothing happens."""
    return lambda name: undisturbed(name)[0]
