"""TempBalance with torch's schedulers and optimizers: base rates, and states bit for bit."""

from __future__ import annotations

import copy
import io
import json

import numpy as np
import pytest
import torch
from small_net import LR, OPTIONS, Net, check_rates, rates, two_groups, update
from torch import nn
from torch.optim import lr_scheduler as schedulers

from tempbalance import TempBalance
from tempbalance.errors import InputError

# ---- schedulers -------------------------------------------------------------------------------------------


class Scripted(schedulers.LRScheduler):
    """A user's own scheduler, in closed form from base_lrs."""

    def get_lr(self):
        return [base / (1 + self.last_epoch) for base in self.base_lrs]


SCHEDULERS = {
    "step": lambda o: schedulers.StepLR(o, 2, 0.5),
    "lambda": lambda o: schedulers.LambdaLR(o, lambda t: min(1.0, (t + 1) / 3) * (1 - t / 20)),
    "multiplicative": lambda o: schedulers.MultiplicativeLR(o, lambda t: 0.9),
    "cosine": lambda o: schedulers.CosineAnnealingLR(o, 6),
    "cyclic": lambda o: schedulers.CyclicLR(o, LR / 10, LR, step_size_up=2, cycle_momentum=False),
    "onecycle": lambda o: schedulers.OneCycleLR(o, LR, total_steps=20, cycle_momentum=False),
    "sequential": lambda o: schedulers.SequentialLR(
        o, [schedulers.LinearLR(o, 0.1, total_iters=3), schedulers.ExponentialLR(o, 0.8)], [3]
    ),
    "plateau": lambda o: schedulers.ReduceLROnPlateau(o, factor=0.5, patience=1, min_lr=LR / 30),
    "own": Scripted,
}


@pytest.mark.parametrize("order", ["balancer first", "scheduler first"])
@pytest.mark.parametrize("name", sorted(SCHEDULERS))
def test_any_scheduler(model, batch, name, order):
    plain_model = copy.deepcopy(model)
    plain = torch.optim.SGD(two_groups(plain_model), lr=LR)
    plain_scheduler = SCHEDULERS[name](plain)
    optimizer = torch.optim.SGD(two_groups(model), lr=LR)
    if order == "balancer first":
        balancer = TempBalance(model, optimizer, **OPTIONS)
        scheduler = SCHEDULERS[name](optimizer)
    else:
        scheduler = SCHEDULERS[name](optimizer)
        balancer = TempBalance(model, optimizer, scheduler=scheduler, **OPTIONS)
    for step in range(8):
        update(plain_model, plain, batch)
        update(model, optimizer, batch)
        value = (1.0,) if name == "plateau" else ()  # never improves
        plain_scheduler.step(*value)
        scheduler.step(*value)
        balancer.step()
        check_rates(model, optimizer, balancer, rates(plain_model, plain))
        assert set(balancer.factors) == {"first", "second", "last"}
        assert balancer.factors["last"] == 1.0  # too few eigenvalues
        assert balancer.factors["first"] != pytest.approx(1.0, abs=1e-6), step
    assert rates(plain_model, plain)["first.weight"] != LR or name == "own"


def test_a_scheduler_built_before_must_be_passed(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=LR)
    scheduler = schedulers.StepLR(optimizer, 2)
    with pytest.raises(InputError, match=r"before TempBalance.*scheduler=scheduler"):
        TempBalance(model, optimizer, **OPTIONS)
    assert len(optimizer.param_groups) == 1
    TempBalance(model, optimizer, scheduler=scheduler, **OPTIONS)


def test_a_rate_set_by_hand_in_all_groups(model, batch):
    optimizer = torch.optim.SGD(model.parameters(), lr=LR)
    balancer = TempBalance(model, optimizer, **OPTIONS)
    for group in optimizer.param_groups:
        group["lr"] = 0.5
    balancer.step()
    check_rates(model, optimizer, balancer, dict.fromkeys(dict(model.named_parameters()), 0.5))


# ---- optimizers ------------------------------------------------------------------------------------------------


