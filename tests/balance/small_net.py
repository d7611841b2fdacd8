"""A small network with two layers to balance, and what its optimizer does to it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

LR = 0.02
OPTIONS = {"preset": "sciml", "min_count": 4, "min_eigenvalue": 0.0}


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(12, 20)
        self.norm = nn.LayerNorm(20)
        self.second = nn.Linear(20, 16, bias=False)
        self.last = nn.Linear(16, 2)

    def forward(self, x):
        return self.last(torch.tanh(self.second(self.norm(torch.tanh(self.first(x))))))


def two_groups(model):
    decay = [p for p in model.parameters() if p.ndim > 1]
    rest = [p for p in model.parameters() if p.ndim == 1]
    return [{"params": decay, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0, "lr": LR / 4}]


def update(model, optimizer, batch):
    optimizer.zero_grad()
    loss = (model(batch[0]) - batch[1]).square().mean()
    loss.backward()
    optimizer.step()
    return loss.item()


def rates(model, optimizer, key="lr"):
    found = {id(p): float(group[key]) for group in optimizer.param_groups for p in group["params"]}
    return {name: found[id(p)] for name, p in model.named_parameters()}


def check_rates(model, optimizer, balancer, expected, key="lr"):
    """Every parameter has the rate of the run without TempBalance times the factor of its layer."""
    factors = balancer.factors
    for name, rate in rates(model, optimizer, key).items():
        factor = factors.get(name.rpartition(".")[0], 1.0)
        assert rate == pytest.approx(expected[name] * factor, rel=1e-12), name
