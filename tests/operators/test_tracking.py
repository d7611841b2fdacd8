"""TensorBoard's event files of a training have what it records, and do not change it."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from operators.conftest import SPEC, run_training
from replication.errors import ConfigError
from replication.operators.training import train
from replication.runs import tracking
from replication.runs.rundir import RunDir


def test_event_files_have_the_rows_of_the_run(flow, tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with RunDir.open(SPEC, tmp_path / "watched", inputs={"data": flow.name}) as run:
        run.report_to = "tensorboard"
        train(SPEC, data=flow, indices=list(range(8)), run=run)
        run.publish()
    events = accumulator.EventAccumulator(str(run.events)).Reload()
    history = pd.read_csv(run.folder / "history.csv")
    for tag, column in {"train/epoch_loss": "train_loss", "train/lr": "lr", "eval/nrmse": "val_nrmse"}.items():
        shown = {scalar.step: scalar.value for scalar in events.Scalars(tag)}
        assert shown == pytest.approx(dict(zip(history["epoch"], history[column], strict=True)), rel=1e-6)
    spectra = pd.read_csv(run.folder / "spectra.csv").dropna(subset=["alpha"])
    assert spectra["layer"].nunique() >= 2
    for (layer, epoch), row in spectra.groupby(["layer", "epoch"]):
        block = row["block"].iloc[0] if isinstance(row["block"].iloc[0], str) else layer
        for name in ("alpha", "lr"):
            assert epoch in {scalar.step for scalar in events.Scalars(f"train/{name}/{block}")}
    unwatched = run_training(tmp_path / "unwatched", flow).folder
    assert unwatched.relative_to(tmp_path / "unwatched") == run.folder.relative_to(tmp_path / "watched")
    for name in ("history.csv", "spectra.csv", "model.safetensors"):
        assert (run.folder / name).read_bytes() == (unwatched / name).read_bytes(), name
    assert not (unwatched / "tensorboard").exists()


def test_a_block_is_the_mean_of_its_layers_that_have_a_value():
    rows = [
        {"layer": "a.0.q", "block": "a.0", "alpha": 2.0, "lr": 1e-3},
        {"layer": "a.0.k", "block": "a.0", "alpha": 4.0, "lr": 3e-3},
        {"layer": "a.0.v", "block": "a.0", "alpha": None, "lr": math.nan},
        {"layer": "head", "block": None, "alpha": 5.0, "lr": 1e-3},
    ]
    found = tracking.block_scalars(rows)
    assert found == pytest.approx({"alpha/a.0": 3.0, "lr/a.0": 2e-3, "alpha/head": 5.0, "lr/head": 1e-3})


def test_a_missing_tensorboard_is_named(monkeypatch):
    tracking.check_tracker("none")
    monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="key 'report_to' is 'tensorboard', but that package is not installed"):
        tracking.check_tracker("tensorboard")
