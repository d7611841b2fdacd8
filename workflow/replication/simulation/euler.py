"""Compressible Navier-Stokes on a periodic grid: MUSCL reconstruction, HLLC fluxes, midpoint steps.

Written from the equations and PDEBench's description of its data (arXiv 2210.07182, appendix D.5), not from its
code. The gas is ideal, with Gamma = 5/3. Viscosity is operator-split: after each hyperbolic step, the velocities
diffuse with the kinematic viscosities ``eta + zeta + eta / 3`` along their own direction and ``eta`` across it. The
fluxes are multiplied by the density, so momentum is conserved. Viscous heating is neglected, because in these data the
pressure is larger by orders of magnitude.

State arrays are ``[4, nx, ny]`` float64: density, velocity along x, velocity along y, pressure. In one space dimension,
``ny = 1``. Internally, arrays have two ghost cells on each side. The inner loops are branch-free, along the last axis,
and in blocks of a fixed length, so that compilers vectorise them.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from replication.simulation.initial_fields import GAMMA

INNER = 1.0 / (GAMMA - 1.0)  # internal energy per pressure
CFL = 0.3
PRESSURE_FLOOR = 1e-4
GHOSTS = 2
BLOCK = 128

Array = NDArray[np.float64]


@njit(cache=True, error_model="numpy")
def _wrap(state: Array) -> None:
    """Fill the ghost cells of ``[4, nx + 4, ny + 4]`` periodically."""
    nx, ny = state.shape[1] - 2 * GHOSTS, state.shape[2] - 2 * GHOSTS
    for k in range(4):
        for ghost in range(GHOSTS):
            low, high = (nx - GHOSTS + ghost) % nx, ghost % nx
            state[k, ghost] = state[k, GHOSTS + low]
            state[k, GHOSTS + nx + ghost] = state[k, GHOSTS + high]
        for i in range(nx + 2 * GHOSTS):
            for ghost in range(GHOSTS):
                low, high = (ny - GHOSTS + ghost) % ny, ghost % ny
                state[k, i, ghost] = state[k, i, GHOSTS + low]
                state[k, i, GHOSTS + ny + ghost] = state[k, i, GHOSTS + high]


@njit(cache=True, error_model="numpy", inline="always")
def _limited(left, middle, right):  # type: ignore[no-untyped-def]  # inlined: numba infers floats
    """Van Leer's limited slope across a cell."""
    a = middle - left
    b = right - middle
    product = a * b
    return 2.0 * product / (a + b) if product > 0.0 else 0.0


@njit(cache=True, error_model="numpy", inline="always")
def _slopes(state: Array, di: int, dj: int, slopes: Array) -> None:
    """Limited slopes along one axis, of all cells but the outermost ghosts; the next cell is ``di, dj`` away."""
    for k in range(4):
        for i in range(di, state.shape[1] - di):
            for j in range(dj, state.shape[2] - dj):
                slopes[k, i, j] = _limited(state[k, i - di, j - dj], state[k, i, j], state[k, i + di, j + dj])


@njit(cache=True, error_model="numpy", inline="always")
def _hllc(faces, count):  # type: ignore[no-untyped-def]  # inlined: numba infers an array and an integer
    """HLLC fluxes (Toro, chapter 10), rows 8 to 11, between left (rows 0 to 3) and right states (rows 4 to 7).

    A state is density, normal velocity, tangential velocity and pressure. If all waves move to one side, the flux is
    that of the upwind state, because the wave speed in the weight of the star state is cut off at zero.
    """
    for f in range(count):
        rl, ul, vl, pl = faces[0, f], faces[1, f], faces[2, f], faces[3, f]
        rr, ur, vr, pr = faces[4, f], faces[5, f], faces[6, f], faces[7, f]
        # Divisions and roots take most of the time, so none is computed twice.
        wl, wr = np.sqrt(rl), np.sqrt(rr)
        per_wl, per_wr = 1.0 / wl, 1.0 / wr
        el = INNER * pl + 0.5 * rl * (ul * ul + vl * vl)
        er = INNER * pr + 0.5 * rr * (ur * ur + vr * vr)
        # Einfeldt's wave speeds, from Roe averages and both states.
        share = 1.0 / (wl + wr)
        u = (wl * ul + wr * ur) * share
        v = (wl * vl + wr * vr) * share
        h = ((el + pl) * per_wl + (er + pr) * per_wr) * share
        square = (GAMMA - 1.0) * (h - 0.5 * (u * u + v * v))
        c = np.sqrt(square if square > 0.0 else 0.0)
        cl = ul - np.sqrt(GAMMA * pl) * per_wl
        cr = ur + np.sqrt(GAMMA * pr) * per_wr
        sl = cl if cl < u - c else u - c
        sr = cr if cr > u + c else u + c
        ml, mr = rl * (sl - ul), rr * (sr - ur)
        sm = (pr - pl + ml * ul - mr * ur) / (ml - mr)
        left = sm >= 0.0
        r, un, vt = (rl if left else rr), (ul if left else ur), (vl if left else vr)
        p, e, s = (pl if left else pr), (el if left else er), (sl if left else sr)
        per_w = per_wl if left else per_wr
        weight = (s if s < 0.0 else 0.0) if left else (s if s > 0.0 else 0.0)
        per_gap = 1.0 / (s - sm)
        star = r * (s - un) * per_gap
        energy = star * (e * per_w * per_w + (sm - un) * sm) + (sm - un) * p * per_gap
        faces[8, f] = r * un + weight * (star - r)
        faces[9, f] = r * un * un + p + weight * (star * sm - r * un)
        faces[10, f] = r * un * vt + weight * (star * vt - r * vt)
        faces[11, f] = (e + p) * un + weight * (energy - e)


