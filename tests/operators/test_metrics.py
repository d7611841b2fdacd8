"""Metrics: known values, batches, dilution, scale."""

from __future__ import annotations

import math

import pytest
import torch

from replication.operators.metrics import Errors
from replication.operators.optim import JointAdam, PlainAdam


def measure(predicted, target, initial_steps=0, batch=100):
    errors = Errors(initial_steps)
    for p, t in zip(predicted.split(batch), target.split(batch), strict=True):
        errors.update(p, t)
    return errors.result()


@pytest.fixture(params=[1, 2])
def pair(request):
    torch.manual_seed(request.param)
    shape = (6, *(16, 12)[: request.param], 5, 3)
    return torch.randn(shape), torch.randn(shape)


def test_a_perfect_prediction_has_no_error(pair):
    values = measure(pair[1], pair[1])
    assert all(value == 0 for value in values.values() if not math.isnan(value))


def test_batches_do_not_matter(pair):
    one, many = measure(*pair), measure(*pair, batch=2)
    assert one.keys() == many.keys()
    for name in one:
        assert one[name] == pytest.approx(many[name], nan_ok=True), name


def test_a_constant_offset_is_known(pair):
    target = pair[1]
    values = measure(target + 0.5, target)
    for name in ("rmse", "crmse", "max", "brmse"):
        assert values[name] == pytest.approx(0.5, rel=1e-5), name
    assert values["frmse_mid"] == pytest.approx(0, abs=1e-6)


def test_nrmse_is_invariant_to_the_unit_and_rmse_is_not(pair):
    plain, scaled = measure(*pair), measure(10 * pair[0], 10 * pair[1])
    assert scaled["nrmse"] == pytest.approx(plain["nrmse"], rel=1e-6)
    assert scaled["rmse"] == pytest.approx(10 * plain["rmse"], rel=1e-6)


def test_initial_steps_dilute_nrmse_and_not_the_rollouts(pair):
    predicted, target = pair[0].clone(), pair[1]
    predicted[..., :2, :] = target[..., :2, :]
    values = measure(predicted, target, initial_steps=2)
    assert values["nrmse"] == pytest.approx(values["nrmse_rollout"] * 3 / 5, rel=1e-6)


def test_a_sine_lands_in_its_band():
    x = torch.arange(32) / 32
    target = torch.ones(1, 32, 1, 1)
    predicted = target + torch.sin(2 * math.pi * 6 * x)[None, :, None, None]
    values = measure(predicted, target)
    assert values["frmse_mid"] > 1e-2
    assert values["frmse_low"] == pytest.approx(0, abs=1e-6)
    assert values["frmse_high"] == pytest.approx(0, abs=1e-6)


def test_plain_adam_is_torchs_bit_for_bit():
    ends = []
    for kind in (PlainAdam, torch.optim.Adam):
        torch.manual_seed(0)
        real, complex_ = (torch.nn.Parameter(torch.randn(4, dtype=dtype)) for dtype in (torch.float, torch.cfloat))
        optimizer = kind([real, complex_], lr=0.1, weight_decay=0.01)
        for _ in range(5):
            optimizer.zero_grad()
            (real.exp().sum() + complex_.abs().square().sum()).backward()
            optimizer.step()
            optimizer.load_state_dict(optimizer.state_dict())
        ends.append((real.detach(), complex_.detach()))
    assert all(torch.equal(one, other) for one, other in zip(*ends, strict=True))


def test_joint_adam_is_adam_for_real_and_scales_complex_by_their_size():
    torch.manual_seed(0)
    start, gradients = torch.randn(4), [torch.randn(4) for _ in range(5)]
    ends = []
    for kind in (JointAdam, torch.optim.Adam):
        p = torch.nn.Parameter(start.clone())
        optimizer = kind([p], lr=0.1, weight_decay=0.01)
        for gradient in gradients:
            p.grad = gradient.clone()
            optimizer.step()
        ends.append(p.detach())
    torch.testing.assert_close(*ends)
    p = torch.nn.Parameter(torch.zeros(1, dtype=torch.cfloat))
    p.grad = torch.tensor([3 + 4j])
    JointAdam([p], lr=1.0).step()
    torch.testing.assert_close(p.detach(), torch.tensor([-0.6 - 0.8j]))  # |g| = 5; torch's own would give -1 - 1j
