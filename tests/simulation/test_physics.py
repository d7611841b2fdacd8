"""Solvers against conservation laws, exact solutions and orders of convergence."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import brentq

from replication.simulation import darcy, euler, euler_torch, initial_fields
from replication.simulation.initial_fields import GAMMA

TIMES = np.array([0.0, 0.1])


def evolve_batched(start, width, times, eta, zeta, device="cpu"):
    """Solve one sample with the batched solver."""
    batch = torch.tensor(start[None], device=device)
    return euler_torch.evolve(batch, width, times.tolist(), eta, zeta)[0].cpu().numpy()


@pytest.fixture(params=[euler.evolve, evolve_batched], ids=["compiled", "batched"])
def evolve(request):
    return request.param


def conserved(state, cell):
    density, vx, vy, pressure = state
    energy = pressure / (GAMMA - 1) + 0.5 * density * (vx**2 + vy**2)
    return np.array([field.sum() * cell for field in (density, density * vx, density * vy, energy)])


@pytest.mark.parametrize("ndim", [1, 2])
def test_mass_momentum_and_energy_are_conserved_without_viscosity(evolve, ndim):
    generator = np.random.default_rng(3)
    start = initial_fields.cfd1d(64, generator) if ndim == 1 else initial_fields.cfd2d(24, 0.1, generator)
    cells = start.shape[1]
    frames = evolve(start, 1 / cells, TIMES, 0.0, 0.0)
    before, after = conserved(frames[0], cells**-ndim), conserved(frames[1], cells**-ndim)
    scale = np.array([before[0], np.sqrt(before[0] * before[3]), np.sqrt(before[0] * before[3]), before[3]])
    assert np.abs(frames[1] - frames[0]).max() > 1e-2, "nothing moved, so nothing was tested"
    np.testing.assert_allclose((after - before) / scale, 0, atol=1e-10)


def test_viscosity_conserves_mass_and_momentum(evolve):
    start = initial_fields.cfd1d(64, np.random.default_rng(4))
    frames = evolve(start, 2 / 64, TIMES, 0.05, 0.05)
    before, after = (conserved(frame, 2 / 64) for frame in frames)
    np.testing.assert_allclose(after[0], before[0], rtol=1e-12)
    np.testing.assert_allclose(after[1], before[1], atol=1e-10 * np.sqrt(before[0] * before[3]))


def exact_sod(x, t, left=(1.0, 0.0, 1.0), right=(0.125, 0.0, 0.1)):
    """Density, velocity and pressure of the exact Riemann solution with the diaphragm at 0 (Toro, chapter 4)."""
    g = GAMMA

    def branch(p, state):
        r, _, p0 = state
        c = np.sqrt(g * p0 / r)
        if p > p0:
            return (p - p0) * np.sqrt(2 / ((g + 1) * r) / (p + (g - 1) / (g + 1) * p0))
        return 2 * c / (g - 1) * ((p / p0) ** ((g - 1) / (2 * g)) - 1)

    p = brentq(lambda p: branch(p, left) + branch(p, right) + right[1] - left[1], 1e-6, 10)
    u = 0.5 * (left[1] + right[1]) + 0.5 * (branch(p, right) - branch(p, left))
    (rl, ul, pl), (rr, ur, pr) = left, right
    cl, cr = np.sqrt(g * pl / rl), np.sqrt(g * pr / rr)
    star_left = rl * (p / pl) ** (1 / g)
    ratio = (g - 1) / (g + 1)
    star_right = rr * (p / pr + ratio) / (ratio * p / pr + 1)
    shock = ur + cr * np.sqrt((g + 1) / (2 * g) * p / pr + (g - 1) / (2 * g))
    head, tail = ul - cl, u - cl * (p / pl) ** ((g - 1) / (2 * g))
    s = x / t
    fan_u = 2 / (g + 1) * (cl + (g - 1) / 2 * ul + s)
    fan_c = 2 / (g + 1) * (cl + (g - 1) / 2 * (ul - s))
    places = [s < head, s < tail, s < u, s < shock]
    density = np.select(places, [rl, rl * (fan_c / cl) ** (2 / (g - 1)), star_left, star_right], rr)
    velocity = np.select(places, [ul, fan_u, u, u], ur)
    pressure = np.select(places, [pl, pl * (fan_c / cl) ** (2 * g / (g - 1)), p, p], pr)
    return density, velocity, pressure


def sod_error(evolve, cells):
    # Periodic: the tube and its mirror image. Only the waves of the middle diaphragm are compared.
    x = (np.arange(cells) + 0.5) / cells * 2 - 1
    left = np.abs(x + 0.5) < 0.5
    start = np.stack([np.where(left, 1.0, 0.125), 0 * x, 0 * x, np.where(left, 1.0, 0.1)])[:, :, None]
    t = 0.15
    state = evolve(start, 2 / cells, np.array([0.0, t]), 0.0, 0.0)[1, :, :, 0]
    near = np.abs(x) < 0.45
    exact = exact_sod(x[near], t)
    return [np.abs(state[k, near] - want).mean() for k, want in zip((0, 1, 3), exact, strict=True)]


def test_sod_tube_approaches_the_exact_riemann_solution(evolve):
    coarse, fine = sod_error(evolve, 200), sod_error(evolve, 800)
    assert max(fine) < 6e-3
    # Shocks and contacts limit the rate to first order or less; 4 times the cells must give at most half the error.
    assert all(f < c / 2 for f, c in zip(fine, coarse, strict=True))


def test_a_smooth_wave_converges_at_second_order(evolve):
    def error(cells):
        x = (np.arange(cells) + 0.5) / cells
        # Cell means of the advected density, exact for a travelling wave at constant velocity and pressure.
        mean = np.sinc(1 / cells) * np.sin(2 * np.pi * x)
        start = np.stack([1 + 0.2 * mean, np.ones_like(x), 0 * x, np.ones_like(x)])[:, :, None]
        end = evolve(start, 1 / cells, np.array([0.0, 1.0]), 0.0, 0.0)[1]
        return np.abs(end[0, :, 0] - start[0, :, 0]).mean()

    errors = [error(cells) for cells in (32, 64, 128)]
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert orders[-1] > 1.8, orders


def test_the_one_dimensional_wave_is_the_same_along_either_axis(evolve):
    generator = np.random.default_rng(5)
    line = initial_fields.cfd1d(32, generator)[:, :, 0]
    along_x = np.repeat(line[:, :, None], 8, axis=2)
    along_y = np.repeat(line[[0, 2, 1, 3]][:, None, :], 8, axis=1)
    one = evolve(along_x, 1 / 32, TIMES, 0.01, 0.01)[1]
    other = evolve(along_y, 1 / 32, TIMES, 0.01, 0.01)[1]
    np.testing.assert_allclose(one[0, :, 0], other[0, 0, :], rtol=1e-12)
    np.testing.assert_allclose(one[1, :, 0], other[2, 0, :], rtol=1e-9, atol=1e-12)


def test_a_shear_wave_decays_with_the_viscosity(evolve):
    cells, nu = 64, 0.02
    x = (np.arange(cells) + 0.5) / cells
    k = 2 * np.pi
    # Velocity across x that varies along x, much slower than sound, so the flow stays a pure shear.
    start = np.stack([np.ones_like(x), 0 * x, 1e-4 * np.sin(k * x), np.ones_like(x)])[:, :, None]
    t = 0.5
    end = evolve(start, 1 / cells, np.array([0.0, t]), nu, 0.0)[1]
    decay = np.abs(end[2]).max() / np.abs(start[2]).max()
    assert decay == pytest.approx(np.exp(-nu * k**2 * t), rel=5e-3)


def test_darcy_solves_its_equations():
    coefficient = initial_fields.darcy_coefficient(24, np.random.default_rng(1))
    solution = darcy.solve(coefficient, 100.0)
    residual = darcy.operator(coefficient) @ solution.ravel() - 100.0
    assert np.abs(residual).max() / 100.0 < 1e-10
    assert set(np.unique(coefficient)) == {0.1, 1.0}
    assert solution.min() > 0


def test_darcy_converges_to_a_manufactured_solution_at_second_order():
    def error(cells):
        x = (np.arange(cells) + 0.5) / cells
        X, Y = np.meshgrid(x, x, indexing="ij")
        exact = np.sin(np.pi * X) * np.sin(2 * np.pi * Y)
        a = 2 + np.sin(np.pi * X)  # smooth, so the scheme has its full order
        source = 5 * np.pi**2 * a * exact - np.pi**2 * np.cos(np.pi * X) ** 2 * np.sin(2 * np.pi * Y)
        return np.abs(darcy.solve(a, source) - exact).max()

    errors = [error(cells) for cells in (16, 32, 64)]
    assert np.log2(errors[1] / errors[2]) > 1.9, errors


def test_darcy_scales_with_its_source():
    coefficient = initial_fields.darcy_coefficient(16, np.random.default_rng(2))
    np.testing.assert_allclose(darcy.solve(coefficient, 100.0), 100 * darcy.solve(coefficient, 1.0), rtol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_initial_fields_stay_in_their_published_ranges(seed):
    generator = np.random.default_rng(seed)
    density, velocity, _, pressure = initial_fields.cfd1d(128, generator)
    assert 1 <= density.min() <= density.max() <= 20
    assert 10 <= pressure.min() <= pressure.max() <= 200
    assert np.abs(velocity).max() <= 2
    density, vx, vy, pressure = initial_fields.cfd2d(32, 0.1, generator)
    temperature = pressure.mean() / density.mean()
    assert density.min() > 0.08
    assert density.max() < 12.1
    assert np.sqrt((vx**2 + vy**2).mean()) <= 1.2 * 0.1 * np.sqrt(GAMMA * temperature)


def test_levels_of_density_and_temperature_can_be_narrowed():
    density, _, _, pressure = initial_fields.cfd2d(32, 0.1, np.random.default_rng(0), levels=(2.0, 2.0))
    assert density.mean() == pytest.approx(2.0, rel=0.05)
    assert pressure.mean() == pytest.approx(4.0, rel=0.05)


@pytest.mark.parametrize("ndim", [1, 2])
def test_the_batched_solver_agrees_with_the_compiled_one(ndim):
    """Acoustic and shocked starts in one batch, so that every sample has its own step."""
    draws = [np.random.default_rng(seed) for seed in range(5)]
    starts = [initial_fields.cfd1d(48, g) if ndim == 1 else initial_fields.cfd2d(16, 0.3, g) for g in draws]
    width, times = (2 if ndim == 1 else 1) / starts[0].shape[1], np.linspace(0, 0.3, 4)
    batch = euler_torch.evolve(torch.tensor(np.stack(starts)), width, times.tolist(), 0.01, 0.01)
    alone = euler_torch.evolve(torch.tensor(starts[3][None]), width, times.tolist(), 0.01, 0.01)
    assert torch.equal(alone[0], batch[3]), "a sample must not depend on its batch"
    for start, frames in zip(starts, batch.numpy(), strict=True):
        expected = euler.evolve(start, width, times, 0.01, 0.01)
        np.testing.assert_allclose(frames, expected, rtol=1e-7, atol=1e-7 * np.abs(expected).max())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_the_batched_solver_agrees_on_cpu_and_gpu():
    start = initial_fields.cfd2d(32, 0.1, np.random.default_rng(0))
    on_gpu = evolve_batched(start, 1 / 32, TIMES, 0.01, 0.01, device="cuda")
    np.testing.assert_allclose(on_gpu, euler.evolve(start, 1 / 32, TIMES, 0.01, 0.01), rtol=1e-4, atol=1e-4)
