"""Operators: sizes, shapes, options."""

from __future__ import annotations

import pytest
import torch

from replication.errors import ConfigError
from replication.operators.fno import FNO
from replication.operators.models import build_model, fingerprints
from replication.operators.unet import UNet


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


def test_parameter_counts_are_the_published_ones():
    assert count(FNO(40, 4, 2)) == 466_544
    # PDEBench's 1-D FNO, layer by layer: lifting, 4 x (spectral + 1x1), projection.
    assert count(FNO(30, 3, 1)) == 31 * 20 + 20 + 4 * (20 * 20 * 12 + 20 * 20 + 20) + 20 * 128 + 128 + 128 * 3 + 3
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
    [
        ({"kind": "gno"}, "'kind' is 'gno', expected one of"),
        ({"kind": "fno", "depth": 3}, "kind 'fno' do not fit"),
        ({"kind": "fno", "modes": 0}, "'modes' is 0, expected a whole number of at least 1"),
        ({"kind": "fno", "width": "20"}, "'width' is '20', expected a whole number"),
        ({"kind": "unet", "init_features": 0}, "'init_features' is 0, expected"),
    ],
)
def test_unknown_operators_and_arguments_are_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        build_model(options, 3, 3, 1)


OWN = """
import torch
def tall(in_channels, out_channels, ndim, depth=1):
    return torch.nn.Bilinear(in_channels, ndim, out_channels * depth)
"""


def test_an_operator_of_a_file_is_built_with_its_options(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(OWN)
    model = build_model({"kind": f"{path}:tall", "title": "x", "depth": 2}, 6, 3, 1)
    assert model(torch.randn(2, 16, 6), torch.zeros(2, 16, 1)).shape == (2, 16, 6)
    before = fingerprints({"kind": f"{path}:tall"})["code"]
    path.write_text(OWN + "# changed")
    assert fingerprints({"kind": f"{path}:tall"})["code"] != before


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (None, "own.py: cannot build a model with 'tall' .FileNotFoundError"),
        ("def tal", "own.py: cannot build a model with 'tall' .SyntaxError"),
        ("x = 1 / 0", "own.py: cannot build a model with 'tall' .ZeroDivisionError"),
        ("wide = 1", "own.py: cannot build a model with 'tall' .AttributeError"),
        ("def tall(a): return a", "own.py:tall' do not fit"),
    ],
)
def test_a_file_without_the_operator_is_named(tmp_path, code, words):
    if code is not None:
        (tmp_path / "own.py").write_text(code)
    with pytest.raises(ConfigError, match=words):
        build_model({"kind": f"{tmp_path}/own.py:tall"}, 6, 3, 1)


@pytest.mark.parametrize(
    ("options", "space", "words"),
    [
        ({"kind": "unet", "init_features": 2}, (30,), "multiple of 16, but the data has 30 points"),
        ({"kind": "unet", "init_features": 2}, (32, 30), "multiple of 16, but the data has 32 x 30 points"),
        ({"kind": "dpot", "width": 16, "heads": 2, "size": 16}, (16, 15), "8 x 8 points, but the data has 16 x 15"),
    ],
)
def test_a_grid_that_an_operator_cannot_take_is_named(options, space, words):
    model = build_model(options, 8, 4, len(space))
    with pytest.raises(ConfigError, match=words):
        model(torch.randn(2, *space, 8), torch.zeros(2, *space, len(space)))


def test_a_lone_sample_on_the_coarsest_grid_is_named():
    model = build_model({"kind": "unet", "init_features": 2}, 6, 3, 1)
    with pytest.raises(ConfigError, match="choose a batch_size that leaves no single sample over"):
        model(torch.randn(1, 16, 6), torch.zeros(1, 16, 1))
    model.eval()  # evaluation uses running statistics
    assert model(torch.randn(1, 16, 6), torch.zeros(1, 16, 1)).shape == (1, 16, 3)
