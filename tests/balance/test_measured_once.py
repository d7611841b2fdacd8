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
    """The number of matrices in each call of the solver."""
    calls: list[int] = []
    solve = _metrics.batched_eigenvalues

    def counting(batches, **options):
        calls.append(len(batches))
        return solve(batches, **options)

    monkeypatch.setattr(_metrics, "batched_eigenvalues", counting)
    return calls


class WritesData(torch.optim.SGD):
    """Writes weights through ``.data``, as some older optimizers do; this does not change torch's version counters."""

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


def test_rows_between_measurements_are_of_the_current_weights(solves):
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


# ---- the study's two loops -----------------------------------------------------------------------------------


@pytest.mark.parametrize("balance", [{}, None], ids=["tb", "baseline"])
def test_an_operator_run_solves_once_per_evaluated_epoch(solves, tmp_path, balance):
    from replication.operators.training import train
    from replication.runs.rundir import RunDir
    from replication.settings.spec import RunSpec
    from replication.simulation.simulation import simulate

    darcy = {"source": "simulate", "pde": "darcy", "samples": 12, "cells": 16, "test_samples": 4}
    darcy["validation_samples"] = 4
    simulate(darcy, tmp_path / "data.h5")
    spec = RunSpec(
        family="sciml", model="fno", dataset="darcy", ratio=1.0, method="m", seed=1, dataset_options=darcy,
        model_options={"kind": "fno", "modes": 4, "width": 20}, method_options={"balance": balance},
        hyper={"epochs": 3, "batch_size": 4, "lr": 1e-3},
    )  # fmt: skip
    with RunDir.open(spec, tmp_path, inputs={}) as run:
        train(spec, data=tmp_path / "data.h5", indices=[0, 1, 2, 3], run=run)
    assert len(solves) == 1 + 3 + 1  # before training, after each epoch, and once for the published model


def test_a_trainer_run_solves_once_per_step(solves, tmp_path):
    from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainerCallback, TrainingArguments

    from tempbalance.integrations import TempBalanceCallback

    class Records(TrainerCallback):
        rows: list

        def on_train_begin(self, *_, **__):
            self.rows = [balancing.balancer.rows()]

        def on_epoch_end(self, *_, **__):
            self.rows.append(balancing.balancer.rows())

    config = BertConfig(vocab_size=60, hidden_size=64, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64)
    balancing, records = TempBalanceCallback(every=1), Records()
    trainer = Trainer(
        BertForSequenceClassification(config),
        TrainingArguments(
            str(tmp_path), num_train_epochs=2, per_device_train_batch_size=4, report_to=[], use_cpu=True,
            disable_tqdm=True, save_strategy="no",
        ),
        train_dataset=[{"input_ids": torch.randint(0, 60, (8,)), "labels": n % 2} for n in range(8)],
        callbacks=[balancing, records],
    )  # fmt: skip
    trainer.train()
    assert len(records.rows) == 3
    assert len(solves) == 1 + 4  # before training, and after each of the four steps
