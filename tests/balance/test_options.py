"""TempBalance's options: what is scheduled, by which schedule, metric, timing and unit, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from small_net import LR, OPTIONS, Net, check_rates, rates, two_groups, update
from torch import nn

from tempbalance import TempBalance
from tempbalance.balance import Diagnostics
from tempbalance.errors import InputError


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
