"""Runs that start from weights that are pretrained here: which weights, cost, errors."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from replication.errors import InputError
from replication.jobs import train_runs
from replication.operators.dpot import DPOT
from replication.operators.rollout import relative_loss, with_noise
from replication.runs.subset import write_subset
from replication.settings.paths import RUNS
from replication.settings.spec import RunSpec
from replication.simulation.simulation import simulate

from .conftest import BASELINE

FLOW = {
    "source": "simulate", "pde": "cfd2d", "samples": 8, "cells": 8, "frames": 5, "t_end": 0.05, "test_samples": 2,
    "validation_samples": 2,
}  # fmt: skip
MIXTURE = {
    **FLOW,
    "pde": "mixture",
    "stored_cells": 8,
    "parts": [{"pde": "advection2d"}, {"pde": "cfd2d", "mach": 0.5}],
}
HYPER = {"epochs": 2, "batch_size": 2, "lr": 1e-3, "initial_steps": 3, "loss": "relative"}
PRETRAIN = {
    "dataset": "mixture", "dataset_options": MIXTURE, "seed": 0,
    "hyper": {**HYPER, "epochs": 3, "noise": 0.05, "scheduler": "one-cycle"},
}  # fmt: skip
ARCHITECTURE = {"width": 8, "depth": 1, "heads": 2, "modes": 2, "patch": 4, "size": 8}
MODEL = {
    "kind": "dpot", **ARCHITECTURE, "normalise": True,
    "spectra": {"transposed": "skip"}, "pretrain": PRETRAIN,
}  # fmt: skip
FINE = RunSpec(
    "sciml", "mini", "flow", 1.0, "baseline", 1, model_options=MODEL, dataset_options=FLOW, method_options=BASELINE,
    hyper=HYPER,
)  # fmt: skip


def train(folder: Path, spec: RunSpec) -> Path:
    """Train a run as its job does; returns its folder."""
    data = folder / "data" / spec.dataset / "data.h5"
    if not data.exists():
        data.parent.mkdir(parents=True)
        simulate(spec.dataset_options, data)
    subset = folder / "subset.json"
    write_subset(subset, [0, 1, 2, 3])
    record = folder / RUNS / spec.path / "metrics.json"
    train_runs(spec.to_json(), [record], data=data, subset=subset, device="cpu")
    return record.parent


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with a pretrained model."""
    folder = tmp_path_factory.mktemp("results")
    train(folder, FINE.pretraining)
    return folder


def test_zero_shot_is_the_pretrained_network_unchanged(pretrained):
    made = load_file(pretrained / RUNS / FINE.pretraining.path / "model.safetensors")
    spec = replace(FINE, method="zero-shot", method_options={"optimizer": "none", "balance": None})
    run = train(pretrained, spec)
    kept = load_file(run / "model.safetensors")
    assert all(torch.equal(kept[name], made[name]) for name in made)
    # The tables of the trained network leave out the same layers as training.
    kinds = {name: type(module).__name__ for name, module in DPOT(12, 4, 2, **ARCHITECTURE).named_modules()}
    for table in ("spectra.csv", "layers.csv"):
        assert {kinds[layer] for layer in pd.read_csv(run / table)["layer"]} == {"Conv2d", "Linear"}
    assert len(json.loads((run / "metrics.json").read_text())["inputs"]["weights"]) == 64


@pytest.mark.parametrize("start", ["weights", "random"])
def test_a_run_starts_from_its_pretraining_unless_its_method_says_random(pretrained, monkeypatch, start):
    from replication.operators import training

    starts = {}

    def look(model, *_others):
        starts.update({name: tensor.detach().clone() for name, tensor in model.state_dict().items()})
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train_epoch", look)
    with pytest.raises(KeyboardInterrupt):
        train(pretrained, replace(FINE, method=start, method_options={**BASELINE, "start": start}))
    made = load_file(pretrained / RUNS / FINE.pretraining.path / "model.safetensors")
    same = all(torch.equal(starts[name], made[name]) for name in made)
    assert same == (start == "weights")


