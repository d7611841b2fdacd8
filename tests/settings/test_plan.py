"""What a configuration would train: counts, hours and disk space, and what it needs."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from test_grid import pretrained
from test_rundir import finish

from replication.cli import app
from replication.runs.plan import needs_table, origin, plan_table, read_finished, work_of
from tempbalance.cli import guarded

LIMITS = {"train_nlp": 60.0, "train_sciml": 120.0, "pretrain": 180.0}


@pytest.fixture
def grid(repository):
    repository.block["search"] = {"lr": [0.001, 0.002]}
    return repository.grid()


def test_without_a_finished_run_the_rule_of_thumb_is_the_time_limit_by_share_of_the_rows(grid, tmp_path):
    table = plan_table(grid, read_finished(grid, tmp_path), LIMITS)
    row, total = table.iloc[0], table.iloc[-1]
    # Two ratios, two methods, two seeds, two rates.
    assert (row["trainings"], row["trials"], row["finished"], row["from"]) == (16, 8, 0, "rule of thumb")
    assert row["hours"] == pytest.approx(8 * 2.0 * (0.5 + 1.0))
    assert math.isnan(row["GB"])
    assert (total["model"], total["hours"]) == ("all", row["hours"])


def test_hours_come_from_the_finished_runs_of_the_nearest_ratio(grid, tmp_path):
    half = next(run for run in grid.runs.values() if run.ratio == 0.5)
    folder = finish(tmp_path, half, epochs=half.hyper["epochs"]).folder
    finished = read_finished(grid, tmp_path)
    table = plan_table(grid, finished.assign(seconds=3600.0), LIMITS)
    row = table.iloc[0]
    assert (row["finished"], row["from"]) == (1, "finished runs")
    assert row["hours"] == pytest.approx(7 * 1.0 + 8 * 2.0)
    size = sum(path.stat().st_size for path in folder.iterdir() if path.suffix in (".csv", ".npz", ".safetensors"))
    assert row["GB"] == pytest.approx(16 * size / 1e9)


def test_work_is_what_a_training_predicts_in_all_its_epochs(grid):
    run = next(run for run in grid.runs.values() if run.ratio == 0.5)

    def work(epochs=2, initial_steps=10, **options):
        hyper = {**run.hyper, "epochs": epochs, "initial_steps": initial_steps}
        return work_of(replace(run, dataset_options=options, hyper=hyper))

    flow = {"pde": "cfd1d", "samples": 24, "test_samples": 6, "validation_samples": 2, "cells": 64, "frames": 14}
    assert work(**flow) == 2 * 8 * 64 * 4
    assert work(**flow, epochs=6, initial_steps=12) == 6 * 8 * 64 * 2
    assert work(**flow, stored_cells=16) == work(**flow, reduced_resolution=4) == 2 * 8 * 16 * 4
    assert work(**flow, strides={"0.5": 4, "1": 1}) == 2 * 4 * 64 * 4
    assert work(**{**flow, "pde": "darcy", "frames": 0}) == 2 * 8 * 64**2
    # Of a data set whose size is not in the catalogue, the ratio is known.
    assert work() == 2 * 0.5


def test_a_pretraining_counts_as_a_training_with_a_time_limit_of_its_own(repository, tmp_path):
    grid = pretrained(repository).grid()
    table = plan_table(grid, read_finished(grid, tmp_path), LIMITS).set_index("dataset")
    assert tuple(table.loc["mixture", ["trainings", "finished", "from"]]) == (1, 0, "rule of thumb")
    assert table.loc["mixture", "hours"] == pytest.approx(3.0)
    assert table.loc["", "hours"] == pytest.approx(3.0 + table.loc["pde", "hours"])
    assert table.loc["", "trainings"] == table.loc["pde", "trainings"] + 1

    (made,) = grid.pretrainings.values()
    finish(tmp_path, replace(made, seed=1, hyper={**made.hyper, "epochs": 6}), epochs=6)
    finished = read_finished(grid, tmp_path).assign(seconds=7200.0)
    recorded = plan_table(grid, finished, LIMITS).set_index("dataset")
    assert tuple(recorded.loc["mixture", ["finished", "from"]]) == (0, "finished runs")
    assert recorded.loc["mixture", "hours"] == pytest.approx(1.0)

    finish(tmp_path, made, epochs=3)
    done = plan_table(grid, read_finished(grid, tmp_path), LIMITS).set_index("dataset")
    assert tuple(done.loc["mixture", ["finished", "hours"]]) == (1, 0.0)


def test_the_command_prints_the_slice(repository, root, tmp_path, monkeypatch, capsys):
    repository.config["only"] = {"method": ["tb"], "seed": [2]}
    (repository.write() / "profiles").mkdir()
    (repository.path / "profiles/resources.yaml").write_text((root / "profiles/resources.yaml").read_text())
    monkeypatch.chdir(repository.path)
    monkeypatch.setattr("sys.argv", ["replication", "plan"])
    assert guarded(app) == 0
    said = capsys.readouterr().out
    assert said.startswith('A part of the grid: {"method": ["tb"], "seed": [2]}')
    assert "simulated here" in said
    assert [line.split()[:5] for line in said.splitlines() if line.startswith("fno")] == [["fno", "pde", "2", "2", "0"]]


@pytest.mark.parametrize(
    ("options", "kind", "source", "there"),
    [
        ({"source": "simulate"}, "dataset", "simulated here", "yes"),
        ({"source": "pdebench", "url": "https://x"}, "dataset", "https://x", "download"),
        ({"source": "file", "file": "/no/such.h5"}, "dataset", "/no/such.h5", "no"),
        ({"source": {"file": __file__}}, "dataset", __file__, "yes"),
        ({"source": {"files": {"train": __file__, "test": "/no.csv"}}}, "dataset", f"{__file__}, /no.csv", "no"),
        ({"source": {"package": "numpy"}}, "dataset", "package numpy", "yes"),
        ({"source": {"parts": [{"package": "numpy"}, {"package": "none-1"}]}}, "model", "package numpy, none-1", "no"),
        ({"source": {"hub": "no-such/model"}}, "model", "hub no-such/model", "download"),
        ({"source": {"random": "bert"}}, "model", "made here", "yes"),
        ({"kind": "fno"}, "model", "made here", "yes"),
        ({"weights": None}, "model", "weights under `models:` in config.yaml", "no"),
        ({"weights": __file__}, "model", __file__, "yes"),
        ({}, "dataset", "its folder, under `data_folders:` in config.yaml", "no"),
    ],
)  # fmt: skip
def test_what_is_needed_and_whether_it_is_there(options, kind, source, there):
    assert origin(options, kind) == (source, there)


def test_data_that_is_made_already_and_folders_that_are_named_come_first(repository, tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    repository.config["data_folders"] = {"pde": "/no/such/folder"}
    needs = needs_table(repository.grid(), results).set_index("id")
    assert tuple(needs.loc["pde", ["source", "there"]]) == ("/no/such/folder", "no")
    (results / "data/pde").mkdir(parents=True)
    (results / "data/pde/data.h5").touch()
    needs = needs_table(repository.grid(), results).set_index("id")
    assert tuple(needs.loc["pde", ["source", "there"]]) == (str(results / "data/pde/data.h5"), "yes")
    assert needs.loc["fno", "there"] == "yes"
