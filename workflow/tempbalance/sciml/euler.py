"""Compressible Navier-Stokes on a periodic grid: MUSCL reconstruction, HLLC fluxes, midpoint steps.

Written from the equations and PDEBench's description of its data (arXiv 2210.07182, appendix D.5), not from its
code. The gas is ideal, Gamma = 5/3. Viscosity is operator-split: after each hyperbolic step the velocities
diffuse with the kinematic viscosities ``eta + zeta + eta / 3`` along their own direction and ``eta`` across it;
the momentum flux carries the density, so momentum is conserved. Viscous heating is left out, as the pressure
exceeds it by orders of magnitude in these data.

State arrays are ``[4, nx, ny]`` float64: density, velocity along x, velocity along y, pressure. One space
dimension is ``ny = 1``.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

GAMMA = 5.0 / 3.0
CFL = 0.3
PRESSURE_FLOOR = 1e-4

Array = NDArray[np.float64]


@njit(cache=True, fastmath=False)
def _limited(left: float, middle: float, right: float) -> float:
    """Van Leer's limited slope across a cell."""
    a = middle - left
    b = right - middle
    if a * b <= 0.0:
        return 0.0
    return 2.0 * a * b / (a + b)


@njit(cache=True, fastmath=False)
def _hllc(left: Array, right: Array, flux: Array) -> None:
    """HLLC flux (Toro, chapter 10) between two states ``[density, normal, tangential, pressure]``."""
    rl, ul, vl, pl = left
    rr, ur, vr, pr = right
    cl = np.sqrt(GAMMA * pl / rl)
    cr = np.sqrt(GAMMA * pr / rr)
    el = pl / (GAMMA - 1.0) + 0.5 * rl * (ul * ul + vl * vl)
    er = pr / (GAMMA - 1.0) + 0.5 * rr * (ur * ur + vr * vr)
    # Einfeldt's wave speeds: Roe averages against the two states' own.
    wl, wr = np.sqrt(rl), np.sqrt(rr)
    u = (wl * ul + wr * ur) / (wl + wr)
    v = (wl * vl + wr * vr) / (wl + wr)
    h = (wl * (el + pl) / rl + wr * (er + pr) / rr) / (wl + wr)
    c = np.sqrt(max((GAMMA - 1.0) * (h - 0.5 * (u * u + v * v)), 1e-300))
    sl = min(ul - cl, u - c)
    sr = max(ur + cr, u + c)
    if sl >= 0.0:
        flux[0] = rl * ul
        flux[1] = rl * ul * ul + pl
        flux[2] = rl * ul * vl
        flux[3] = (el + pl) * ul
        return
    if sr <= 0.0:
        flux[0] = rr * ur
        flux[1] = rr * ur * ur + pr
        flux[2] = rr * ur * vr
        flux[3] = (er + pr) * ur
        return
    sm = (pr - pl + rl * ul * (sl - ul) - rr * ur * (sr - ur)) / (rl * (sl - ul) - rr * (sr - ur))
    if sm >= 0.0:
        r, un, vt, p, e, s = rl, ul, vl, pl, el, sl
    else:
        r, un, vt, p, e, s = rr, ur, vr, pr, er, sr
    star = r * (s - un) / (s - sm)
    energy = star * (e / r + (sm - un) * (sm + p / (r * (s - un))))
    flux[0] = r * un + s * (star - r)
    flux[1] = r * un * un + p + s * (star * sm - r * un)
    flux[2] = r * un * vt + s * (star * vt - r * vt)
    flux[3] = (e + p) * un + s * (energy - e)


@njit(cache=True, fastmath=False)
def _line_change(line: Array, spacing: float, change: Array) -> None:
    """Add ``-dF/dx`` of the conserved variables along one periodic line ``[4, n]`` to ``change`` ``[4, n]``."""
    n = line.shape[1]
    left = np.empty(4)
    right = np.empty(4)
    flux = np.empty(4)
    for i in range(n):  # the face between cell i and cell i + 1
        j = (i + 1) % n
        before = (i - 1) % n
        after = (i + 2) % n
        for k in range(4):
            left[k] = line[k, i] + 0.5 * _limited(line[k, before], line[k, i], line[k, j])
            right[k] = line[k, j] - 0.5 * _limited(line[k, i], line[k, j], line[k, after])
        _hllc(left, right, flux)
        for k in range(4):
            change[k, i] -= flux[k] / spacing
            change[k, j] += flux[k] / spacing


@njit(cache=True, fastmath=False)
def _rate(state: Array, dx: float, dy: float, change: Array) -> None:
    """Time derivative of density, momenta and energy, ``[4, nx, ny]``."""
    nx, ny = state.shape[1], state.shape[2]
    change[:] = 0.0
    line = np.empty((4, nx))
    part = np.empty((4, nx))
    for j in range(ny):
        line[:] = state[:, :, j]
        part[:] = 0.0
        _line_change(line, dx, part)
        change[:, :, j] += part
    if ny == 1:
        return
    line = np.empty((4, ny))
    part = np.empty((4, ny))
    for i in range(nx):
        line[0] = state[0, i]
        line[1] = state[2, i]
        line[2] = state[1, i]
        line[3] = state[3, i]
        part[:] = 0.0
        _line_change(line, dy, part)
        change[0, i] += part[0]
        change[1, i] += part[2]
        change[2, i] += part[1]
        change[3, i] += part[3]


