"""The catalogue, the experiment files and the manual agree with what the code understands."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from replication.settings.config import Config
from replication.settings.grid import load_grid
from replication.settings.hyper import balance_options, parse_hyper
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
        hyper = parse_hyper("nlp", run.hyper)
        assert hyper.lr > 0
        options = balance_options("nlp", run.method_options, run.hyper)
        assert (options is None) == (run.method_options["balance"] is None)


def test_manual_names_every_option() -> None:
    manual = (ROOT / "docs/nlp.md").read_text()
    names = [item.name for item in fields(Task) if item.name != "texts"]
    names += [*ROW_METRICS, *GROUP_METRICS, *SPAN_METRICS]
    assert [name for name in names if f"`{name}`" not in manual] == []
