"""Snakemake's own bookkeeping of runs: what is trained again, what is shared, and what is only shown."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from planning import planned, records, trained

DATA = {
    "family": "sciml", "title": "A small flow", "source": "simulate", "pde": "cfd1d", "samples": 16, "cells": 16,
    "stored_cells": 16, "frames": 13, "t_end": 0.1, "test_samples": 4, "validation_samples": 4,
}  # fmt: skip
HYPER = {"epochs": 2, "batch_size": 4, "lr": 0.005, "s": 1.0}
NAME = "study"
TABLE = f"results/{NAME}/runs.csv"


class Study:
    """A copy of the workflow with experiments of its own."""

    def __init__(self, path: Path, root: Path, call: Callable[..., subprocess.CompletedProcess[str]]) -> None:
        self.path, self._call = path, call
        for name in ("workflow", "catalog", "profiles", "envs"):
            shutil.copytree(root / name, path / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        shutil.copy(root / "Snakefile", path)
        (path / "experiments").mkdir()
        self.config: dict[str, Any] = {
            "scale": "smoke", "device": "cpu", "experiments": [NAME], "datasets": {"small-flow": dict(DATA)},
        }  # fmt: skip

    def write(self, name: str = NAME, stand_in: str = "a stand-in", **block: Any) -> None:
        """Write an experiment: a baseline and a TempBalance cell, two seeds, unless ``block`` says otherwise."""
        grid = {
            "models": ["fno"], "datasets": ["small-flow"], "ratios": [1.0], "methods": ["baseline", "tb"],
            "hyper": HYPER, **block,
        }  # fmt: skip
        scale = {"stand_in": stand_in, "seeds": [1, 2], "grid": [grid]}
        content = {"title": name, "family": "sciml", "artifact": "table19_fig4", "scales": {"smoke": scale}}
        (self.path / f"experiments/{name}.yaml").write_text(yaml.safe_dump(content))

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        (self.path / "config.yaml").write_text(yaml.safe_dump(self.config))
        done = self._call(self.path, "--snakefile", str(self.path / "Snakefile"), *arguments)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-8000:]
        return done

    def plan(self, *arguments: str) -> dict[str, int]:
        return planned(self("-n", "--quiet", "rules", "--", *arguments).stdout)

    def table(self, name: str = NAME) -> pd.DataFrame:
        return pd.read_csv(self.path / "results" / name / "runs.csv")

    def trained_at(self) -> dict[Path, int]:
        """Record -> when it was written."""
        return {path: path.stat().st_mtime_ns for path in records(self.path)}


@pytest.fixture(scope="module")
def finished(root, snakemake, tmp_path_factory) -> Study:
    """A study whose four runs are trained."""
    study = Study(tmp_path_factory.mktemp("study"), root, snakemake)
    study.write()
    jobs = study.plan(TABLE)
    assert sum(trained(jobs).values()) == 2, "the seeds of a cell share a job"
    study(TABLE)
    assert len(records(study.path)) == 4
    return study


@pytest.fixture
def study(finished: Study) -> Study:
    """The trained study, brought back to its settings."""
    finished.write()
    finished.config = {**finished.config, "experiments": [NAME], "datasets": {"small-flow": dict(DATA)}}
    return finished


def test_a_new_title_and_stand_in_train_nothing_and_show_at_once(study):
    before = study.trained_at()
    study.config["datasets"]["small-flow"]["title"] = "A renamed flow"
    study.write(stand_in="a corrected sentence")
    assert not trained(study.plan(TABLE))
    study(TABLE)
    assert set(study.table()["dataset_title"]) == {"A renamed flow"}
    assert set(study.table()["stand_in"]) == {"a corrected sentence"}
    assert study.trained_at() == before


def test_forcing_one_run_trains_that_one(study):
    before = study.trained_at()
    chosen = next(path for path in before if "/tb/" in str(path) and path.parent.name == "seed=2")
    study("--forcerun", str(chosen.relative_to(study.path)), "--", TABLE)
    after = study.trained_at()
    assert [path for path in before if after[path] != before[path]] == [chosen]


def damage(path: Path, content: bytes, *, seen: bool = True) -> None:
    """Change a finished file. Its time is that of a minute later, or, where that is not ``seen``, as before."""
    times = (time.time() + 60,) * 2 if seen else (path.stat().st_atime, path.stat().st_mtime)
    path.write_bytes(content)
    os.utime(path, times)


@pytest.mark.parametrize("name", ["metrics.json", "model.safetensors"])
def test_a_run_whose_file_was_damaged_is_trained_again_by_the_same_call(study, name):
    study(TABLE)
    table = study.table()
    chosen = next(path for path in study.trained_at() if "/tb/" in str(path) and path.parent.name == "seed=1")
    path = chosen.with_name(name)
    content = path.read_bytes()
    damage(path, content[:-7] if name != "metrics.json" else content.replace(b'"epochs": 2', b'"epochs": 3'))
    damaged = study.trained_at()
    assert sum(trained(study.plan(TABLE)).values()) == 1
    assert study.trained_at().keys() == damaged.keys(), "a plan removes nothing"
    done = study(TABLE)
    (sentence,) = {line for line in (done.stdout + done.stderr).splitlines() if str(Path(*path.parts[-3:])) in line}
    assert sentence.endswith("snakemake trains the run again")
    assert {path for path, written in study.trained_at().items() if written != damaged[path]} == {chosen}
    assert name == "metrics.json" or path.read_bytes() == content
    same = ["run", "score", "alpha_mean", "selected_epoch", "epochs"]
    pd.testing.assert_frame_equal(study.table()[same], table[same])
    assert "Nothing to be done" in study(TABLE).stderr


def test_damage_that_no_time_shows_is_named_when_it_is_read_and_redone_by_the_next_call(study):
    study(TABLE)
    chosen = next(path for path in study.trained_at() if "/tb/" in str(path))
    layers = chosen.with_name("layers.csv")
    damage(layers, layers.read_bytes().replace(b"1", b"2", 1), seen=False)
    (study.path / TABLE).unlink()
    with pytest.raises(AssertionError, match=r"layers\.csv: was damaged or changed after it had been written"):
        study(TABLE)
    assert not (study.path / TABLE).exists(), "no table is made of it"
    study(TABLE)
    assert len(study.table()) == 4


@pytest.mark.parametrize("name", ["runs.csv", "trials.csv"])
def test_a_torn_table_is_made_again(study, name):
    study(TABLE)
    before, path = study.trained_at(), study.path / f"results/{NAME}/{name}"
    content = path.read_bytes()
    damage(path, content[: len(content) // 2])
    done = study(TABLE)
    assert re.search(rf"{NAME}/{name}: has \d+ bytes, .* damaged or changed; snakemake makes it again", done.stderr)
    assert path.read_bytes() == content
    assert study.trained_at() == before
    os.utime(path, (time.time() + 60,) * 2)
    assert "Nothing to be done" in study(TABLE).stderr, "touching changes no content"


def test_damaged_data_rows_and_scores_are_made_again_and_nothing_is_trained(study):
    study(TABLE)
    results = study.path / "results"
    damaged = [results / name for name in ("data/small-flow/data.h5", "trivial/small-flow.csv")]
    damaged += results.glob("subsets/small-flow/*.json")
    before = {path: path.read_bytes() for path in (*damaged, *records(study.path))}
    for path in damaged:
        damage(path, before[path].replace(b"0", b"1", 1))
    done = study(TABLE)
    for path in damaged:
        name = path.relative_to(study.path)
        assert f"{name}: was damaged or changed after it had been written; snakemake makes it again" in done.stderr
    assert {path: path.read_bytes() for path in before} == before, "the records too: they hold when a run was trained"
    assert not list(results.glob("runs/**/finished"))
    assert "Nothing to be done" in study(TABLE).stderr


def test_a_changed_hyper_parameter_leaves_the_old_run_and_changing_back_finds_it(study):
    before = study.trained_at()
    study.write(methods=["baseline"], hyper={**HYPER, "lr": 0.004})
    assert sum(trained(study.plan(TABLE)).values()) == 1
    study(TABLE)
    assert before.items() <= study.trained_at().items()
    assert len(records(study.path)) == 6
    study.write()
    assert not trained(study.plan(TABLE))
    study(TABLE)
    assert set(study.table()["hyper"].str.contains('"lr": 0.005')) == {True}


def test_another_device_or_keeping_no_weights_trains_nothing(study):
    study(TABLE)
    study.config.update(keep_models=False, device="auto", jobs_per_gpu=2)
    jobs = study.plan(TABLE)
    study.config.update(keep_models=True, device="cpu", jobs_per_gpu=1)
    assert not jobs, "where a job runs and what it leaves decide no number"


def test_another_time_between_checkpoints_trains_nothing_and_reaches_the_job(study):
    study(TABLE)
    study.write(hyper={**HYPER, "checkpoint_every_s": 5})
    assert not trained(study.plan(TABLE)), "checkpoints decide no number"
    forced = study("-n", "--printshellcmds", "--forcerun", "train_sciml", "--", TABLE).stdout
    assert forced.count("""--unseen '{"checkpoint_every_s":5.0}'""") == 4


def test_two_experiments_that_share_runs_train_each_once(root, snakemake, tmp_path):
    study = Study(tmp_path, root, snakemake)
    study.config["experiments"] = [NAME, "other"]
    study.write()
    study.write("other", methods=["tb"])
    both = [TABLE, "results/other/runs.csv"]
    assert sum(trained(study.plan(*both)).values()) == 2
    study(*both)
    shared = study.table()[study.table()["method"] == "tb"]
    assert list(shared["run"]) == list(study.table("other")["run"])
    assert not trained(study.plan(*both))


@pytest.mark.parametrize("keep", [True, False])
def test_a_search_keeps_weights_or_frees_their_disk_and_figures_build(root, snakemake, tmp_path, keep):
    study = Study(tmp_path, root, snakemake)
    study.config["keep_models"] = keep
    study.write(search={"s": [0.5, 1.0]})
    figure = "figures/fig6_alpha_std_sciml.png"
    study(figure, TABLE)
    assert (tmp_path / figure).is_file()
    assert len(records(tmp_path)) == 6
    assert len(study.table()) == 4
    assert len(list(tmp_path.rglob("*.safetensors"))) == (6 if keep else 0)
