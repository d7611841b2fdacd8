"""A small repository on disk: catalogue and experiments, to be bent by tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

CATALOG: dict[str, Any] = {
    "models": {"fno": {"family": "sciml", "kind": "fno"}, "bert": {"family": "nlp", "hidden": 8}},
    "datasets": {
        "pde": {"family": "sciml", "source": "simulate", "strides": {"0.006": 180}},
        "text": {"family": "nlp", "source": "embedded"},
    },
    "methods": {
        "baseline": {"family": "sciml", "optimizer": "adam", "balance": None},
        "tb": {"family": "sciml", "optimizer": "adam", "balance": {"schedule": "sigmoid"}},
    },
}
EXPERIMENT: dict[str, Any] = {
    "title": "An experiment",
    "family": "sciml",
    "artifact": "table19_fig4",
    "scales": {
        "demo": {
            "stand_in": "a stand-in",
            "seeds": [1, 2],
            "grid": [
                {
                    "models": ["fno"],
                    "datasets": ["pde"],
                    "ratios": [0.5, 1.0],
                    "methods": ["baseline", "tb"],
                    "hyper": {"epochs": 2, "batch_size": 4, "lr": 0.001, "s": 1.0},
                    "overrides": [{"when": {"ratio": [0.5], "method": ["tb"]}, "hyper": {"s": 0.5}}],
                }
            ],
        }
    },
}


class Repository:
    """Writes the files; a test changes ``catalog`` and ``experiment`` first."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "experiments").mkdir()
        (path / "catalog").mkdir()
        self.catalog = yaml.safe_load(yaml.safe_dump(CATALOG))
        self.experiment = yaml.safe_load(yaml.safe_dump(EXPERIMENT))
        self.config: dict[str, Any] = {"scale": "demo", "experiments": ["study"]}

    @property
    def block(self) -> dict[str, Any]:
        return self.experiment["scales"]["demo"]["grid"][0]

    def write(self) -> Path:
        (self.path / "catalog" / "all.yaml").write_text(yaml.safe_dump(self.catalog))
        (self.path / "experiments" / "study.yaml").write_text(yaml.safe_dump(self.experiment))
        (self.path / "config.yaml").write_text(yaml.safe_dump(self.config))
        return self.path

    def grid(self) -> Any:
        from replication.settings.config import read_config
        from replication.settings.grid import load_grid

        root = self.write()
        return load_grid(root, read_config(root / "config.yaml", root))


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)
