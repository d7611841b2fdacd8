"""TempBalance in neuraloperator's Trainer, with checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from tempbalance import TempBalance
from tempbalance.integrations import balance_trainer

OPTIONS = {"preset": "sciml", "min_count": 4, "min_eigenvalue": 0.0}


class Loss:
    reduction = "sum"

    def __call__(self, out, y, **_):
        return (out - y).square().sum()


class Net(nn.Module):
    """A plain model: neuraloperator 2.0 cannot load its own FNO's checkpoints under torch's weights_only default."""

    def __init__(self):
        super().__init__()
        self.lifting = nn.Conv1d(1, 8, 1)
        self.mix = nn.ModuleList(nn.Conv1d(8, 8, 3, padding=1) for _ in range(2))
        self.projection = nn.Conv1d(8, 1, 1)

    def forward(self, x, **_):
        x = self.lifting(x)
        for layer in self.mix:
            x = x + torch.tanh(layer(x))
        return self.projection(x)

    def save_checkpoint(self, folder, name):  # the Trainer calls this
        Path(folder).mkdir(parents=True, exist_ok=True)
        torch.save(self.state_dict(), Path(folder) / f"{name}_state_dict.pt")


def start(epochs: int):
    neuralop = pytest.importorskip("neuralop")
    torch.manual_seed(0)
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    balancer = TempBalance(model, optimizer, **OPTIONS)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    trainer = neuralop.Trainer(model=model, n_epochs=epochs, device="cpu", verbose=False)
    return balance_trainer(trainer, balancer), model, optimizer, scheduler, balancer


def train(parts, folder, **options):
    trainer, _, optimizer, scheduler, _ = parts
    torch.manual_seed(5)
    rows = [{"x": torch.randn(1, 16), "y": torch.randn(1, 16)} for _ in range(8)]
    loader = torch.utils.data.DataLoader(rows, batch_size=4)
    trainer.train(
        loader,
        {},
        optimizer,
        scheduler,
        training_loss=Loss(),
        eval_losses={"l2": Loss()},
        save_dir=str(folder),
        **options,
    )


def test_hook_balances_and_resumes(tmp_path):
    parts = start(4)
    train(parts, tmp_path / "whole")
    _, model, optimizer, _, balancer = parts
    base = optimizer.param_groups[0]["lr"]
    assert base == pytest.approx(0.01 / 16)
    factors = balancer.factors
    layer = "mix.0"
    assert factors[layer] != 1.0
    # The last epoch used the factors of its start; since then the scheduler has halved all rates.
    assert balancer.rates()[f"{layer}.weight"] == pytest.approx(base * factors[layer])

    train(start(2), tmp_path / "half", save_every=1)
    assert (tmp_path / "half" / "tempbalance_state.json").is_file()
    resumed = start(4)
    resumed[0].start_epoch = 2  # the Trainer would repeat the epoch of the checkpoint
    train(resumed, tmp_path / "rest", resume_from_dir=str(tmp_path / "half"))
    assert resumed[4].factors == factors
    for a, b in zip(model.parameters(), resumed[1].parameters(), strict=True):
        assert torch.equal(a, b)
