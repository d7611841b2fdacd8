"""Each state of the weights is solved once: the rates and the recorded exponents share a measurement."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from tempbalance import TempBalance
from tempbalance.balance import Diagnostics
from tempbalance.spectra import _metrics


@pytest.fixture
def solves(monkeypatch):
    """The number of matrices of each call of the solver."""
    calls: list[int] = []
    solve = _metrics.batched_eigenvalues

    def counting(batches, **options):
        calls.append(len(batches))
        return solve(batches, **options)

    monkeypatch.setattr(_metrics, "batched_eigenvalues", counting)
    return calls


class WritesData(torch.optim.SGD):
    """Writes weights through ``.data``, as some older optimizers do; torch's version counters do not see it."""

    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p.data.add_(p.grad, alpha=-group["lr"])


def start(kind, optimizer_class=torch.optim.SGD, **options):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 30), nn.Tanh(), nn.Linear(30, 20))
    optimizer = optimizer_class(model.parameters(), lr=0.1)
    return model, optimizer, kind(model, optimizer, preset="sciml", **options)


def update(model, optimizer):
    optimizer.zero_grad()
    model(torch.ones(4, 20)).square().mean().backward()
    optimizer.step()


def alphas(monitor):
    return [row["alpha"] for row in monitor.rows()]


@pytest.mark.parametrize("optimizer_class", [torch.optim.SGD, torch.optim.Adam, WritesData])
@pytest.mark.parametrize("timing", ["fresh", "lagged"])
def test_rates_and_rows_share_one_measurement(solves, timing, optimizer_class):
    model, optimizer, balancer = start(TempBalance, optimizer_class, timing=timing)
    recorded = [alphas(balancer)]
    assert solves == [2]
    for epoch in range(1, 4):
        update(model, optimizer)
        update(model, optimizer)
        balancer.step()
        recorded.append(alphas(balancer))
        assert len(solves) == epoch + 1
        fresh = Diagnostics(model, optimizer, preset="sciml")
        assert recorded[-1] == alphas(fresh)
        assert recorded[-1] != recorded[-2]
        fresh.detach()
        solves.pop()


def test_rows_between_measurements_are_of_the_weights_as_they_are(solves):
    model, optimizer, balancer = start(TempBalance, every=3)
    for step in range(1, 7):
        update(model, optimizer)
        balancer.step()
        before = len(solves)
        fresh = Diagnostics(copy.deepcopy(model), optimizer, preset="sciml")
        assert alphas(balancer) == alphas(fresh)
        fresh.detach()
        assert len(solves) == before + 1 + (step % 3 > 0)


WRITES = {
    "in place": lambda m: m[0].weight.detach().mul_(torch.rand(30, 20)),
    "loaded": lambda m: m.load_state_dict({n: torch.rand_like(p) for n, p in m.state_dict().items()}),
    "replaced": lambda m: setattr(m[0], "weight", nn.Parameter(torch.rand(30, 20))),
    "other storage": lambda m: setattr(m[0].weight, "data", torch.rand(30, 20)),
}


@pytest.mark.parametrize("kind", [TempBalance, Diagnostics])
@pytest.mark.parametrize("write", sorted(WRITES))
def test_weights_written_by_hand_are_measured_again(solves, kind, write):
    model, _, monitor = start(kind)
    first = alphas(monitor)
    assert alphas(monitor) == first
    assert len(solves) == 1
    WRITES[write](model)
    assert alphas(monitor) != first
    assert len(solves) == 2


def test_detaching_removes_every_hook():
    _, optimizer, balancer = start(TempBalance, groups="per_step")
    balancer.detach()
    assert not optimizer._optimizer_step_pre_hooks
    assert not optimizer._optimizer_step_post_hooks
