"""Six training runs of the released code, epoch by epoch, with our model, loop, metrics and TempBalance."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import StepLR

from replication.operators.fno import FNO, from_released
from replication.operators.optim import build_optimizer
from replication.operators.rollout import Fields, Scale, evaluate
from replication.operators.training import train_epoch
from replication.settings.hyper import OperatorHyper
from tempbalance.balance import Diagnostics, TempBalance

GIVEN = 10
NAMES = {"rmse": "rmse", "nrmse": "nrmse", "csv": "crmse", "max": "max", "bd": "brmse"}
MODES = {1: 8, 2: 6}


@pytest.fixture(scope="module")
def oracle(shared_dir):
    folder = shared_dir / "reference"
    runs = json.loads((folder / "sciml_trajectory.json").read_text())
    with np.load(folder / "sciml_trajectory.npz", allow_pickle=False) as arrays:
        return runs, {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def released_fields(data, first, last):
    ndim = data.ndim - 3
    axes = [torch.linspace(0, 1, n + 1)[:-1] for n in data.shape[1 : 1 + ndim]]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    part = data[first:last]
    return Fields(part[..., :GIVEN, :], part[..., GIVEN:, :], grid, steady=False)


def released_name(layer):
    return layer.replace("w.", "w")


@pytest.mark.parametrize("number", range(6))
def test_every_epoch_agrees(oracle, number):
    runs, arrays = oracle
    run = runs[number]
    ndim, channels = run["dim"], run["dim"] + 2
    prefix = f"fno{ndim}d/"
    torch.set_num_threads(1)
    model = FNO(GIVEN * channels, channels, ndim, modes=MODES[ndim])
    start = {name.removeprefix(f"{prefix}init/"): t for name, t in arrays.items() if name.startswith(f"{prefix}init/")}
    model.load_state_dict(from_released(start))
    optimizer = build_optimizer(model, OperatorHyper(epochs=4, batch_size=4, lr=run["lr"], weight_decay=1e-4))
    reading = {"preset": "sciml", "conv1d": "released"}
    monitor = (
        TempBalance(model, optimizer, s_min=run["s_min"], s_max=run["s_max"], **reading)
        if run["tb"]
        else Diagnostics(model, optimizer, **reading)
    )
    scheduler = StepLR(optimizer, 2, 0.5)
    data = arrays[f"{prefix}data"]
    validation, training = released_fields(data, 0, 4), released_fields(data, 4, 12)
    scale = Scale.identity(training)

    def check(expected_alpha, expected_lr):
        rows = {released_name(row["layer"]): row for row in monitor.rows()}
        np.testing.assert_allclose([rows[name]["alpha"] for name in run["layers"]], expected_alpha, rtol=1e-3)
        layers = [*run["layers"], "fc2"] if run["tb"] else ["fc2"]
        np.testing.assert_allclose([rows[name]["lr"] for name in layers], expected_lr, rtol=1e-3)

    check(run["init"]["alpha"], run["init"]["lr"])
    for expected in run["epochs"]:
        loss = train_epoch(model, optimizer, training, torch.arange(8).split(4))
        scheduler.step()
        if run["tb"]:
            monitor.step()
        assert loss == pytest.approx(expected["train_loss"], rel=1e-3)
        check(expected["alpha"], expected["lr"])
        found = evaluate(model, validation, scale, 4)
        for theirs, ours in NAMES.items():
            assert found[ours] == pytest.approx(expected["val"][theirs], rel=2e-3), ours
        bands = [found[f"frmse_{band}"] for band in ("low", "mid", "high")]
        np.testing.assert_allclose(bands, expected["val"]["fourier"], rtol=2e-3)
