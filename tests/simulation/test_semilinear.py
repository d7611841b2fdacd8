"""Advection, Burgers and diffusion-reaction against exact solutions, and mixtures of simulations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from replication.errors import ConfigError
from replication.simulation import initial_fields, semilinear
from replication.simulation.data import PDEFile
from replication.simulation.simulation import PDES, Simulation, simulate

X = np.arange(32) / 32
MIXTURE = {
    "source": "simulate", "pde": "mixture", "samples": 6, "cells": 16, "stored_cells": 16, "frames": 4, "t_end": 0.1,
    "parts": [{"pde": "advection2d"}, {"pde": "burgers2d", "cells": 32}, {"pde": "cfd2d", "mach": 0.5}],
}  # fmt: skip


def field(seed: int) -> np.ndarray:
    return initial_fields.random_field(32, np.random.default_rng(seed))


def test_advection_shifts_a_field_and_comes_back():
    start = field(0)[None]
    # In one unit of time the field moves 8 cells along x and 16 along y; in four units it is back.
    frames = semilinear.advection(start, np.array([0.25, 0.5]), np.array([0.0, 1.0, 4.0]))
    np.testing.assert_allclose(frames[1], np.roll(start, (8, 16), (1, 2)), atol=1e-12)
    np.testing.assert_allclose(frames[2], start, atol=1e-12)


def test_burgers_agrees_with_cole_and_hopf():
    viscosity, times = 0.05, np.linspace(0, 0.2, 3)
    kx, ky = semilinear.wavenumbers(32)
    potential = np.exp(0.5 * np.cos(2 * np.pi * X)[:, None] + 0.3 * np.sin(2 * np.pi * (X[:, None] + X)))

    def velocities(time: float) -> np.ndarray:
        """``-2 nu grad(phi) / phi``, where ``phi`` solves the heat equation."""
        heat = np.fft.rfft2(potential) * np.exp(-viscosity * (kx**2 + ky**2) * time)
        phi, *gradient = (np.fft.irfft2(one, s=(32, 32)) for one in (heat, 1j * kx * heat, 1j * ky * heat))
        return -2 * viscosity * np.stack(gradient) / phi

    frames = semilinear.burgers(velocities(0.0), viscosity, times)
    assert np.abs(frames[0] - frames[-1]).max() > 0.05  # it moves
    np.testing.assert_allclose(frames, np.stack([velocities(time) for time in times]), atol=1e-5)


def test_burgers_loses_energy_and_its_steps_converge_at_fourth_order():
    start, times = 0.5 * np.stack([field(1), field(2)]), np.array([0.0, 0.2])
    frames = semilinear.burgers(start, 0.02, np.linspace(0, 0.2, 5))
    energy = np.square(frames).mean((1, 2, 3))
    assert (np.diff(energy) < 0).all()
    kx, ky = semilinear.wavenumbers(32)
    linear = np.broadcast_to(-0.02 * (kx**2 + ky**2), (2, 32, 17))

    def square(spectrum: np.ndarray) -> np.ndarray:
        return -1j * kx * np.fft.rfft2(np.fft.irfft2(spectrum, s=(32, 32)) ** 2) / 2

    ends = [semilinear.evolve(start, linear, square, times, step)[-1] for step in (0.02, 0.01, 0.0025)]
    first, second = (np.abs(one - ends[2]).max() for one in ends[:2])
    assert first / second > 12
    # The term is a derivative, so the mean does not change.
    np.testing.assert_allclose(ends[0].mean((1, 2)), start.mean((1, 2)), atol=1e-12)


def test_a_uniform_reaction_obeys_its_ordinary_differential_equation():
    start = np.ones((2, 8, 8)) * np.array([0.3, -0.2])[:, None, None]
    frames = semilinear.reaction(start, np.array([0.0, 2.0]))

    def rate(_time: float, state: np.ndarray) -> list[float]:
        u, v = state
        return [u - u**3 - semilinear.THRESHOLD - v, u - v]

    exact = solve_ivp(rate, (0, 2), [0.3, -0.2], rtol=1e-10, atol=1e-12).y[:, -1]
    np.testing.assert_allclose(frames[-1], np.ones((2, 8, 8)) * exact[:, None, None], atol=1e-6)


def test_a_reaction_diffuses_each_field_with_its_own_diffusivity():
    wave = 1e-4 * np.cos(2 * np.pi * X)[:, None] * np.ones(32)
    linear = np.array([[1.0, -1.0], [1.0, -1.0]]) - np.diag(semilinear.DIFFUSION) * (2 * np.pi) ** 2
    values, vectors = np.linalg.eig(linear)
    growth = (vectors * np.exp(values * 0.5) @ np.linalg.inv(vectors)).real
    ends = [semilinear.reaction(np.stack([sign * wave, sign * wave]), np.array([0.0, 0.5]))[-1] for sign in (1, -1)]
    found = np.fft.rfft2(ends[0] - ends[1])[:, 1, 0] / np.fft.rfft2(2 * wave)[1, 0]
    np.testing.assert_allclose(found, growth.sum(1), rtol=1e-4)


def test_a_mixture_takes_its_samples_from_its_parts_in_turn(tmp_path):
    simulate(MIXTURE, tmp_path / "data.h5")
    with PDEFile(tmp_path / "data.h5") as file:
        assert file.fields == ("density", "pressure", "Vx", "Vy")
        stored = file.read(range(6))
    assert stored.shape == (6, 16, 16, 4, 4)
    for sample, part in enumerate(2 * MIXTURE["parts"]):
        alone = Simulation.from_options({**MIXTURE, "parts": (), **part})
        values = PDES[part["pde"]](alone, sample)
        np.testing.assert_array_equal(np.moveaxis(values["density"], 0, -1), stored[sample, ..., 0])
    assert (stored[0, ..., 1:] == 1).all()  # advection has one field; the other channels are padding
    assert (stored[1, ..., :2] == 1).all()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"parts": []}, "key 'parts' belongs to the pde 'mixture'"),
        ({"pde": "cfd2d"}, "key 'parts' belongs to the pde 'mixture'"),
        ({"parts": [{"pde": "darcy"}]}, "expected a pde \\(cfd2d, advection2d"),
        ({"parts": [{"pde": "cfd2d", "frames": 3}]}, "no other keys than cells, eta, mach, pde"),
        ({"parts": [{"pde": "cfd2d", "match": 0.1}]}, "no other keys than cells, eta, mach, pde"),
        ({"parts": [{"pde": "cfd2d", "mach": "fast"}]}, "key 'mach' is 'fast', expected a number"),
        ({"parts": [{"pde": "burgers2d", "cells": 24}]}, "'stored_cells' is 16, expected a divisor of cells \\(24\\)"),
        ({"pde": "burgers2d", "parts": [], "solver": "torch"}, "'solver' is 'torch', expected numba for burgers2d"),
    ],
)
def test_mistakes_in_a_mixture_are_named(changed, words):
    with pytest.raises(ConfigError, match=words):
        Simulation.from_options({**MIXTURE, **changed})