@njit(cache=True, fastmath=False)
def _advance(state: Array, change: Array, dt: float, new: Array) -> None:
    """``new`` = the primitive state after adding ``dt * change`` to the conserved variables of ``state``."""
    for i in range(state.shape[1]):
        for j in range(state.shape[2]):
            r, u, v, p = state[0, i, j], state[1, i, j], state[2, i, j], state[3, i, j]
            density = r + dt * change[0, i, j]
            mx = r * u + dt * change[1, i, j]
            my = r * v + dt * change[2, i, j]
            energy = p / (GAMMA - 1.0) + 0.5 * r * (u * u + v * v) + dt * change[3, i, j]
            new[0, i, j] = density
            new[1, i, j] = mx / density
            new[2, i, j] = my / density
            new[3, i, j] = max((GAMMA - 1.0) * (energy - 0.5 * (mx * mx + my * my) / density), PRESSURE_FLOOR)


@njit(cache=True, fastmath=False)
def _diffuse(state: Array, dt: float, dx: float, dy: float, normal: float, tangential: float, new: Array) -> None:
    """``new`` = the state with its velocities diffused over ``dt``."""
    nx, ny = state.shape[1], state.shape[2]
    new[:] = state
    for k in range(1, 3):
        along_x = normal if k == 1 else tangential
        along_y = tangential if k == 1 else normal
        for i in range(nx):
            right, left = (i + 1) % nx, (i - 1) % nx
            for j in range(ny):
                r, w = state[0, i, j], state[k, i, j]
                total = (
                    along_x
                    * (
                        0.5 * (r + state[0, right, j]) * (state[k, right, j] - w)
                        - 0.5 * (r + state[0, left, j]) * (w - state[k, left, j])
                    )
                    / (dx * dx)
                )
                if ny > 1:
                    up, down = (j + 1) % ny, (j - 1) % ny
                    total += (
                        along_y
                        * (
                            0.5 * (r + state[0, i, up]) * (state[k, i, up] - w)
                            - 0.5 * (r + state[0, i, down]) * (w - state[k, i, down])
                        )
                        / (dy * dy)
                    )
                new[k, i, j] = w + dt * total / r


@njit(cache=True, fastmath=False)
def _time_step(state: Array, dx: float, dy: float, viscosity: float) -> float:
    """The largest stable step times the CFL number, for waves and for diffusion."""
    nx, ny = state.shape[1], state.shape[2]
    fastest = 1e-300
    heaviest = 1.0  # a light cell beside a heavy one diffuses faster by the ratio of the face's density to its own
    for i in range(nx):
        for j in range(ny):
            r = state[0, i, j]
            c = np.sqrt(GAMMA * state[3, i, j] / r)
            speed = (abs(state[1, i, j]) + c) / dx
            beside = max(state[0, (i + 1) % nx, j], state[0, (i - 1) % nx, j])
            if ny > 1:
                speed = max(speed, (abs(state[2, i, j]) + c) / dy)
                beside = max(beside, state[0, i, (j + 1) % ny], state[0, i, (j - 1) % ny])
            fastest = max(fastest, speed)
            heaviest = max(heaviest, 0.5 * (r + beside) / r)
    dt = CFL / fastest
    if viscosity > 0.0:
        smallest = min(dx, dy) if ny > 1 else dx
        dt = min(dt, CFL * smallest * smallest / (viscosity * heaviest * (2.0 if ny > 1 else 1.0)))
    return dt


@njit(cache=True, fastmath=False)
def evolve(start: Array, dx: float, dy: float, times: Array, eta: float, zeta: float) -> Array:
    """States at the given times.

    Args:
        start: ``[4, nx, ny]`` at ``times[0]``.
        dx: cell width along x.
        dy: cell width along y (without meaning for ``ny = 1``).
        times: ascending; a step is shortened to hit each one.
        eta: shear viscosity (kinematic).
        zeta: bulk viscosity (kinematic).

    Returns ``[len(times), 4, nx, ny]``.
    """
    normal = eta + zeta + eta / 3.0
    frames = np.empty((len(times), *start.shape))
    frames[0] = start
    state = start.copy()
    half = np.empty_like(state)
    change = np.empty_like(state)
    spare = np.empty_like(state)
    now = times[0]
    for frame in range(1, len(times)):
        while now < times[frame]:
            dt = _time_step(state, dx, dy, normal)
            last = now + dt >= times[frame]
            if last:
                dt = times[frame] - now
            _rate(state, dx, dy, change)
            _advance(state, change, 0.5 * dt, half)
            _rate(half, dx, dy, change)
            _advance(state, change, dt, spare)
            if normal > 0.0:
                _diffuse(spare, dt, dx, dy, normal, eta, state)
            else:
                state[:] = spare
            now = times[frame] if last else now + dt
        frames[frame] = state
    return frames
