"""The values of the released code (tests/data/esd.json, a copy of the oracle): spectra, exponents, distances."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tempbalance import esd, pl_alpha_hill
from tempbalance.spectra import fit_tail, layer_metrics, spectral_norm, stable_rank
from tempbalance.spectra._eigen import drop_small

CASES = json.loads((Path(__file__).parents[1] / "data" / "esd.json").read_text())
TAILS = {"xmin_mid": "hill", "xmin_peak": "xmin_peak", None: "ks"}


def weight_of(case: dict) -> torch.Tensor:
    values = np.random.default_rng(case["seed"]).standard_normal(case["shape"])
    if case["decay"]:
        columns = np.arange(1, case["shape"][1] + 1) ** -float(case["decay"])
        values = values * columns.reshape([1, -1] + [1] * (values.ndim - 2))
    return torch.tensor((values * case["scale"]).astype(np.float32))


def test_the_copy_is_complete():
    assert len(CASES) == 38
    assert sum(bool(case.get("skipped")) for case in CASES) == 1


@pytest.mark.parametrize(
    "case", CASES, ids=lambda c: f"{c['code']}-{'x'.join(map(str, c['shape']))}-{c['fix_fingers']}"
)
def test_matches_the_released_estimator(case):
    weight = weight_of(case)
    if case.get("skipped"):
        out, inside, *kernel = weight.shape
        layer = torch.nn.Conv2d(inside, out, tuple(kernel), bias=False)
        layer.weight.data = weight
        row = layer_metrics(torch.nn.ModuleDict({"conv": layer}), preset="nlp").loc["conv"]
        assert np.isnan(row["alpha"])
        assert row["reason"] == "20 eigenvalues, fewer than 50"
        return
    eigenvalues = esd(weight, conv1d="released")
    assert len(eigenvalues) == case["n_eigs"]
    assert eigenvalues.dtype == torch.float32
    assert torch.equal(eigenvalues, eigenvalues.sort().values)
    assert stable_rank(eigenvalues) == pytest.approx(case["stable_rank"], rel=1e-5)
    assert spectral_norm(eigenvalues) == pytest.approx(case["spectral_norm"], rel=1e-5)
    assert float(eigenvalues.double().sum()) == pytest.approx(case["norm"], rel=1e-5)
    if case["eig_min"] > 1e-6 * case["eig_max"]:
        assert float(eigenvalues[0]) == pytest.approx(case["eig_min"], rel=1e-4)
    kept = drop_small(eigenvalues, 1e-5) if case["filter_zeros"] else eigenvalues
    fit = fit_tail(kept, tail=TAILS[case["fix_fingers"]], xmin_pos=case["xmin_pos"])
    # Ten times tighter than the oracle's tolerance: fits in float64 agree to 1e-6.
    assert fit.alpha == pytest.approx(case["alpha"], rel=1e-5)
    assert fit.ks_distance == pytest.approx(case["D"], rel=1e-4)
    if case["fix_fingers"] == "xmin_mid":
        assert pl_alpha_hill(kept, xmin_pos=case["xmin_pos"]) == fit.alpha


def test_filter_goes_through_esd_too():
    case = next(c for c in CASES if c["shape"] == [96, 96])
    assert len(esd(weight_of(case), min_eigenvalue=1e-5)) == 95
    assert len(esd(weight_of(case), min_eigenvalue=1e9)) == 96  # none would be left, so all are kept


def test_released_conv1d_differs():
    case = next(c for c in CASES if c["shape"] == [20, 20, 1])
    weight = weight_of(case)
    rows = weight.squeeze(-1).square().sum(1).sort().values
    torch.testing.assert_close(esd(weight, conv1d="released"), rows)
    matrix = torch.linalg.svdvals(weight.squeeze(-1).double()).square().flip(0) / 2
    torch.testing.assert_close(esd(weight).double(), matrix, rtol=1e-5, atol=1e-6)
