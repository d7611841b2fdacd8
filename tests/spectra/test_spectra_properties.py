"""Properties that hold for any matrix, and the error bound in float32."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tempbalance import esd, pl_alpha_hill
from tempbalance.errors import InputError
from tempbalance.spectra import alpha_ks_search, batched_eigenvalues, layer_metrics, stable_rank
from tempbalance.spectra._eigen import farms_windows

fast = settings(max_examples=25, deadline=None)
sides = st.integers(4, 40)


def matrix(rows: int, columns: int, seed: int, decay: float = 0.4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(rows, columns, generator=generator, dtype=torch.float64)
    return values * torch.arange(1, columns + 1) ** -decay


def rotation(size: int, seed: int) -> torch.Tensor:
    return torch.linalg.qr(matrix(size, size, seed, 0.0)).Q


@fast
@given(sides, sides, st.integers(0, 2**16), st.floats(1e-3, 1e3))
def test_alpha_is_invariant(rows, columns, seed, scale):
    weight = matrix(rows, columns, seed)
    alpha = pl_alpha_hill(esd(weight))
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(seed))
    for changed in (
        scale * weight,
        -weight,
        weight.T,
        weight[order],
        weight[:, torch.randperm(columns, generator=torch.Generator().manual_seed(seed))],
        rotation(rows, seed) @ weight,
        weight @ rotation(columns, seed + 1),
    ):
        assert pl_alpha_hill(esd(changed)) == pytest.approx(alpha, rel=1e-9)


@fast
@given(sides, sides, st.integers(0, 2**16))
def test_eigenvalues_are_squared_singular_values(rows, columns, seed):
    weight = matrix(rows, columns, seed)
    expected = torch.linalg.svdvals(weight).square().flip(0)
    torch.testing.assert_close(esd(weight), expected, rtol=1e-9, atol=1e-12 * float(expected[-1]))
    assert float(esd(weight).sum()) == pytest.approx(float(weight.square().sum()))
    assert 1 <= stable_rank(esd(weight)) <= min(rows, columns) + 1e-9


@fast
@given(st.floats(1.3, 6.0), st.integers(0, 2**16))
def test_hill_finds_the_exponent_of_a_power_law(alpha, seed):
    uniform = np.random.default_rng(seed).random(20000)
    values = (1 - uniform) ** (-1 / (alpha - 1))
    # The standard error of the estimate is (alpha - 1) / sqrt(tail length).
    assert pl_alpha_hill(values) == pytest.approx(alpha, abs=5 * (alpha - 1) / 100)


def test_complex_weights():
    weight = torch.randn(12, 9, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    expected = torch.linalg.svdvals(weight.to(torch.complex128)).square().flip(0)
    torch.testing.assert_close(esd(weight).double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(8, 6, 3), (8, 6, 3, 3), (8, 6, 2, 3, 2)])
def test_convolutions_pool_their_kernel_positions(shape):
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    positions = weight.reshape(8, 6, -1)
    one_by_one = [torch.linalg.svdvals(positions[..., k]).square() / 2 for k in range(positions.shape[-1])]
    torch.testing.assert_close(esd(weight), torch.cat(one_by_one).sort().values, rtol=1e-5, atol=1e-6)


# ---- float32 ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.6, 1.0], ids=lambda d: f"decay{d}")
@pytest.mark.parametrize("shape", [(384, 384), (200, 700)], ids=str)
def test_float32_exponents_are_within_1e_4_of_a_float64_svd(shape, decay):
    weight = 0.03 * matrix(*shape, 3, decay).float()
    exact = torch.linalg.svdvals(weight.double()).square().flip(0)
    for xmin_pos in (1.5, 2.0):
        found = pl_alpha_hill(esd(weight), xmin_pos=xmin_pos)
        assert found == pytest.approx(pl_alpha_hill(exact, xmin_pos=xmin_pos), abs=1e-4)


def test_badly_conditioned_weights_are_solved_in_double():
    weight = 0.03 * matrix(200, 200, 3, 1.5).float()  # the median eigenvalue is 1e-6 of the largest
    exact = torch.linalg.svdvals(weight.double()).square().flip(0)
    naive = torch.linalg.eigvalsh(weight @ weight.T)
    middle = slice(90, 110)
    assert float((naive[middle] / exact[middle] - 1).abs().max()) > 1e-3  # what float32 alone would give
    torch.testing.assert_close(esd(weight)[middle].double(), exact[middle], rtol=1e-5, atol=0)


def test_noise_does_not_decide_at_the_filter():
    """Eigenvalues around 1e-5 and one of 100: noise in float32 is as large as the filter."""
    values = torch.cat([torch.full((100,), 2e-5), torch.full((100,), 0.5e-5), torch.tensor([100.0])]).double().sqrt()
    weight = (rotation(201, 0) * values @ rotation(201, 1)).float()
    assert len(esd(weight, min_eigenvalue=1e-5)) == 101


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_promoted(dtype):
    weight = torch.randn(30, 20, generator=torch.Generator().manual_seed(0)).to(dtype)
    assert esd(weight).dtype == torch.float32
    torch.testing.assert_close(esd(weight), esd(weight.float()))


def test_batched_solve_equals_single_solves_also_with_threads():
    weights = [matrix(n, m, n) for n, m in ((5, 9), (9, 5), (140, 150), (150, 140), (7, 7))]
    expected = [esd(weight) for weight in weights]
    threads = torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            for found, single in zip(batched_eigenvalues([w[None] for w in weights]), expected, strict=True):
                torch.testing.assert_close(found[0], single, rtol=1e-12, atol=1e-12)
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(threads)


# ---- what has no exponent ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([1.0], "2 or more"),
        ([1.0, float("nan"), 3.0], "not finite"),
        ([0.0, 0.0, 0.0, 1.0], "zero"),
        ([2.0, 2.0, 2.0, 2.0], "equal"),
    ],
)
def test_no_silent_exponent(values, words):
    with pytest.raises(InputError, match=words):
        pl_alpha_hill(values)


@pytest.mark.parametrize("xmin_pos", [1.0, 0.5, float("nan")])
def test_bad_xmin_pos(xmin_pos):
    with pytest.raises(InputError, match="xmin_pos"):
        pl_alpha_hill([1.0, 2.0, 3.0], xmin_pos=xmin_pos)


def test_bad_weights():
    with pytest.raises(InputError, match="not finite"):
        esd(torch.tensor([[1.0, float("inf")], [0.0, 1.0]]))
    with pytest.raises(InputError, match="2 to 5 axes"):
        esd(torch.ones(7))
    with pytest.raises(InputError, match="conv1d: 'relased' is unknown"):
        esd(torch.ones(7, 7, 1), conv1d="relased")
    with pytest.raises(InputError, match="empty"):
        esd(torch.ones(0, 7))


def test_ks_search_is_better_than_every_other_start():
    values = esd(matrix(60, 50, 5)).numpy()
    fit = alpha_ks_search(values)
    tails = [values[i:] for i in range(len(values) - 1)]
    alphas = [1 + len(t) / np.log(t / t[0]).sum() for t in tails]
    distances = [
        np.abs(1 - (t / t[0]) ** (1 - a) - np.arange(len(t)) / len(t)).max() for t, a in zip(tails, alphas, strict=True)
    ]
    assert fit.start == int(np.argmin(distances))
    assert fit.alpha == pytest.approx(alphas[fit.start])
    assert fit.ks_distance == pytest.approx(min(distances))


# ---- FARMS ------------------------------------------------------------------------------------------------------


def test_farms_removes_the_shape_from_pure_noise():
    generator = torch.Generator().manual_seed(0)
    square, wide = torch.nn.Linear(128, 128, bias=False), torch.nn.Linear(512, 128, bias=False)
    for layer in (square, wide):
        layer.weight.data = torch.randn(layer.weight.shape, generator=generator)
    model = torch.nn.ModuleDict({"square": square, "wide": wide})
    plain, farms = layer_metrics(model), layer_metrics(model, metric="farms")
    assert plain["alpha"]["wide"] - plain["alpha"]["square"] > 1  # the bias
    assert farms["alpha"]["wide"] == pytest.approx(farms["alpha"]["square"], abs=0.1)
    assert farms["alpha"]["square"] == pytest.approx(plain["alpha"]["square"])
    assert farms["n_eigs"]["wide"] == 4 * 128


@fast
@given(sides, sides, st.floats(1.0, 4.0))
def test_farms_windows_cover_the_matrix(rows, columns, ratio):
    count = torch.arange(float(rows * columns)).reshape(1, rows, columns)
    windows = farms_windows(count, aspect_ratio=ratio)
    assert set(windows.flatten().tolist()) == set(count.flatten().tolist())
    long, short = windows.shape[-2:]
    assert long >= short
    assert abs(long - ratio * short) <= 1 or long == max(rows, columns)
