"""Fixtures of the language tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from nlp_tiny import CORPUS, TINY_BERT, Chain, write_corpus


@pytest.fixture(scope="session")
def make_chain(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Chain]:
    def make(options: dict[str, Any], raw: Path, model: dict[str, Any] | None = None) -> Chain:
        return Chain(tmp_path_factory.mktemp("chain"), options, model or TINY_BERT, raw)

    return make


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="session")
def chain(make_chain: Callable[..., Chain], corpus: Path) -> Chain:
    return make_chain(CORPUS, corpus)


@pytest.fixture(scope="session")
def catalog(root: Path) -> dict[str, dict[str, Any]]:
    return {
        kind: yaml.safe_load((root / f"catalog/{kind}-nlp.yaml").read_text())[kind]
        for kind in ("datasets", "models", "methods")
    }