@njit(cache=True, error_model="numpy", inline="always")
def _sweep(state: Array, slopes: Array, width: float, di: int, dj: int, change: Array) -> None:
    """Add the flux differences along one axis to ``change``; a face is between a cell and the one ``di, dj`` away."""
    per_width = 1.0 / width
    nx, ny = state.shape[1] - 2 * GHOSTS, state.shape[2] - 2 * GHOSTS
    faces = np.empty((12, BLOCK))
    for i in range(GHOSTS - di, nx + GHOSTS):
        for first in range(GHOSTS - dj, ny + GHOSTS, BLOCK):
            count = min(BLOCK, ny + GHOSTS - first)
            beyond = first + dj
            for row in range(4):
                k = 3 - row if dj == 1 and 0 < row < 3 else row  # along y the second velocity is the normal one
                for f in range(count):
                    faces[row, f] = state[k, i, first + f] + 0.5 * slopes[k, i, first + f]
                    faces[4 + row, f] = state[k, i + di, beyond + f] - 0.5 * slopes[k, i + di, beyond + f]
            _hllc(faces, count)
            for row in range(4):
                k = 3 - row if dj == 1 and 0 < row < 3 else row
                for f in range(count):
                    change[k, i, first + f] -= faces[8 + row, f] * per_width
                for f in range(count):
                    change[k, i + di, beyond + f] += faces[8 + row, f] * per_width


@njit(cache=True, error_model="numpy")
def _rate(state: Array, width: float, slopes: Array, change: Array) -> None:
    """Time derivative of density, momenta and energy; an axis of one cell has none."""
    change[:] = 0.0
    if state.shape[1] > 1 + 2 * GHOSTS:
        _slopes(state, 1, 0, slopes)
        _sweep(state, slopes, width, 1, 0, change)
    if state.shape[2] > 1 + 2 * GHOSTS:
        _slopes(state, 0, 1, slopes)
        _sweep(state, slopes, width, 0, 1, change)


@njit(cache=True, error_model="numpy")
def _advance(state: Array, change: Array, dt: float, new: Array) -> None:
    """Set ``new`` to the primitive state after ``dt * change`` is added to the conserved variables of ``state``."""
    nx, ny = state.shape[1] - 2 * GHOSTS, state.shape[2] - 2 * GHOSTS
    line = np.empty((4, BLOCK))
    for i in range(GHOSTS, nx + GHOSTS):
        for first in range(GHOSTS, ny + GHOSTS, BLOCK):
            count = min(BLOCK, ny + GHOSTS - first)
            for f in range(count):
                j = first + f
                r, u, v, p = state[0, i, j], state[1, i, j], state[2, i, j], state[3, i, j]
                density = r + dt * change[0, i, j]
                mx = r * u + dt * change[1, i, j]
                my = r * v + dt * change[2, i, j]
                energy = INNER * p + 0.5 * r * (u * u + v * v) + dt * change[3, i, j]
                pressure = (GAMMA - 1.0) * (energy - 0.5 * (mx * mx + my * my) / density)
                line[0, f] = density
                line[1, f] = mx / density
                line[2, f] = my / density
                line[3, f] = pressure if pressure > PRESSURE_FLOOR else PRESSURE_FLOOR
            for k in range(4):
                for f in range(count):
                    new[k, i, first + f] = line[k, f]
    _wrap(new)


