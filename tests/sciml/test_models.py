"""Operators: their sizes, their shapes, what they can and cannot be told."""

from __future__ import annotations

import pytest
import torch

from tempbalance.errors import ConfigError
from tempbalance.sciml.fno import FNO
from tempbalance.sciml.models import build_model
from tempbalance.sciml.unet import UNet


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


def test_parameter_counts_are_the_published_ones():
    assert count(FNO(40, 4, 2)) == 466_544
    assert count(UNet(30, 3, 1)) == 2_710_659
    assert count(UNet(40, 4, 2)) == 7_773_796


@pytest.mark.parametrize("kind", ["fno", "unet"])
@pytest.mark.parametrize("ndim", [1, 2])
def test_an_operator_maps_frames_to_a_frame(kind, ndim):
    small = {"fno": {"modes": 4}, "unet": {"init_features": 2}}[kind]
    model = build_model({"kind": kind, "title": "x", **small}, 6, 3, ndim)
    space = (16, 32)[:ndim]
    assert model(torch.randn(2, *space, 6), torch.zeros(2, *space, ndim)).shape == (2, *space, 3)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"kind": "gno"}, "'kind' is 'gno', expected one of"), ({"kind": "fno", "depth": 3}, "kind 'fno' do not fit")],
)
def test_unknown_operators_and_arguments_are_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        build_model(options, 3, 3, 1)


def test_a_spectral_convolution_is_a_convolution():
    """Shifting a periodic input shifts the output of the spectral layer alike."""
    torch.manual_seed(0)
    layer = FNO(3, 3, 1, modes=4).conv[0]
    x = torch.randn(1, 20, 32)
    torch.testing.assert_close(layer(x.roll(5, -1)), layer(x).roll(5, -1), rtol=1e-4, atol=1e-6)
