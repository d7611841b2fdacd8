"""The catalogue, the experiment files and the manual agree with what the code understands."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from replication.errors import ConfigError
from replication.settings.config import Config
from replication.settings.grid import load_grid
from replication.text.hyper import BALANCE_KEYS, METHOD_KEYS, Hyper, balance_options, parse_hyper
from replication.text.metrics import GROUP_METRICS, ROW_METRICS, SPAN_METRICS
from replication.text.tasks import Task, parse_task

ROOT = Path(__file__).resolve().parents[2]
EXPERIMENTS = {path.stem: yaml.safe_load(path.read_text()) for path in sorted((ROOT / "experiments").glob("*.yaml"))}
NLP = [
    (name, scale) for name, content in EXPERIMENTS.items() if content["family"] == "nlp" for scale in content["scales"]
]


@pytest.mark.parametrize(("name", "scale"), NLP)
def test_every_run_of_every_grid_is_understood(name: str, scale: str) -> None:
    grid = load_grid(ROOT, Config.from_mapping({"scale": scale, "experiments": [name]}, ROOT))
    for run in grid.runs.values():
        parse_task(run.dataset_options)
        hyper = parse_hyper(run.hyper)
        assert hyper.lr > 0
        options = balance_options(run.method_options, run.hyper)
        assert (options is None) == (run.method_options["balance"] is None)


def test_manual_names_every_option() -> None:
    manual = (ROOT / "docs/nlp.md").read_text()
    names = [item.name for item in fields(Hyper)] + [item.name for item in fields(Task) if item.name != "texts"]
    names += [*BALANCE_KEYS, *METHOD_KEYS, *ROW_METRICS, *GROUP_METRICS, *SPAN_METRICS]
    assert [name for name in names if f"`{name}`" not in manual] == []


def test_a_search_over_s_sets_both_sides_and_hyper_parameters_win() -> None:
    method = {"optimizer": "adamw", "balance": {"s_min": 0.1, "tau": 5}}
    assert balance_options(method, {"s": 1.25}) == {"s_min": 1.25, "s_max": 1.25, "tau": 5}
    assert balance_options(method, {"s_min": 2.0, "s_max": 1.0}) == {"s_min": 2.0, "s_max": 1.0, "tau": 5}
    assert balance_options({"optimizer": "adamw", "balance": {}}, {}) == {}
    assert balance_options({"optimizer": "adamw", "balance": None}, {"s": 1.0}) is None


def test_a_missing_hyper_parameter_is_named() -> None:
    with pytest.raises(ConfigError, match="'lr' is missing"):
        parse_hyper({"epochs": 1, "batch_size": 2})
