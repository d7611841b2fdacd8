"""Semilinear PDEs ``u_t = L u + N(u)`` on the periodic unit square, by a Fourier spectral method.

The linear term ``L``, a Fourier multiplier, is integrated exactly by an integrating factor, and ``N`` by fourth-order
Runge-Kutta steps (Lawson, SIAM J. Numer. Anal. 4, 1967). Products are dealiased by the two-thirds rule.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Spectrum = NDArray[np.complex128]

# FitzHugh-Nagumo as in PDEBench (appendix D.4). Its square has sides of length 2, so the diffusivities are a quarter.
DIFFUSION = (1e-3 / 4, 5e-3 / 4)
THRESHOLD = 5e-3

Term = Callable[[Spectrum], Spectrum]


def wavenumbers(points: int) -> tuple[Array, Array]:
    """Angular wavenumbers of ``numpy.fft.rfft2`` for ``points x points``, broadcastable to its shape."""
    kx = 2 * np.pi * np.fft.fftfreq(points, 1 / points).astype(np.float64)
    return kx[:, None], 2 * np.pi * np.arange(points // 2 + 1, dtype=float)[None, :]


def evolve(
    start: Array, linear: Spectrum | Array, nonlinear: Term | None, times: Array, largest_step: float = 1.0
) -> Array:
    """States ``[len(times), field, n, n]`` at ascending times, for ``start`` ``[field, n, n]`` at the first one.

    ``linear`` is the multiplier ``L``, ``[field, n, n / 2 + 1]``. ``nonlinear`` maps the spectra of the fields to those
    of ``N``, in steps of at most ``largest_step``; None: no such term.
    """
    spectrum = np.fft.rfft2(start)
    frames = [start]
    for before, after in pairwise(times):
        steps = 1 if nonlinear is None else int(np.ceil((after - before) / largest_step))
        step = (after - before) / steps
        half = np.exp(linear * step / 2)
        for _ in range(steps):
            spectrum = half**2 * spectrum if nonlinear is None else _step(spectrum, half, nonlinear, step)
        frames.append(np.fft.irfft2(spectrum, s=start.shape[-2:]))
    return np.stack(frames)


def _step(spectrum: Spectrum, half: Spectrum, nonlinear: Term, step: float) -> Spectrum:
    first = nonlinear(spectrum)
    second = nonlinear(half * (spectrum + step / 2 * first))
    third = nonlinear(half * spectrum + step / 2 * second)
    fourth = nonlinear(half * (half * spectrum + step * third))
    return half**2 * (spectrum + step / 6 * first) + step / 3 * half * (second + third) + step / 6 * fourth


def advection(start: Array, velocity: Array, times: Array) -> Array:
    """Exact solution of ``u_t + c . grad u = 0`` for ``start [1, n, n]`` and ``velocity [2]``."""
    kx, ky = wavenumbers(start.shape[-1])
    return evolve(start, -1j * (velocity[0] * kx + velocity[1] * ky)[None], None, times)


def burgers(start: Array, viscosity: float, times: Array) -> Array:
    """``u_t + (u . grad) u = viscosity laplace u`` for the two velocities ``start [2, n, n]``."""
    kx, ky = wavenumbers(start.shape[-1])
    kept = _kept(start.shape[-1])

    def advected(spectrum: Spectrum) -> Spectrum:
        u, v, ux, uy, vx, vy = np.fft.irfft2(
            np.stack([*spectrum, *(1j * k * one for one in spectrum for k in (kx, ky))]), s=start.shape[-2:]
        )
        return kept * np.fft.rfft2(-np.stack([u * ux + v * uy, u * vx + v * vy]))

    return evolve(start, np.broadcast_to(-viscosity * (kx**2 + ky**2), (2, *kept.shape)), advected, times, 0.01)


def reaction(start: Array, times: Array) -> Array:
    """Diffusion-reaction (FitzHugh-Nagumo) for activator and inhibitor ``start [2, n, n]``."""
    kx, ky = wavenumbers(start.shape[-1])
    kept = _kept(start.shape[-1])

    def reacted(spectrum: Spectrum) -> Spectrum:
        u, v = np.fft.irfft2(spectrum, s=start.shape[-2:])
        return kept * np.fft.rfft2(np.stack([u - u**3 - THRESHOLD - v, u - v]))

    return evolve(start, -np.multiply.outer(DIFFUSION, kx**2 + ky**2), reacted, times, 0.05)


def _kept(points: int) -> NDArray[np.bool_]:
    """Mask of the wavenumbers below two thirds of the largest, for which products are not aliased."""
    kx, ky = wavenumbers(points)
    limit = 2 * np.pi * points / 3
    return (np.abs(kx) < limit) & (ky < limit)
