"""The scheme of :mod:`replication.simulation.euler` in torch, for a batch of samples on a GPU.

Every sample has its own time and time step, and samples are computed independently, so the result of a sample does not
depend on its batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from replication.simulation.euler import CFL, INNER, PRESSURE_FLOOR
from replication.simulation.initial_fields import GAMMA

#: Space axes of ``[sample, 4, nx, ny]``, and for each the order of fields in which the normal velocity is second.
X, Y = 2, 3
NORMAL_FIRST = {X: (0, 1, 2, 3), Y: (0, 2, 1, 3)}


def _limited(state: Tensor, axis: int) -> Tensor:
    """Van Leer's limited slope across every cell."""
    a = state - state.roll(1, axis)
    b = a.roll(-1, axis)
    product = a * b
    rising = product > 0
    return torch.where(rising, 2 * product / torch.where(rising, a + b, 1.0), 0.0)


def _hllc(left: Tensor, right: Tensor) -> Tensor:
    """HLLC fluxes between states ``[sample, (density, normal, tangential, pressure), ...]``."""
    (rl, ul, vl, pl), (rr, ur, vr, pr) = left.unbind(1), right.unbind(1)
    wl, wr = rl.sqrt(), rr.sqrt()
    el = INNER * pl + 0.5 * rl * (ul * ul + vl * vl)
    er = INNER * pr + 0.5 * rr * (ur * ur + vr * vr)
    share = 1 / (wl + wr)
    u, v = (wl * ul + wr * ur) * share, (wl * vl + wr * vr) * share
    h = ((el + pl) / wl + (er + pr) / wr) * share
    c = ((GAMMA - 1) * (h - 0.5 * (u * u + v * v))).clamp_min(0).sqrt()
    sl = torch.minimum(ul - (GAMMA * pl).sqrt() / wl, u - c)
    sr = torch.maximum(ur + (GAMMA * pr).sqrt() / wr, u + c)
    ml, mr = rl * (sl - ul), rr * (sr - ur)
    sm = (pr - pl + ml * ul - mr * ur) / (ml - mr)
    is_left = sm >= 0
    r, un, vt, p = (torch.where(is_left, a, b) for a, b in zip(left.unbind(1), right.unbind(1), strict=True))
    e, s = torch.where(is_left, el, er), torch.where(is_left, sl, sr)
    weight = torch.where(is_left, s.clamp_max(0), s.clamp_min(0))
    gap = s - sm
    star = r * (s - un) / gap
    energy = star * (e / r + (sm - un) * sm) + (sm - un) * p / gap
    return torch.stack(
        [
            r * un + weight * (star - r),
            r * un * un + p + weight * (star * sm - r * un),
            r * un * vt + weight * (star * vt - r * vt),
            (e + p) * un + weight * (energy - e),
        ],
        dim=1,
    )


def _rate(state: Tensor, widths: dict[int, float]) -> Tensor:
    """Time derivative of density, momenta and energy."""
    change = torch.zeros_like(state)
    for axis, width in widths.items():
        turned = state[:, NORMAL_FIRST[axis]]
        slope = _limited(turned, axis)
        flux = _hllc(turned + 0.5 * slope, (turned - 0.5 * slope).roll(-1, axis))
        change += ((flux.roll(1, axis) - flux) / width)[:, NORMAL_FIRST[axis]]
    return change


def _advance(state: Tensor, change: Tensor, dt: Tensor) -> Tensor:
    """The primitive state after ``dt * change`` is added to the conserved variables of ``state``."""
    r, u, v, p = state.unbind(1)
    change = dt * change
    density = r + change[:, 0]
    mx, my = r * u + change[:, 1], r * v + change[:, 2]
    energy = INNER * p + 0.5 * r * (u * u + v * v) + change[:, 3]
    pressure = (GAMMA - 1) * (energy - 0.5 * (mx * mx + my * my) / density)
    return torch.stack([density, mx / density, my / density, pressure.clamp_min(PRESSURE_FLOOR)], dim=1)


def _diffuse(state: Tensor, dt: Tensor, widths: dict[int, float], normal: float, tangential: float) -> Tensor:
    """The state after its velocities have diffused for ``dt``."""
    density, velocity = state[:, :1], state[:, 1:3]
    total = torch.zeros_like(velocity)
    for axis, width in widths.items():
        along = torch.tensor([normal, tangential] if axis == X else [tangential, normal]).to(velocity)
        flux = 0.5 * (density + density.roll(-1, axis)) * (velocity.roll(-1, axis) - velocity)
        total += along[:, None, None] * (flux - flux.roll(1, axis)) / width**2
    return torch.cat([density, velocity + dt * total / density, state[:, 3:]], dim=1)


def _time_step(state: Tensor, widths: dict[int, float], viscosity: float) -> Tensor:
    """The largest stable step of each sample times the CFL number, ``[sample]``."""
    density, pressure = state[:, 0], state[:, 3]
    sound = (GAMMA * pressure / density).sqrt()
    speeds, beside = [], density
    for axis, width in widths.items():
        speeds.append((state[:, axis - 1].abs() + sound) / width)
        for shift in (1, -1):
            beside = torch.maximum(beside, density.roll(shift, axis - 1))
    dt = CFL / torch.stack(speeds).amax(dim=(0, 2, 3))
    if viscosity > 0:
        heaviest = (0.5 * (density + beside) / density).amax(dim=(1, 2))
        smallest = min(widths.values())
        dt = torch.minimum(dt, CFL * smallest**2 / (viscosity * heaviest * len(widths)))
    return dt


@torch.no_grad()
def evolve(start: Tensor, width: float, times: Sequence[float], eta: float, zeta: float) -> Tensor:
    """States ``[sample, len(times), 4, nx, ny]``, for ``start`` ``[sample, 4, nx, ny]``, float64, on its device.

    The other arguments are those of :func:`replication.simulation.euler.evolve`.
    """
    widths = {axis: width for axis in (X, Y) if start.shape[axis] > 1}
    normal = eta + zeta + eta / 3
    state, frames = start, [start]
    now = torch.full((len(start),), float(times[0]), dtype=start.dtype, device=start.device)
    for time in map(float, times[1:]):
        while bool((active := now < time).any()):
            step = _time_step(state, widths, normal)
            last = now + step >= time
            dt = torch.where(last, time - now, step)[:, None, None, None]
            half = _advance(state, _rate(state, widths), 0.5 * dt)
            new = _advance(state, _rate(half, widths), dt)
            if normal > 0:
                new = _diffuse(new, dt, widths, normal, eta)
            # Samples that have reached the frame do not change until the others have too.
            state = torch.where(active[:, None, None, None], new, state)
            now = torch.where(active, torch.where(last, time, now + step), now)
        frames.append(state)
    return torch.stack(frames, dim=1)