@njit(cache=True, error_model="numpy")
def _diffuse(state: Array, dt: float, width: float, normal: float, tangential: float, new: Array) -> None:
    """Set ``new`` to the state after its velocities have diffused for ``dt``."""
    nx, ny = state.shape[1] - 2 * GHOSTS, state.shape[2] - 2 * GHOSTS
    new[:] = state
    rho = state[0]
    for k in range(1, 3):
        v = state[k]
        along_x = 0.5 * dt * (normal if k == 1 else tangential) / (width * width) if nx > 1 else 0.0
        along_y = 0.5 * dt * (tangential if k == 1 else normal) / (width * width) if ny > 1 else 0.0
        for i in range(GHOSTS, nx + GHOSTS):
            for j in range(GHOSTS, ny + GHOSTS):
                r, w = rho[i, j], v[i, j]
                across = (r + rho[i + 1, j]) * (v[i + 1, j] - w) - (r + rho[i - 1, j]) * (w - v[i - 1, j])
                up = (r + rho[i, j + 1]) * (v[i, j + 1] - w) - (r + rho[i, j - 1]) * (w - v[i, j - 1])
                new[k, i, j] = w + (along_x * across + along_y * up) / r
    _wrap(new)


@njit(cache=True, error_model="numpy")
def _time_step(state: Array, width: float, viscosity: float) -> float:
    """The largest stable step times the CFL number, for waves and for diffusion."""
    nx, ny = state.shape[1] - 2 * GHOSTS, state.shape[2] - 2 * GHOSTS
    per_x, per_y = (1.0 / width if nx > 1 else 0.0), (1.0 / width if ny > 1 else 0.0)
    fastest = 1e-300
    heaviest = 1.0  # largest ratio of a face's density to its cell's, by which diffusion is faster
    for i in range(GHOSTS, nx + GHOSTS):
        for j in range(GHOSTS, ny + GHOSTS):
            r = state[0, i, j]
            c = np.sqrt(GAMMA * state[3, i, j] / r)
            speed = max((abs(state[1, i, j]) + c) * per_x, (abs(state[2, i, j]) + c) * per_y)
            beside = max(state[0, i + 1, j], state[0, i - 1, j], state[0, i, j + 1], state[0, i, j - 1])
            fastest = max(fastest, speed)
            heaviest = max(heaviest, 0.5 * (r + beside) / r)
    dt = CFL / fastest
    if viscosity > 0.0:
        smallest = 1.0 / max(per_x, per_y)
        axes = 2.0 if nx > 1 and ny > 1 else 1.0
        dt = min(dt, CFL * smallest * smallest / (viscosity * heaviest * axes))
    return dt


@njit(cache=True, error_model="numpy")
def _evolve(start: Array, width: float, times: Array, eta: float, zeta: float) -> Array:
    normal = eta + zeta + eta / 3.0
    nx, ny = start.shape[1], start.shape[2]
    frames = np.empty((len(times), 4, nx, ny))
    frames[0] = start
    state = np.empty((4, nx + 2 * GHOSTS, ny + 2 * GHOSTS))
    state[:, GHOSTS : nx + GHOSTS, GHOSTS : ny + GHOSTS] = start
    _wrap(state)
    half, change = np.empty_like(state), np.empty_like(state)
    slopes, spare = np.zeros_like(state), np.empty_like(state)
    now = times[0]
    for frame in range(1, len(times)):
        while now < times[frame]:
            dt = _time_step(state, width, normal)
            last = now + dt >= times[frame]
            if last:
                dt = times[frame] - now
            _rate(state, width, slopes, change)
            _advance(state, change, 0.5 * dt, half)
            _rate(half, width, slopes, change)
            _advance(state, change, dt, spare)
            if normal > 0.0:
                _diffuse(spare, dt, width, normal, eta, state)
            else:
                state[:] = spare
            now = times[frame] if last else now + dt
        frames[frame] = state[:, GHOSTS : nx + GHOSTS, GHOSTS : ny + GHOSTS]
    return frames


def evolve(start: Array, width: float, times: Array, eta: float, zeta: float) -> Array:
    """States ``[len(times), 4, nx, ny]`` at ascending times, for ``start`` ``[4, nx, ny]`` at the first one.

    ``width`` is that of a cell, ``eta`` and ``zeta`` are the kinematic shear and bulk viscosities. Steps are shortened
    to end at each of the times.
    """
    if start.shape[2] > 1:
        return _evolve(start, width, times, eta, zeta)
    # The blocks are along the last axis, so x and y are swapped for a one-dimensional flow.
    turned = np.ascontiguousarray(start[[0, 2, 1, 3]].swapaxes(1, 2))
    frames: Array = _evolve(turned, width, times, eta, zeta)
    return np.ascontiguousarray(frames[:, [0, 2, 1, 3]].swapaxes(2, 3))
