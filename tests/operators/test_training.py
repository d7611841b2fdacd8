"""Training runs: records, resuming bit for bit, and errors."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch

from replication.errors import ConfigError, DataError
from replication.operators.fno import FNO
from replication.operators.rollout import rollout
from replication.operators.spectral import transform
from replication.runs.rundir import RunDir
from replication.simulation.data import PDEFile

from .conftest import BASELINE, DARCY, FLOW, HYPER, SPEC, run_training

FEW = {**HYPER, "epochs": 1, "initial_steps": 3}


def record(run):
    return json.loads((run.folder / "metrics.json").read_text())


def test_a_run_records_both_protocols_and_both_nrmse(tmp_path, flow):
    run = run_training(tmp_path, flow, hyper={**HYPER, "evaluate_test_every": 1})
    values = record(run)
    assert values["status"] == "finished"
    assert values["primary"] == "nrmse"
    assert values["n_train"] == 8
    metrics = values["metrics"]
    history = pd.read_csv(run.folder / "history.csv")
    assert history["epoch"].tolist() == [1, 2, 3, 4]
    assert metrics["val"]["selected"]["nrmse"] == pytest.approx(history["val_nrmse"].min())
    assert metrics["test"]["paper"]["nrmse"] == pytest.approx(history["test_nrmse"].min())
    chosen = history.set_index("epoch").loc[values["selected_epoch"]]
    assert metrics["test"]["selected"]["nrmse"] == pytest.approx(chosen["test_nrmse"], rel=1e-5)
    assert metrics["test"]["selected"]["nrmse_rollout"] == pytest.approx(
        metrics["test"]["selected"]["nrmse"] * 13 / 3, rel=1e-5
    )


def test_the_default_protocol_uses_the_test_set_only_at_the_end(tmp_path, flow):
    run = run_training(tmp_path, flow)
    assert record(run)["metrics"]["test"]["paper"] is None
    assert not [name for name in pd.read_csv(run.folder / "history.csv") if name.startswith("test_")]


def test_balancing_moves_rates_and_the_baseline_has_one(tmp_path, flow):
    balanced = pd.read_csv(run_training(tmp_path, flow).folder / "spectra.csv")
    plain = pd.read_csv(run_training(tmp_path, flow, method="baseline", method_options=BASELINE).folder / "spectra.csv")
    measured = balanced.dropna(subset=["alpha"])
    assert (measured.groupby("epoch")["lr"].nunique() > 1).all()
    assert (plain.groupby("epoch")["lr"].nunique() == 1).all()
    assert balanced["epoch"].unique().tolist() == [0, 1, 2, 3, 4]
    # fc2 has only 3 eigenvalues, so it keeps the base rate, which is halved after two epochs.
    assert balanced[balanced["layer"] == "fc2"]["lr"].tolist() == pytest.approx([5e-3, 5e-3, 2.5e-3, 2.5e-3, 1.25e-3])


def test_darcy_is_a_single_step(tmp_path, darcy):
    run = run_training(tmp_path, darcy, dataset="darcy", dataset_options=DARCY)
    metrics = record(run)["metrics"]["test"]["selected"]
    assert metrics["nrmse"] == metrics["nrmse_rollout"]
    with np.load(run.folder / "predictions.npz", allow_pickle=False) as arrays:
        assert arrays["prediction"].shape == arrays["target"].shape == (2, 16, 16, 1, 1)


def predictions(run):
    with np.load(run.folder / "predictions.npz", allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def test_a_run_saves_rollouts_of_its_first_test_samples(tmp_path, flow):
    run = run_training(tmp_path, flow, dataset_options={**FLOW, "reduced_resolution_t": 2}, hyper=FEW)
    kept = predictions(run)
    assert kept["prediction"].shape == kept["target"].shape == (2, 16, 4, 3)
    assert kept["channels"].tolist() == ["density", "pressure", "Vx"]
    assert kept["samples"].tolist() == [0, 1]
    assert kept["grid"].shape == (16, 1)
    with h5py.File(flow) as file:
        np.testing.assert_array_equal(kept["target"][1, ..., 0].T, file["density"][1, 6::2])
        np.testing.assert_allclose(kept["times"], np.arange(6, 13, 2) * FLOW["t_end"] / 12, rtol=1e-6)


def test_a_run_that_diverged_saves_targets_without_predictions(tmp_path, flow):
    kept = predictions(run_training(tmp_path, flow, hyper={**HYPER, "lr": 1e18}))
    assert kept["prediction"].shape == (0, 16, 3, 3)
    assert kept["target"].shape == (2, 16, 3, 3)


def test_a_file_without_times_has_none(tmp_path, flow, darcy):
    bare = tmp_path / "bare.h5"
    shutil.copy(flow, bare)
    with h5py.File(bare, "a") as file:
        del file["t-coordinate"]
    for path in (bare, darcy):
        with PDEFile(path) as file:
            assert file.times().shape == (0,)


BALANCED = {"optimizer": "adam", "balance": {}}
UNET = {"kind": "unet", "init_features": 2, "spectra": {"min_count": 2}}
# Both sets are evaluated, but not every epoch, and batches do not divide the subset: all of this is state.
PAPER = {"evaluate_test_every": 1, "evaluate_every": 2, "batch_size": 3}
PRETRAINING = {"noise": 0.1, "scheduler": "one-cycle", "loss": "relative"}


@pytest.mark.parametrize(
    ("method_options", "changed_hyper", "model_options"),
    [
        (BASELINE, {}, SPEC.model_options),
        (BALANCED, {}, SPEC.model_options),
        (BALANCED, {**PAPER, "complex_second_moment": "joint"}, SPEC.model_options),
        (BALANCED, PAPER, UNET),
        (BALANCED, PRETRAINING, SPEC.model_options),
    ],
    ids=["baseline", "tb", "paper-protocol", "unet", "pretraining"],
)
def test_a_killed_run_resumes_bit_for_bit(tmp_path, flow, monkeypatch, method_options, changed_hyper, model_options):
    changes = {
        "method_options": method_options,
        "model_options": model_options,
        "hyper": {**HYPER, "checkpoint_every_s": 0, **changed_hyper},
    }
    whole = run_training(tmp_path / "whole", flow, **changes)
    if model_options is UNET:  # the best epochs are before the last, so a resumed run must remember them
        assert max(record(whole)["selected_epoch"], record(whole)["paper_epoch"]) < HYPER["epochs"]
    for stop in (1, 2, 3):
        results = tmp_path / f"killed-{stop}"
        real, seen = RunDir.checkpoint, []

        def dies(self, step, write, real=real, seen=seen, stop=stop):
            real(self, step, write)
            seen.append(step)
            if len(seen) == stop:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(RunDir, "checkpoint", dies)
            with pytest.raises(KeyboardInterrupt):
                run_training(results, flow, **changes)
        torch.rand(7)  # another job may use random numbers in between
        run = run_training(results, flow, **changes)
        for name in ("history.csv", "spectra.csv", "model.safetensors", "eigenvalues.npz"):
            assert (run.folder / name).read_bytes() == (whole.folder / name).read_bytes(), (stop, name)
        assert record(run)["metrics"] == record(whole)["metrics"]


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path, flow):
    one, two, other = (
        (run_training(tmp_path / name, flow, seed=seed).folder / "model.safetensors").read_bytes()
        for name, seed in (("one", 1), ("two", 1), ("other", 2))
    )
    assert one == two
    assert one != other


def test_a_loss_that_is_not_finite_is_recorded_as_diverged(tmp_path, flow, capsys):
    run = run_training(tmp_path, flow, hyper={**HYPER, "lr": 1e18})
    values = record(run)
    assert values["status"] == "diverged"
    assert 1 <= values["diverged_epoch"] <= 4
    assert values["metrics"]["test"]["selected"] is None
    assert "diverged in epoch" in capsys.readouterr().err
    for name in ("model.safetensors", "eigenvalues.npz", "history.csv", "spectra.csv"):
        assert (run.folder / name).is_file()


def test_a_run_without_a_finite_prediction_has_diverged(tmp_path, flow, capsys, monkeypatch):
    from replication.operators import training

    real = training.evaluate
    monkeypatch.setattr(training, "evaluate", lambda *args: dict.fromkeys(real(*args), float("nan")))
    values = record(run_training(tmp_path, flow))
    assert (values["status"], values["diverged_epoch"], values["selected_epoch"]) == ("diverged", 4, 0)
    assert values["metrics"]["test"]["selected"] is None
    assert "no epoch has a finite nrmse on the validation set" in capsys.readouterr().err


@pytest.mark.parametrize("key", ["reduced_resolution", "reduced_resolution_t"])
@pytest.mark.parametrize("value", [0, "2", True])
def test_a_stride_that_is_not_valid_is_refused(tmp_path, flow, key, value):
    with pytest.raises(ConfigError, match=f"'{key}' is {value!r}, expected a whole number of at least 1"):
        run_training(tmp_path, flow, dataset_options={**FLOW, key: value})


@pytest.mark.parametrize(
    ("hyper", "words"),
    [
        ({"momentum": 1.0}, "unknown key 'momentum'"),
        ({"initial_steps": 13}, "initial_steps is 13, but .* has 13 frames"),
    ],
)
def test_bad_hyper_parameters_are_refused(tmp_path, flow, hyper, words):
    with pytest.raises(ConfigError, match=words):
        run_training(tmp_path, flow, hyper={**HYPER, **hyper})


def test_training_imports_no_library_that_it_does_not_use(tmp_path, flow):
    """Start-up is a quarter of a short run: no transformers, no wandb, no compiler."""
    code = (
        "import sys; from pathlib import Path; from tests.operators.conftest import run_training; "
        "run_training(Path(sys.argv[1]), Path(sys.argv[2])); "
        "print([name for name in ('transformers', 'wandb', 'torch._dynamo', 'neuralop') if name in sys.modules])"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path, flow], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_an_fno_that_was_evaluated_first_trains():
    """Matrices that evaluation cached can be used with a gradient."""
    transform.cache_clear()
    model, grid = FNO(3, 3, 1, modes=4), torch.rand(16, 1)
    with torch.inference_mode():
        rollout(model, torch.randn(2, 16, 1, 3), grid, 2)
    rollout(model, torch.randn(2, 16, 1, 3), grid, 2).sum().backward()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        run_training(tmp_path, tmp_path / "nothing.h5")
