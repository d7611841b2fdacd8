"""TempBalance with torch's schedulers and optimizers: options, base rates, and states bit for bit."""

from __future__ import annotations

import copy
import io
import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler as schedulers

from tempbalance import TempBalance
from tempbalance.balance import Diagnostics
from tempbalance.errors import InputError

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


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Net()


@pytest.fixture
def batch():
    torch.manual_seed(1)
    return torch.randn(32, 12), torch.randn(32, 2)


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


# ---- what is scheduled, and how -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheduled", "scaled"), [("lr", {"lr"}), ("weight_decay", {"weight_decay"}), ("both", {"lr", "weight_decay"})]
)
def test_scheduled_hyper_parameter(model, scheduled, scaled):
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=0.1)
    balancer = TempBalance(
        model, optimizer, scheduled=scheduled, schedule="linear", min_ratio=2 / 3, slope=13 / 3, **OPTIONS
    )
    assert sorted(balancer.factors.values()) == pytest.approx([2 / 3, 1, 5])  # AlphaDecay's range
    for key, base in (("lr", LR), ("weight_decay", 0.1)):
        same = dict.fromkeys(dict(model.named_parameters()), base)
        if key in scaled:
            check_rates(model, optimizer, balancer, same, key)
        else:
            assert rates(model, optimizer, key) == same


@pytest.mark.parametrize("schedule", ["linear", "rank", "sqrt", "log2", "exp", "fixed", "sigmoid"])
def test_one_set_of_parameters_serves_all_schedules(model, schedule):
    shared = {"s_min": 0.5, "s_max": 2.0, "tau": 5.0, "min_ratio": 0.7, "slope": 0.6}
    balancer = TempBalance(model, torch.optim.SGD(model.parameters(), lr=LR), schedule=schedule, **shared, **OPTIONS)
    factors = [balancer.factors["first"], balancer.factors["second"]]
    if schedule == "linear":
        assert sorted(factors) == pytest.approx([0.7, 1.3])
    if schedule in ("fixed", "sigmoid"):
        assert max(factors) <= 10.0
        assert min(factors) >= 10**-0.25
    assert factors[0] != factors[1]


def test_fixed_keeps_the_first_factors(model, batch):
    optimizer = torch.optim.SGD(model.parameters(), lr=LR)
    fixed = TempBalance(model, optimizer, schedule="fixed", **OPTIONS)
    before = fixed.factors
    model.first.weight.data[:3] *= 9
    fixed.step()
    assert fixed.factors == before
    moving = TempBalance(model, torch.optim.SGD(model.parameters(), lr=LR), **OPTIONS)
    assert moving.factors != before


def test_normalised_factors_have_mean_one(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=LR)
    balancer = TempBalance(model, optimizer, normalize=True, s_max=3.0, **OPTIONS)
    assert np.mean([balancer.factors["first"], balancer.factors["second"]]) == pytest.approx(1.0)


@pytest.mark.parametrize("metric", ["alpha", "stable_rank", "spectral_norm", "farms"])
def test_metrics(model, metric):
    from tempbalance import layer_metrics, sigmoid_schedule

    optimizer = torch.optim.SGD(model.parameters(), lr=LR)
    balancer = TempBalance(model, optimizer, metric=metric, metric_scale="released", **OPTIONS)
    options = {k: v for k, v in OPTIONS.items() if k != "preset"}
    table = layer_metrics(model, metric=metric if metric == "farms" else "alpha", **options).loc[["first", "second"]]
    values = table["alpha" if metric == "farms" else metric]
    np.testing.assert_allclose([balancer.factors[n] for n in ("first", "second")], sigmoid_schedule(values, 1.0))


def test_released_stable_rank_is_of_the_upper_half_after_the_start(model, batch):
    from tempbalance import layer_metrics, sigmoid_schedule
    from tempbalance.spectra import layer_spectra

    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    options = {**OPTIONS, "min_eigenvalue": 1e-2, "metric": "stable_rank_released", "metric_scale": "released"}
    balancer = TempBalance(model, optimizer, tau=0.1, **options)
    whole = layer_metrics(model, **OPTIONS).loc[["first", "second"], "stable_rank"]
    expected = sigmoid_schedule(whole, 1.0, tau=0.1)
    np.testing.assert_allclose([balancer.factors[n] for n in ("first", "second")], expected, rtol=1e-6)
    update(model, optimizer, batch)
    balancer.step()
    filtered = [s.eigenvalues[s.eigenvalues > 1e-2] for s in layer_spectra(model, **OPTIONS)[:2]]
    halves = [values[int(len(values) / 2) :] for values in filtered]
    expected = sigmoid_schedule([half.sum() / half.max() for half in halves], 1.0, tau=0.1)
    np.testing.assert_allclose([balancer.factors[n] for n in ("first", "second")], expected, rtol=1e-6)


@pytest.mark.parametrize(("metric", "sign"), [("stable_rank", 1), ("stable_rank_released", 1), ("spectral_norm", -1)])
def test_other_metrics_enter_on_the_scale_of_exponents(metric, sign):
    from tempbalance.balance._core import metric_values
    from tempbalance.spectra import get_preset, layer_spectra

    torch.manual_seed(0)
    layers = nn.Sequential(*(nn.Linear(30, 30) for _ in range(6)))
    spectra = layer_spectra(layers, **OPTIONS)
    alphas, raw = (np.array([s.value(m) for s in spectra]) for m in ("alpha", metric))
    found = metric_values(spectra, get_preset("sciml", metric=metric))
    assert np.corrcoef(found, raw)[0, 1] == pytest.approx(sign)
    assert (found.mean(), found.std()) == pytest.approx((alphas.mean(), alphas.std()))
    np.testing.assert_array_equal(
        metric_values(spectra, get_preset("sciml", metric=metric, metric_scale="released")), raw
    )


