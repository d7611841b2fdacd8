"""The catalogue, the experiment files and the documentation agree with the code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from replication.settings.config import Config
from replication.settings.grid import load_grid
from replication.settings.hyper import parse_hyper, resolve
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
        options = resolve("nlp", run.method_options, run.hyper)[0]["balance"]
        assert (options is None) == (run.method_options["balance"] is None)


def test_manual_names_every_option() -> None:
    manual = (ROOT / "docs/nlp.md").read_text()
    names = [*Task.model_fields, *ROW_METRICS, *GROUP_METRICS, *SPAN_METRICS]
    assert [name for name in names if f"`{name}`" not in manual] == []


def paper_trials(name: str) -> dict[tuple[str, float, str], list[dict]]:
    """(data set, ratio, method) -> hyper-parameters of each trial at paper scale."""
    grid = load_grid(ROOT, Config.from_mapping({"scale": "paper", "experiments": [name]}, ROOT))
    cells = grid.experiments[name].cells
    return {(cell.dataset, cell.ratio, cell.method): [trial.runs[0].hyper for trial in cell.trials] for cell in cells}


@pytest.mark.parametrize(("dataset", "rows"), [("cb", 56), ("hyperpartisan", 65)])
def test_published_scores_are_means_of_three_accuracies(dataset: str, rows: int, catalog: dict) -> None:
    published = pd.read_csv(ROOT / "workflow/resources/published_results.csv").query("dataset == @dataset")
    right = published["mean"] / 100 * 3 * rows
    assert len(published) >= 2
    assert ((right - right.round()).abs() <= 0.0001 * 3 * rows).all(), "to the last printed digit"
    assert parse_task(catalog["datasets"][dataset]).primary == "accuracy"


@pytest.mark.parametrize("artifact", ["table20", "table21", "table24"])
def test_a_published_mean_without_a_deviation_says_why(artifact: str) -> None:
    published = pd.read_csv(ROOT / "workflow/resources/published_results.csv").query("artifact == @artifact")
    assert len(published)
    assert (published["std"].notna() | published["note"].notna()).all()


@pytest.mark.parametrize(("dataset", "rows"), [("cb", 56), ("copa", 100)])
def test_published_deviations_are_those_of_three_counts_of_right_answers(dataset: str, rows: int) -> None:
    published = (
        pd.read_csv(ROOT / "workflow/resources/published_results.csv").query("dataset == @dataset").dropna(subset="std")
    )
    assert len(published) >= 5
    for mean, deviation in zip(published["mean"], published["std"], strict=True):
        total = round(mean / 100 * 3 * rows)
        counts = [(low, high, total - low - high) for low in range(rows + 1) for high in range(low, rows + 1)]
        possible = np.std([three for three in counts if 0 <= three[2] <= rows], axis=1) / rows * 100
        assert np.abs(possible - deviation).min() <= 0.01, (mean, deviation)


@pytest.mark.parametrize("dataset", ["scicite", "sciie"])
def test_domain_sets_with_published_accuracies_are_scored_by_them(dataset: str, catalog: dict) -> None:
    assert parse_task(catalog["datasets"][dataset]).primary == "accuracy"


def test_superglue_is_searched_and_truncated_as_released(catalog: dict) -> None:
    trials = paper_trials("table20_superglue")
    assert all({hyper["batch_size"] for hyper in found} == {16, 32} for found in trials.values())
    assert {parse_task(catalog["datasets"][dataset]).max_length for dataset, _, _ in trials} == {128}
    assert parse_task(catalog["datasets"]["multirc"]).primary == "group_f1"


def test_the_t_test_uses_the_best_settings_of_each_cell() -> None:
    searched = paper_trials("fig3_glue_ratio")
    for cell, trials in paper_trials("table15_ttest").items():
        assert trials == searched[cell], cell
        assert len(trials) > 1


def test_lora_has_the_epochs_and_rates_of_the_lora_paper_and_the_rates_of_appendix_d2() -> None:
    for (dataset, _, _), trials in paper_trials("table21_lora").items():
        expected = {"sst2": (60, 16, 5e-4), "mnli": (30, 16, 5e-4), "qnli": (25, 32, 4e-4), "qqp": (25, 16, 5e-4)}
        epochs, batch_size, rate = expected[dataset]
        tried = {(epochs, batch_size, lr) for lr in (2e-4, rate, 6e-4)}
        assert {(h["epochs"], h["batch_size"], h["lr"]) for h in trials} == tried


def test_the_published_sam_is_the_adaptive_one(catalog: dict) -> None:
    published = [name for name, method in catalog["methods"].items() if method.get("published_as") == "sam"]
    assert published == ["sam-adaptive"]
    assert catalog["methods"]["sam-adaptive"]["adaptive"]
    assert {"sam", "sam-adaptive"} <= {method for _, _, method in paper_trials("table1_addon")}