class SAM(torch.optim.Optimizer):
    """Sharpness-aware minimisation in its usual form with two steps, around AdamW with the same groups."""

    def __init__(self, params, lr, rho=0.05):
        super().__init__(params, {"lr": lr, "rho": rho, "weight_decay": 0.0, "betas": (0.9, 0.999), "eps": 1e-8})
        self.base = torch.optim.AdamW(self.param_groups, lr=lr)
        self.param_groups = self.base.param_groups

    @torch.no_grad()
    def first_step(self):
        everything = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        norm = torch.stack([p.grad.norm() for p in everything]).norm()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self.state[p]["climb"] = p.grad * (group["rho"] / norm)
                    p.add_(self.state[p]["climb"])

    @torch.no_grad()
    def step(self, closure=None):
        for p, state in self.state.items():
            if "climb" in state:
                p.sub_(state.pop("climb"))
        self.base.step()


def make(name, groups):
    if name == "adafactor-transformers":
        from transformers.optimization import Adafactor

        return Adafactor(groups, lr=LR, relative_step=False, scale_parameter=False)
    return {
        "sgd": lambda: torch.optim.SGD(groups, lr=LR, momentum=0.9),
        "adam": lambda: torch.optim.Adam(groups, lr=LR),
        "adamw": lambda: torch.optim.AdamW(groups, lr=LR, betas=(0.8, 0.9)),
        "adamw-fused": lambda: torch.optim.AdamW(groups, lr=LR, fused=True),
        "adamw-foreach": lambda: torch.optim.AdamW(groups, lr=LR, foreach=True),
        "adamw-tensor-lr": lambda: torch.optim.AdamW(groups, lr=torch.tensor(LR)),
        "adafactor": lambda: torch.optim.Adafactor(groups, lr=LR),
        "rmsprop": lambda: torch.optim.RMSprop(groups, lr=LR),
        "sam": lambda: SAM(groups, lr=LR),
    }[name]()


OPTIMIZERS = [
    "sgd", "adam", "adamw", "adamw-fused", "adamw-foreach", "adamw-tensor-lr", "adafactor",
    "adafactor-transformers", "rmsprop", "sam",
]  # fmt: skip


def train(model, optimizer, scheduler, balancer, batch, steps):
    for _ in range(steps):
        if isinstance(optimizer, SAM):
            optimizer.zero_grad()
            (model(batch[0]) - batch[1]).square().mean().backward()
            optimizer.first_step()
        update(model, optimizer, batch)
        scheduler.step()
        balancer.step()