def test_lagged_timing_uses_the_exponents_of_the_last_forward_pass(model, batch):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    balancer = TempBalance(model, optimizer, timing="lagged", **OPTIONS)
    plain = dict.fromkeys(dict(model.named_parameters()), 0.5)
    assert rates(model, optimizer) == plain  # the first update is not balanced
    initial = {row["layer"]: row["alpha"] for row in balancer.rows()}
    update(model, optimizer, batch)
    balancer.step()
    first = balancer.factors
    from tempbalance import sigmoid_schedule

    expected = sigmoid_schedule([initial["first"], initial["second"]], 1.0)
    assert [first["first"], first["second"]] == pytest.approx(list(expected))


def test_units_of_a_transformer():
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    model = BertForSequenceClassification(
        BertConfig(vocab_size=60, hidden_size=64, num_hidden_layers=2, num_attention_heads=2, intermediate_size=128)
    )
    for unit in ("block", "layer", "layer_in_block"):
        optimizer = torch.optim.AdamW(model.parameters(), lr=LR)
        balancer = TempBalance(model, optimizer, preset="nlp", timing="fresh", unit=unit)
        found = balancer.rates()
        block = "bert.encoder.layer.1."
        norm, dense, bias = (
            found[block + n] for n in ("output.LayerNorm.weight", "output.dense.weight", "output.dense.bias")
        )
        inside = [rate for name, rate in found.items() if name.startswith(block)]
        outside = [rate for name, rate in found.items() if "encoder.layer" not in name]
        assert outside == [LR] * len(outside)  # embeddings, pooler, classifier
        assert dense == bias != LR
        if unit == "block":
            assert set(inside) == {dense}
        else:
            assert len(set(inside)) > 2
            assert norm == dense, "the preceding layer's, as released"


def test_diagnostics_see_the_same_and_touch_nothing(model, batch):
    optimizer = torch.optim.SGD(two_groups(model), lr=LR)
    diagnostics = Diagnostics(model, optimizer, **OPTIONS)
    rows = diagnostics.rows()
    assert [row["lr"] for row in rows] == [LR] * 3
    assert len(optimizer.param_groups) == 2
    first = diagnostics.initial_eigenvalues()
    balancer = TempBalance(model, optimizer, **OPTIONS)
    assert [row["alpha"] for row in balancer.rows()][:2] == [row["alpha"] for row in rows][:2]
    update(model, optimizer, batch)
    assert [r["alpha"] for r in diagnostics.rows()][:2] != [r["alpha"] for r in rows][:2]
    again = Diagnostics(model, optimizer, **OPTIONS)
    again.load_state_dict(json.loads(json.dumps(diagnostics.state_dict())))
    for layer, values in first.items():
        np.testing.assert_array_equal(values, again.initial_eigenvalues()[layer])


def test_diverged_weights_leave_finite_rates(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=LR)
    balancer = TempBalance(model, optimizer, **OPTIONS)
    model.first.weight.data.fill_(float("nan"))
    balancer.step()
    assert balancer.factors == {"first": 1.0, "second": 1.0, "last": 1.0}
    assert all(np.isfinite(rate) for rate in balancer.rates().values())


# ---- errors -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"schedule": "cosine"}, "schedule: 'cosine'.*fixed"),
        ({"scheduled": "momentum"}, "scheduled: 'momentum'"),
        ({"groups": "both"}, "groups: 'both'"),
        ({"every": 0}, "every: 0"),
        ({"unit": "block"}, "trains no block"),
        ({"alpha": 3}, "'alpha' is unknown"),
        ({"s_min": -1.0}, "s_min >= 0"),
    ],
)
def test_bad_options(model, options, words):
    optimizer = torch.optim.SGD(model.parameters(), lr=LR)
    with pytest.raises(InputError, match=words):
        TempBalance(model, optimizer, **{**OPTIONS, **options})


def test_optimizers_that_cannot_be_balanced(model):
    with pytest.raises(InputError, match="LBFGS"):
        TempBalance(model, torch.optim.LBFGS(model.parameters()), **OPTIONS)
    with pytest.raises(InputError, match="trains no layer"):
        TempBalance(model, torch.optim.SGD(Net().parameters(), lr=LR), **OPTIONS)
    with pytest.raises(InputError, match="no weight matrix"):
        TempBalance(nn.LayerNorm(9), torch.optim.SGD(model.parameters(), lr=LR), **OPTIONS)
    with pytest.raises(InputError, match="'weight_decay'"):
        TempBalance(model, torch.optim.Rprop(model.parameters(), lr=LR), scheduled="weight_decay", **OPTIONS)
    from transformers.optimization import Adafactor

    with pytest.raises(InputError, match="relative_step=False"):
        TempBalance(model, Adafactor(model.parameters()), **OPTIONS)


def test_other_states_are_refused(model):
    balancer = TempBalance(model, torch.optim.SGD(model.parameters(), lr=LR), **OPTIONS)
    state = balancer.state_dict()
    with pytest.raises(InputError, match="not a TempBalance state"):
        balancer.load_state_dict({"steps": 3})
    with pytest.raises(InputError, match=r"another model.*'decoder'"):
        balancer.load_state_dict({**state, "factors": {"decoder": 2.0}})
    with pytest.raises(InputError, match="not a Diagnostics state"):
        balancer.load_state_dict({**state, "diagnostics": {}})
    balancer.optimizer.param_groups.pop()
    with pytest.raises(InputError, match=r"parameter groups, TempBalance made 4"):
        balancer.step()