def test_a_run_whose_pretraining_is_missing_says_so(tmp_path):
    with pytest.raises(InputError, match=r"model.safetensors: missing; it is made by pretraining mini"):
        train(tmp_path, FINE)


def test_other_pretraining_options_make_another_run():
    def changed(**options):
        return replace(FINE, model_options={**MODEL, "pretrain": {**PRETRAIN, **options}})

    others = [changed(seed=1), changed(hyper={**PRETRAIN["hyper"], "noise": 0.1}), changed(dataset_options=FLOW)]
    assert len({FINE.id, *(other.id for other in others)}) == 4
    assert len({FINE.pretraining.path, *(other.pretraining.path for other in others)}) == 4


def test_hyper_parameters_that_came_later_are_in_an_id_only_if_they_change_something():
    plain = {key: value for key, value in HYPER.items() if key != "loss"}
    spec = replace(FINE, model_options={"kind": "fno"}, hyper=plain)
    assert replace(spec, hyper={**plain, "loss": "mse", "noise": 0.0, "scheduler": "step"}).id == spec.id
    assert spec.id == "69c1fcf1"  # as before these hyper-parameters existed
    assert replace(spec, method_options={**BASELINE, "start": "weights"}).id == spec.id
    changes = [{"loss": "relative"}, {"noise": 0.1}, {"scheduler": "one-cycle"}]
    assert len({spec.id, *(replace(spec, hyper={**plain, **change}).id for change in changes)}) == 4


def test_the_one_cycle_rate_rises_and_falls_once(pretrained):
    text = (pretrained / RUNS / FINE.pretraining.path / "history.csv").read_text().splitlines()
    rates = [float(row.split(",")[text[0].split(",").index("lr")]) for row in text[1:]]
    assert rates[0] > rates[-1] > 0
    assert max(rates) <= HYPER["lr"]


def test_the_relative_loss_is_the_relative_error_of_each_frame():
    target = torch.rand(3, 4, 4, 2, 4) + 0.5
    scales = torch.tensor([1.0, 10.0, 100.0, 0.1])
    # Every frame and channel is off by a tenth of its size; there are two frames.
    assert relative_loss(1.1 * scales * target, scales * target) == pytest.approx(2 * 0.1, rel=1e-4)


def test_noise_is_a_share_of_each_channels_deviation():
    torch.manual_seed(0)
    inputs = torch.randn(2, 64, 64, 3, 2) * torch.tensor([1.0, 50.0])
    inputs[1, ..., 0] = 7.0  # a constant channel does not change
    added = with_noise(inputs, 0.1) - inputs
    assert added[0].std(dim=(0, 1, 2)).tolist() == pytest.approx([0.1, 5.0], rel=0.05)
    assert (added[1, ..., 0] == 0).all()
    assert with_noise(inputs, 0.0) is inputs


def test_a_normalised_dpot_does_not_see_size_and_level():
    torch.manual_seed(0)
    model = DPOT(12, 4, 2, width=8, depth=1, heads=2, modes=2, patch=4, size=8, normalise=True)
    frames, grid = torch.randn(2, 8, 8, 12), torch.zeros(2, 8, 8, 2)
    scale, level = torch.tensor([1.0, 20.0, 0.5, 3.0]), torch.tensor([0.0, 100.0, -1.0, 5.0])
    moved = model(frames * scale.repeat(3) + level.repeat(3), grid)
    torch.testing.assert_close(moved, model(frames, grid) * scale + level, rtol=1e-3, atol=1e-3)
    constant = model(torch.ones(2, 8, 8, 12), grid)
    torch.testing.assert_close(constant, torch.ones(2, 8, 8, 4), rtol=1e-3, atol=1e-3)


def test_the_balancer_reads_convolutions_and_linear_layers_only():
    from tempbalance.spectra import find_layers, get_preset

    model = DPOT(12, 4, 2, **ARCHITECTURE)
    kinds = {name: type(module).__name__ for name, module in model.named_modules()}
    read = find_layers(model, get_preset("sciml", **MODEL["spectra"]))
    assert {kinds[layer.name] for layer in read} == {"Conv2d", "Linear"}
    assert len(read) == sum(kind in ("Conv2d", "Linear") for kind in kinds.values())
