"""DPOT, neuraloperator's models, pretrained weights, and options of training."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from replication.errors import ConfigError, DataError
from replication.operators.dpot import DPOT, Block, FourierMixer
from replication.operators.models import build_model, fingerprints
from replication.operators.rollout import rollout, rollout_loss
from replication.settings.hyper import OperatorHyper
from replication.simulation.simulation import simulate

from .conftest import HYPER, run_training

PLANE = {
    "source": "simulate", "pde": "cfd2d", "samples": 10, "cells": 16, "frames": 12, "t_end": 0.1,
    "test_samples": 3, "validation_samples": 3,
}  # fmt: skip
SMALL_DPOT = {"kind": "dpot", "width": 16, "depth": 1, "heads": 2, "patch": 4, "size": 16}


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.fixture(scope="module")
def plane(tmp_path_factory):
    path = tmp_path_factory.mktemp("plane") / "data.h5"
    simulate(PLANE, path)
    return path


def test_dpots_sizes_are_the_published_ones():
    with torch.device("meta"):
        assert count(DPOT(40, 4, 2)) == 7_534_643
        assert count(DPOT(40, 4, 2, width=1024, depth=6, heads=8)) == 30_801_459


def test_dpot_takes_any_grid_of_whole_patches():
    model = build_model(SMALL_DPOT, 40, 4, 2)
    for x, y in ((16, 16), (32, 16)):
        assert model(torch.randn(2, x, y, 40), torch.rand(2, x, y, 2)).shape == (2, x, y, 4)


def test_dpot_uses_every_initial_step():
    torch.manual_seed(0)
    model = build_model(SMALL_DPOT, 40, 4, 2)
    frames = torch.randn(1, 16, 16, 40, requires_grad=True)
    model(frames, torch.rand(1, 16, 16, 2)).square().sum().backward()
    assert (frames.grad.abs().sum((0, 1, 2)) > 0).all()


def test_fourier_attention_does_not_mix_heads_and_changes_only_kept_modes():
    torch.manual_seed(0)
    layer, x = FourierMixer(8, heads=2, modes=3), torch.randn(1, 8, 16, 16, requires_grad=True)
    change = layer(x) - x
    (touched,) = torch.autograd.grad(change[:, :4].square().sum(), x, retain_graph=True)
    assert (touched[:, :4] != 0).all()
    assert (touched[:, 4:] == 0).all()
    modes = torch.fft.rfft2(change.detach()).abs().amax((0, 1))
    assert modes[:3, :3].min() > 1e-4
    assert modes[3:-2, 3:].max() < 1e-4


def test_a_dpot_block_has_one_residual_connection():
    """Published weights need this; with a second connection they would load without an error, but predict nonsense."""
    torch.manual_seed(0)
    block, x = Block(16, heads=2, modes=3, hidden=16), torch.randn(1, 16, 8, 8)
    torch.nn.init.zeros_(block.mlp[-1].weight)
    torch.nn.init.zeros_(block.mlp[-1].bias)
    torch.testing.assert_close(block(x), x)


def test_dpot_reads_velocities_first_and_coordinates_with_both_ends():
    torch.manual_seed(0)
    model = build_model(SMALL_DPOT, 40, 4, 2)
    seen = []
    model.patch_embed.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model.out_layer = torch.nn.Sequential(torch.nn.Upsample(scale_factor=4), torch.nn.Conv2d(16, 4, 1))
    torch.nn.init.zeros_(model.out_layer[-1].weight)
    with torch.no_grad():
        model.out_layer[-1].bias.copy_(torch.tensor([2.0, 3.0, 0.0, 1.0]))  # Vx, Vy, density, pressure
    frames = torch.arange(40.0).expand(1, 16, 16, 40)  # density, pressure, Vx, Vy of each step
    predicted = model(frames, torch.full((1, 16, 16, 2), 7.0))
    assert predicted[0, 0, 0].tolist() == [0, 1, 2, 3]
    assert seen[0][0, :4, 0, 0].tolist() == [2, 3, 0, 1]
    assert seen[0][0, 4:6, 0, 0].tolist() == [0, 0]
    assert seen[0][0, 4:6, -1, -1].tolist() == [1, 1]


def test_a_checkpoint_may_include_arguments(tmp_path):
    path = tmp_path / "published.pth"
    pretrained = build_model(SMALL_DPOT, 8, 4, 2)
    torch.save({"args": Namespace(lr=1e-3), "model": pretrained.state_dict()}, path)
    model = build_model({**SMALL_DPOT, "weights": str(path)}, 8, 4, 2)
    assert torch.equal(model.pos_embed, pretrained.pos_embed)


def test_dpot_refuses_lines_and_sizes_that_do_not_divide():
    with pytest.raises(ConfigError, match="2 space dimensions, the data has 1"):
        DPOT(30, 3, 1)
    with pytest.raises(ConfigError, match="width 20 must be a multiple of heads 3"):
        DPOT(40, 4, 2, width=20, heads=3)


@pytest.mark.parametrize(
    "model",
    [SMALL_DPOT, {"kind": "neuralop-fno", "modes": 8, "width": 8}, {"kind": "neuralop-tfno", "modes": 8, "width": 8}],
    ids=["dpot", "fno-stock", "tfno"],
)
def test_every_operator_trains_with_tempbalance(tmp_path, plane, model):
    spectra = {"min_count": 2}  # these are too small for the preset's threshold
    run = run_training(
        tmp_path, plane, model="small", model_options={**model, "spectra": spectra}, dataset_options=PLANE,
        hyper={**HYPER, "epochs": 2}, indices=range(4),
    )  # fmt: skip
    assert json.loads((run.folder / "metrics.json").read_text())["status"] == "finished"
    rows = pd.read_csv(run.folder / "spectra.csv")
    assert rows[rows["epoch"] == 2]["lr"].nunique() > 2
    assert load_file(run.folder / "model.safetensors")


def test_the_state_of_a_stock_model_has_only_tensors():
    model = build_model({"kind": "neuralop-fno", "modes": 8, "width": 8}, 6, 3, 1)
    assert all(isinstance(value, torch.Tensor) for value in model.state_dict().values())
    assert model(torch.randn(2, 16, 6), torch.zeros(2, 16, 1)).shape == (2, 16, 3)


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_training_starts_from_pretrained_weights(tmp_path, suffix):
    torch.manual_seed(0)
    pretrained = build_model(SMALL_DPOT, 8, 4, 2)
    path = tmp_path / f"weights.{suffix}"
    tensors = pretrained.state_dict()
    save_file(tensors, path) if suffix == "safetensors" else torch.save({"model": tensors}, path)
    model = build_model({**SMALL_DPOT, "weights": str(path)}, 8, 4, 2)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, tensors[name]), name
    assert {name: len(found) for name, found in fingerprints({"weights": str(path)}).items()} == {"weights": 64}


def test_pretrained_weights_that_do_not_fit_are_refused_by_name(tmp_path):
    path = tmp_path / "weights.pth"
    options = {**SMALL_DPOT, "title": "DPOT-Tiny", "weights": str(path)}
    with pytest.raises(ConfigError, match="'weights' is None: name the file of DPOT-Tiny's"):
        build_model({**options, "weights": None}, 8, 4, 2)
    with pytest.raises(DataError, match="no such file"):
        build_model(options, 8, 4, 2)
    path.write_bytes(b"not a state dict")
    with pytest.raises(DataError, match="cannot be read"):
        build_model(options, 8, 4, 2)
    tensors = build_model(SMALL_DPOT, 8, 4, 2).state_dict()
    torch.save({**tensors, "pos_embed": torch.zeros(3)}, path)
    with pytest.raises(DataError, match=r"needs tensor 'pos_embed' \[1, 16, 4, 4\], the file has \[3\]"):
        build_model(options, 8, 4, 2)
    torch.save({**tensors, "extra": torch.zeros(3)}, path)
    with pytest.raises(DataError, match="unexpected tensor 'extra'"):
        build_model(options, 8, 4, 2)
    torch.save([1, 2], path)
    with pytest.raises(DataError, match="the file lacks it"):
        build_model(options, 8, 4, 2)


def test_pickled_objects_are_not_loaded(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"model": OperatorHyper(epochs=1, batch_size=1, lr=1.0)}, path)
    with pytest.raises(DataError, match="cannot be read"):
        build_model({**SMALL_DPOT, "weights": str(path)}, 8, 4, 2)


def test_pushforward_is_the_gradient_of_the_last_frames_only():
    torch.manual_seed(0)
    model = build_model({"kind": "fno", "modes": 4}, 30, 3, 1)
    inputs, target, grid = torch.randn(2, 16, 10, 3), torch.randn(2, 16, 4, 3), torch.rand(16, 1)

    def gradient(loss):
        model.zero_grad()
        loss.backward()
        return torch.cat([torch.view_as_real(p.grad).flatten() if p.is_complex() else p.grad.flatten()
                          for p in model.parameters()])  # fmt: skip

    whole = rollout_loss(rollout(model, inputs, grid, 4), target)
    pushed = rollout_loss(rollout(model, inputs, grid, 4, unroll=2), target)
    assert pushed.item() == pytest.approx(whole.item())
    with torch.no_grad():
        first = rollout(model, inputs, grid, 2)
    moved = torch.cat((inputs[..., 2:, :], first), dim=-2)
    by_hand = rollout_loss(rollout(model, moved, grid, 2), target[..., 2:, :])
    expected = gradient(by_hand)
    torch.testing.assert_close(gradient(pushed), expected)
    assert not torch.allclose(gradient(whole), expected)


@pytest.mark.parametrize("kind", ["fno", "unet"])
def test_bf16_is_near_and_tf32_needs_a_gpu(tmp_path, flow, kind):
    options = {"fno": {"modes": 4}, "unet": {"init_features": 2}}[kind]
    losses = {}
    for precision in ("fp32", "tf32", "bf16"):
        run = run_training(
            tmp_path / precision, flow, model=kind, model_options={"kind": kind, **options},
            hyper={**HYPER, "epochs": 1, "precision": precision},
        )  # fmt: skip
        losses[precision] = pd.read_csv(run.folder / "history.csv")["train_loss"][0]
    assert losses["tf32"] == losses["fp32"]  # without a GPU there is no TF32
    assert losses["bf16"] != losses["fp32"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.05)


def test_a_compiled_model_keeps_its_names_and_numbers(tmp_path, flow, monkeypatch):
    # The compiler is torch's; here the option must reach it, and change nothing else.
    called = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, *args, **kwargs: called.append(type(self).__name__))
    compiled = run_training(tmp_path / "compiled", flow, hyper={**HYPER, "compile": True})
    assert called == ["FNO"]
    plain = run_training(tmp_path / "plain", flow)
    names = [set(load_file(run.folder / "model.safetensors")) for run in (compiled, plain)]
    assert names[0] == names[1]


def test_weights_that_overflow_are_a_divergence_too(tmp_path, flow, monkeypatch, capsys):
    from replication.operators import training

    real = training.train_epoch

    def overflows(model, *args):
        loss = real(model, *args)
        with torch.no_grad():
            next(iter(model.parameters())).fill_(float("inf"))
        return loss

    monkeypatch.setattr(training, "train_epoch", overflows)
    run = run_training(tmp_path, flow)
    values = json.loads((run.folder / "metrics.json").read_text())
    assert (values["status"], values["diverged_epoch"]) == ("diverged", 1)
    assert "a weight is not finite" in capsys.readouterr().err


def test_the_catalogues_operators_can_be_built():
    from replication.settings.yamlfile import read_yaml

    root = Path(__file__).resolve().parents[2]
    for name, entry in read_yaml(root / "catalog/models-sciml.yaml")["models"].items():
        options = {key: value for key, value in entry.items() if key not in ("family", "weights")}
        with torch.device("meta"):
            assert count(build_model(options, 40, 4, 2)) > 0, name