@pytest.mark.parametrize("groups", ["split", "per_step"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_equals_an_optimizer_with_the_groups_written_out(model, batch, name, groups):
    """Training with TempBalance equals training with one hand-made group per layer, bit for bit."""
    by_hand = copy.deepcopy(model)
    tensor_rate = name == "adamw-tensor-lr"
    optimizer = make(name, [dict(g) for g in two_groups(model)])
    balancer = TempBalance(model, optimizer, groups=groups, **OPTIONS)
    names = {id(p): n for n, p in by_hand.named_parameters()}
    split = [
        {**group, "params": [p]} for group in two_groups(by_hand) for p in group["params"]
    ]  # one group per parameter
    reference = make(name, split)
    bases = [float(group["lr"]) for group in reference.param_groups]
    for _ in range(4):
        for group, base in zip(reference.param_groups, bases, strict=True):
            factor = balancer.factors.get(names[id(group["params"][0])].rpartition(".")[0], 1.0)
            group["lr"] = torch.tensor(base * factor) if tensor_rate else base * factor
        if name == "sam":
            for net, opt in ((model, optimizer), (by_hand, reference)):
                opt.zero_grad()
                (net(batch[0]) - batch[1]).square().mean().backward()
                opt.first_step()
        update(model, optimizer, batch)
        update(by_hand, reference, batch)
        balancer.step()
    for (label, a), b in zip(model.named_parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6, msg=label)
    torch.manual_seed(0)
    assert not torch.allclose(model.first.weight, Net().first.weight, atol=1e-4)


@pytest.mark.parametrize("groups", ["split", "per_step"])
@pytest.mark.parametrize("name", ["adamw-fused", "adafactor", "sgd"])
def test_state_round_trip_is_bit_for_bit(model, batch, name, groups):
    def build(net):
        optimizer = make(name, two_groups(net))
        balancer = TempBalance(net, optimizer, every=3, timing="lagged", groups=groups, **OPTIONS)
        return optimizer, balancer, schedulers.StepLR(optimizer, 3, 0.5)

    other = Net()  # other initial weights, other exponents
    optimizer, balancer, scheduler = build(model)
    train(model, optimizer, scheduler, balancer, batch, 4)
    saved = io.BytesIO()
    parts = (model, optimizer, scheduler, balancer)
    torch.save([part.state_dict() for part in parts], saved)
    json.dumps(balancer.state_dict())  # JSON can store it
    train(model, optimizer, scheduler, balancer, batch, 5)

    saved.seek(0)
    optimizer2, balancer2, scheduler2 = build(other)
    for part, state in zip((other, optimizer2, scheduler2, balancer2), torch.load(saved), strict=True):
        part.load_state_dict(state)
    train(other, optimizer2, scheduler2, balancer2, batch, 5)
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
    assert balancer.rates() == balancer2.rates()
    assert balancer.rows() == balancer2.rows() or np.isnan(balancer.rows()[-1]["alpha"])
    for layer, values in balancer.initial_eigenvalues().items():
        np.testing.assert_array_equal(values, balancer2.initial_eigenvalues()[layer])


def test_per_step_checkpoints_are_those_of_a_plain_run(model, batch):
    optimizer = torch.optim.AdamW(two_groups(model), lr=LR)
    order = [list(map(id, group["params"])) for group in optimizer.param_groups]
    balancer = TempBalance(model, optimizer, groups="per_step", **OPTIONS)
    update(model, optimizer, batch)
    assert [list(map(id, group["params"])) for group in optimizer.param_groups] == order
    assert [group["lr"] for group in optimizer.param_groups] == [LR, LR / 4]
    torch.optim.AdamW(two_groups(Net()), lr=1.0).load_state_dict(optimizer.state_dict())
    balancer.detach()
    before = model.first.weight.clone()
    update(model, optimizer, batch)
    assert not torch.equal(before, model.first.weight)


def test_detach_gives_the_groups_back(model):
    optimizer = torch.optim.AdamW(two_groups(model), lr=LR)
    expected = [{**group, "params": list(map(id, group["params"]))} for group in optimizer.param_groups]
    balancer = TempBalance(model, optimizer, **OPTIONS)
    assert len(optimizer.param_groups) == 7  # parents, layers with a weight, the one with a bias
    balancer.detach()
    assert [{**group, "params": list(map(id, group["params"]))} for group in optimizer.param_groups] == expected


def test_every_group_keeps_its_own_options(model):
    optimizer = torch.optim.AdamW(two_groups(model), lr=LR)
    TempBalance(model, optimizer, **OPTIONS)
    for group in optimizer.param_groups:
        for p in group["params"]:
            assert group["weight_decay"] == (0.1 if p.ndim > 1 else 0.0)
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(held) == sorted(map(id, model.parameters()))


def test_groups_that_were_added_later_are_left_alone(model, batch):
    stranger = nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([{"params": list(model.parameters())}, {"params": [stranger], "lr": 7.0}], lr=LR)
    balancer = TempBalance(model, optimizer, **OPTIONS)
    late = nn.Parameter(torch.ones(3))
    optimizer.add_param_group({"params": [late], "lr": 9.0})
    update(model, optimizer, batch)
    balancer.step()
    found = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert (found[id(stranger)], found[id(late)]) == (7.0, 9.0)
    balancer.detach()
    assert [len(group["params"]) for group in optimizer.param_groups] == [7, 1, 1]


def test_frozen_layers_and_partial_optimizers(model):
    model.first.weight.requires_grad_(False)
    optimizer = torch.optim.SGD([model.second.weight, model.last.weight], lr=LR)
    balancer = TempBalance(model, optimizer, **OPTIONS)
    rows = {row["layer"]: row for row in balancer.rows()}
    assert np.isnan(rows["first"]["lr"])  # measured, not trained
    assert rows["first"]["alpha"] > 1
    assert rows["second"]["lr"] != LR


def test_gradient_accumulation(model, batch):
    """Two half batches with half the loss equal one batch; step() counts updates."""
    other = copy.deepcopy(model)
    nets = []
    for net, parts in ((model, 1), (other, 2)):
        optimizer = torch.optim.SGD(net.parameters(), lr=LR)
        balancer = TempBalance(net, optimizer, **OPTIONS)
        for _ in range(3):
            optimizer.zero_grad()
            for x, y in zip(batch[0].chunk(parts), batch[1].chunk(parts), strict=True):
                ((net(x) - y).square().mean() / parts).backward()
            optimizer.step()
            balancer.step()
        nets.append(balancer.factors)
    assert nets[0] == pytest.approx(nets[1], rel=1e-4)
