"""Fourier layers by matrix products, against neuraloperator's layer and its FFT."""

from __future__ import annotations

import statistics
import time

import pytest
import torch
from torch import nn

from replication.operators.fno import FNO
from replication.operators.rollout import rollout, rollout_loss
from replication.operators.spectral import SpectralWeights, fourier_layer, products_pay, real_weights
from replication.operators.stock import neuralop_layer

WIDTH = 6


def layer(modes, space, double=False):
    """A 1x1 convolution of zeros, spectral weights, and a field ``[x, (y), batch, channel]``."""
    torch.manual_seed(0)
    local = (nn.Conv1d, nn.Conv2d)[len(space) - 1](WIDTH, WIDTH, 1)
    nn.init.zeros_(local.weight)
    nn.init.zeros_(local.bias)
    return SpectralWeights(WIDTH, modes), local, torch.randn(*space, 3, WIDTH)


@pytest.mark.parametrize(
    ("modes", "space"),
    [
        ((4,), (32,)), ((4,), (33,)), ((9,), (16,)), ((12,), (10,)), ((6, 4), (16, 18)), ((6, 4), (16, 17)),
        ((8, 9), (16, 16)), ((24, 12), (18, 18)),
    ],
    ids=["1d", "1d-odd", "1d-nyquist", "1d-coarse", "2d", "2d-odd", "2d-nyquist", "2d-coarse"],
)  # fmt: skip
def test_products_agree_with_neuraloperators_layer(modes, space):
    spectral, local, x = layer(modes, space)
    reference = neuralop_layer(WIDTH, modes)
    reference.load_state_dict(spectral.state_dict())
    x.requires_grad_()
    weights = spectral.for_grid(space)
    ours = fourier_layer(x, real_weights(weights), local, tuple(weights.shape[2:]))
    theirs = reference(x.movedim((-2, -1), (0, 1))).movedim((0, 1), (-2, -1))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    push = torch.randn_like(ours)
    found = torch.autograd.grad(ours, (x, spectral.get_parameter("weight.tensor")), push)
    expected = torch.autograd.grad(theirs, (x, reference.get_parameter("weight.tensor")), push)
    for one, other in zip(found, expected, strict=True):
        assert (one - other).abs().max() <= 1e-5 * other.abs().max()


@pytest.mark.parametrize("space", [(16,), (8, 10)])
def test_the_layers_gradient_is_that_of_finite_differences(space):
    modes = (4, 3)[-len(space) :]
    spectral, local, x = layer(modes, space)
    nn.init.normal_(local.weight)
    x.requires_grad_()
    real = real_weights(spectral.for_grid(space)).detach().requires_grad_()
    torch.autograd.gradcheck(
        lambda x, real, weight, bias: fourier_layer(x, real, local, modes).sum((0, 1)),
        (x, real, local.weight, local.bias), eps=1e-1, atol=2e-2, rtol=1e-2, nondet_tol=1e-5,
    )  # fmt: skip


def test_shifting_a_periodic_field_shifts_its_result():
    spectral, local, x = layer((4,), (32,))
    apply = lambda x: fourier_layer(x, real_weights(spectral.for_grid((32,))), local, (4,))  # noqa: E731
    torch.testing.assert_close(apply(x.roll(5, 0)), apply(x).roll(5, 0), rtol=1e-4, atol=1e-5)


def gradients(model, inputs, grid, target):
    model.zero_grad()
    loss = rollout_loss(rollout(model, inputs, grid, target.shape[-2]), target)
    loss.backward()
    return loss.item(), [torch.view_as_real(p.grad) if p.is_complex() else p.grad for p in model.parameters()]


@pytest.mark.parametrize("space", [(64,), (32, 32)])
def test_products_and_fft_train_alike(monkeypatch, space):
    """Losses to 1e-6 and gradients to 1e-5, over a rollout."""
    from replication.operators import fno

    torch.manual_seed(0)
    ndim = len(space)
    model = FNO(4, 2, ndim, modes=8)
    inputs, target, grid = torch.randn(3, *space, 2, 2), torch.randn(3, *space, 4, 2), torch.rand(*space, ndim)
    loss, products = gradients(model, inputs, grid, target)
    monkeypatch.setattr(fno, "products_pay", lambda *_: False)
    expected, fft = gradients(model, inputs, grid, target)
    assert loss == pytest.approx(expected, rel=1e-6)
    for ours, theirs in zip(products, fft, strict=True):
        assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()


def test_an_fno_starts_with_the_weights_that_neuraloperators_layers_would_draw(monkeypatch):
    from replication.operators import fno

    torch.manual_seed(7)
    ours = FNO(4, 2, 2, modes=5).state_dict()

    def theirs(width, modes):
        layer = neuralop_layer(width, modes)
        layer.__class__ = type("Layer", (type(layer), SpectralWeights), {})
        return layer

    monkeypatch.setattr(fno, "SpectralWeights", theirs)
    monkeypatch.setattr(FNO, "_spectral", lambda self: list(self.conv))
    torch.manual_seed(7)
    expected = FNO(4, 2, 2, modes=5).state_dict()
    assert list(ours) == list(expected)
    for name, tensor in ours.items():
        assert torch.equal(tensor, expected[name]), name


def test_weights_are_read_again_after_a_step():
    torch.manual_seed(0)
    model = FNO(3, 3, 1, modes=4)
    inputs, grid = torch.randn(2, 32, 1, 3), torch.rand(32, 1)
    before = rollout(model, inputs, grid, 2)
    with torch.no_grad():
        model.conv[0].get_parameter("weight.tensor").mul_(50)
    assert not torch.allclose(rollout(model, inputs, grid, 2), before)


def test_many_modes_and_odd_planes_use_the_fft():
    assert products_pay((258,), (12,))
    assert not products_pay((1026,), (300,))
    assert products_pay((66, 66), (24, 12))
    assert not products_pay((65, 66), (24, 12))


def test_products_stay_faster_than_the_fft(monkeypatch):
    """With a wide margin: one rollout and its gradient, 1-D, 256 cells, medians of alternating repetitions."""
    from replication.operators import fno

    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = FNO(30, 3, 1)
    inputs, target, grid = torch.randn(10, 256, 10, 3), torch.randn(10, 256, 4, 3), torch.rand(256, 1)
    seconds = {True: [], False: []}
    for repetition in range(8):
        for products, values in seconds.items():
            monkeypatch.setattr(fno, "products_pay", lambda *_, products=products: products)
            start = time.process_time()
            gradients(model, inputs, grid, target)
            if repetition:
                values.append(time.process_time() - start)
    assert statistics.median(seconds[False]) > 1.2 * statistics.median(seconds[True])
