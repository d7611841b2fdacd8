"""Random initial conditions as in PDEBench's description of its compressible-flow and Darcy data."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
#: Ratio of specific heats of the gas.
GAMMA = 5.0 / 3.0
WINDOW_WIDTH = 0.01
WAVES = 2
LARGEST_WAVENUMBER = {1: 3, 2: 4}  # by space dimensions
BUMPS = 5


def _window(x: Array, generator: np.random.Generator) -> Array:
    """A window on the unit interval, with its left edge in [.1, .45] and its right edge in [.55, .9]."""
    left, right = generator.uniform(0.1, 0.45), generator.uniform(0.55, 0.9)
    return 0.5 * (np.tanh((x - left) / WINDOW_WIDTH) - np.tanh((x - right) / WINDOW_WIDTH))


def _waves(x: Array, generator: np.random.Generator) -> Array:
    """A random field on the unit interval: a sum of sines, sometimes its absolute value, negated or windowed."""
    field = np.zeros_like(x)
    for _ in range(WAVES):
        wavenumber = generator.integers(1, LARGEST_WAVENUMBER[1] + 1)
        amplitude, phase = generator.uniform(), generator.uniform(0, 2 * np.pi)
        field += amplitude * np.sin(2 * np.pi * wavenumber * x + phase)
    if generator.uniform() < 0.1:
        field = np.abs(field)
    field *= generator.choice([-1.0, 1.0])
    if generator.uniform() < 0.5:
        field *= _window(x, generator)
    return field


def _positive(field: Array, low: float, high: float, generator: np.random.Generator) -> Array:
    """The field scaled to [0, 1], then ``m u + b`` with m and b log-uniform in [low, high]."""
    spread = field.max() - field.min()
    unit = (field - field.min()) / spread if spread > 0 else np.zeros_like(field)
    slope, offset = np.exp(generator.uniform(np.log(low), np.log(high), size=2))
    return slope * unit + offset


def cfd1d(cells: int, generator: np.random.Generator) -> Array:
    """1-D compressible flow ``[4, cells, 1]``: density, velocity, 0, pressure."""
    x = (np.arange(cells) + 0.5) / cells
    density = _positive(_waves(x, generator), 1.0, 10.0, generator)
    velocity = _waves(x, generator)
    pressure = _positive(_waves(x, generator), 10.0, 100.0, generator)
    return np.stack([density, velocity, np.zeros_like(x), pressure])[:, :, None]


def random_field(cells: int, generator: np.random.Generator) -> Array:
    """Periodic field ``[cells, cells]`` of zero mean and unit standard deviation, with amplitudes ``|k|^-1/2``."""
    x = (np.arange(cells) + 0.5) / cells
    field = np.zeros((cells, cells))
    largest = LARGEST_WAVENUMBER[2]
    for kx, ky in product(range(-largest, largest + 1), repeat=2):
        if (kx, ky) != (0, 0):
            amplitude = generator.uniform() * np.hypot(kx, ky) ** -0.5
            phase = generator.uniform(0, 2 * np.pi)
            field += amplitude * np.sin(2 * np.pi * (kx * x[:, None] + ky * x[None, :]) + phase)
    return (field - field.mean()) / field.std()


def cfd2d(cells: int, mach: float, generator: np.random.Generator, levels: tuple[float, float] = (0.1, 10.0)) -> Array:
    """2-D compressible flow ``[4, cells, cells]`` at a Mach number.

    Mean density and temperature are uniform in ``levels`` (PDEBench: .1 to 10), relative perturbations in [.01, .2].
    The root-mean-square speed is ``mach`` times the speed of sound. With probability one half, the gas is at rest and
    not perturbed outside a window.
    """
    level, temperature = generator.uniform(*levels, size=2)
    density_part, pressure_part = generator.uniform(0.01, 0.2, size=2)
    density, vx, vy, pressure = (random_field(cells, generator) for _ in range(4))
    inside = np.ones((cells, cells))
    if generator.uniform() < 0.5:
        x = (np.arange(cells) + 0.5) / cells
        inside = _window(x, generator)[:, None] * _window(x, generator)[None, :]
    speed = np.sqrt(np.mean(vx**2 + vy**2))
    wanted = mach * np.sqrt(GAMMA * temperature)
    # Perturbations are divided by their largest value, so density and pressure are positive.
    density = level * (1 + density_part * inside * density / np.abs(density).max())
    pressure = level * temperature * (1 + pressure_part * inside * pressure / np.abs(pressure).max())
    return np.stack([density, wanted / speed * inside * vx, wanted / speed * inside * vy, pressure])


def darcy_coefficient(cells: int, generator: np.random.Generator) -> Array:
    """Coefficient ``[cells, cells]``: 1 where a sum of Gaussian bumps exceeds its mean, otherwise 0.1."""
    x = (np.arange(cells) + 0.5) / cells
    field = np.zeros((cells, cells))
    for _ in range(BUMPS):
        centre, width = generator.uniform(size=2), generator.uniform(0.05, 0.25)
        distance = (x[:, None] - centre[0]) ** 2 + (x[None, :] - centre[1]) ** 2
        field += generator.uniform(0.5, 1.0) * np.exp(-distance / (2 * width**2))
    return np.where(field > field.mean(), 1.0, 0.1)
