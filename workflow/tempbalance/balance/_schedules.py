"""Schedules map exponents to rates: the paper's, and others to compare it with.

Every schedule maps ``alphas [L]`` and a base rate to rates ``[L]``. A larger exponent never gets a smaller rate, and
equal exponents get the base rate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tempbalance.errors import InputError

Rates = NDArray[np.float64]
#: A schedule with its parameters bound: (alphas, base rate) -> rates.
Schedule = Callable[[ArrayLike, float], Rates]


def _finite(alphas: ArrayLike) -> Rates:
    values = np.asarray(alphas, dtype=np.float64)
    if values.ndim != 1:
        raise InputError(f"alphas: expected a list of numbers, got shape {values.shape}")
    if not np.isfinite(values).all():
        raise InputError(
            "alphas: expected finite numbers; leave out layers without an exponent, which keep the base rate"
        )
    return values


def _check(schedule: str, equal: str = "base", **parameters: float) -> None:
    if min(parameters.values()) < 0:
        expected = " and ".join(f"{name} >= 0" for name in parameters)
        raise InputError(f"{schedule} schedule: expected {expected}, got {', '.join(map(str, parameters.values()))}")
    if equal not in ("base", "released"):
        raise InputError(f"{schedule} schedule: equal is {equal!r}, expected 'base' or 'released'")


def sigmoid_schedule(
    alphas: ArrayLike, base_lr: float, *, s_min: float = 1.0, s_max: float = 1.0, tau: float = 10.0
) -> Rates:
    """The paper's schedule (section 3.2, eq. (2)).

    ``lr_i = base * 10^(s * (1 / (1 + exp(-tau * (alpha_i - mean))) - 1/2))`` with ``s = s_max`` where
    ``alpha_i > mean`` and ``s_min`` elsewhere; the paper writes the pair as (s1, s2) = (s_min, s_max).
    Rates are between ``base * 10^(-s_min / 2)`` and ``base * 10^(s_max / 2)``.

    Args:
        alphas: ``[L]`` exponents, finite.
        base_lr: rate of a layer with the mean exponent.
        s_min: strength below the mean, 0 or more.
        s_max: strength above the mean, 0 or more.
        tau: steepness, above 0.

    Raises InputError for exponents that are not finite or parameters out of range.

    Examples:
        >>> from tempbalance import sigmoid_schedule
        >>> sigmoid_schedule([2.0, 2.5, 3.0], 1e-3, s_min=1.0, s_max=1.0).round(6)  # [L] -> [L]
        array([0.000321, 0.001   , 0.003114])
    """
    _check("sigmoid", s_min=s_min, s_max=s_max)
    if tau <= 0:
        raise InputError(f"sigmoid schedule: expected tau > 0, got {tau}")
    values = _finite(alphas)
    # Rounding can make the mean of equal numbers differ from them; that must not change a rate.
    distance = np.zeros_like(values) if _all_equal(values) else values - values.mean()
    # tanh, unlike exp, does not overflow.
    share = 0.5 * np.tanh(tau * distance / 2)
    return base_lr * 10 ** (np.where(distance > 0, s_max, s_min) * share)


def _all_equal(values: Rates) -> bool:
    return bool(len(values) < 2 or np.ptp(values) <= 1e-12 * np.abs(values).max())


def linear_schedule(
    alphas: ArrayLike,
    base_lr: float,
    *,
    min_ratio: float = 0.5,
    slope: float = 1.0,
    equal: Literal["base", "released"] = "base",
) -> Rates:
    """Linear map of [min alpha, max alpha] to ``base * [min_ratio, min_ratio + slope]`` (NeurIPS-2023 TempBalance).

    Args:
        alphas: ``[L]`` exponents, finite.
        base_lr: the base rate.
        min_ratio: factor of the smallest exponent.
        slope: the largest exponent's factor is ``min_ratio + slope``; 0 or more.
        equal: the rate if all exponents are equal: the ``base`` rate, or the largest rate as in the ``released`` code.

    Raises InputError for exponents that are not finite or parameters out of range.

    Examples:
        >>> from tempbalance import linear_schedule
        >>> linear_schedule([2.0, 2.5, 3.0], 1e-3, min_ratio=0.5, slope=1.0)  # [L] -> [L]
        array([0.0005, 0.001 , 0.0015])
    """
    _check("linear", equal, min_ratio=min_ratio, slope=slope)
    values = _finite(alphas)
    if _all_equal(values):
        return np.full(len(values), base_lr * (1.0 if equal == "base" else min_ratio + slope))
    return base_lr * np.interp(values, [values.min(), values.max()], [min_ratio, min_ratio + slope])


def sqrt_schedule(alphas: ArrayLike, base_lr: float) -> Rates:
    """Rates proportional to sqrt(alpha), with the base rate as their mean: ``base * sqrt(a_i) / mean sqrt(a)``."""
    values = _finite(alphas)
    if (values <= 0).any():
        raise InputError(f"sqrt schedule: expected positive numbers, got {values.min():g}")
    return _proportional(np.sqrt(values), base_lr)


def log2_schedule(alphas: ArrayLike, base_lr: float) -> Rates:
    """Rates proportional to log2(alpha): ``base * log2(a_i) / mean log2(a)``. Raises InputError below 1."""
    values = _finite(alphas)
    if (values < 1).any():
        raise InputError(f"log2 schedule: expected values of 1 or more, got {values.min():g}")
    return _proportional(np.log2(values), base_lr)


def exp_schedule(alphas: ArrayLike, base_lr: float, *, s_min: float = 1.0, s_max: float = 1.0) -> Rates:
    """Rates proportional to exp of the standardised exponent, within the sigmoid's bounds. The definition is ours.

    ``base * exp(z_i) / mean exp(z)`` with ``z = (alpha - mean) / standard deviation``, clipped to
    ``[base * 10^(-s_min / 2), base * 10^(s_max / 2)]``. The paper's review thread has results for a schedule of this
    name, but nothing defines it. exp(alpha) itself, with alpha from 2 to 6, would give nearly all to a few layers.

    Raises InputError for exponents that are not finite or parameters out of range.
    """
    _check("exp", s_min=s_min, s_max=s_max)
    values = _finite(alphas)
    if _all_equal(values):
        return np.full(len(values), base_lr)
    standardised = (values - values.mean()) / values.std()
    return np.clip(
        _proportional(np.exp(standardised), base_lr), base_lr * 10 ** (-s_min / 2), base_lr * 10 ** (s_max / 2)
    )


def _proportional(values: Rates, base_lr: float) -> Rates:
    if _all_equal(values):
        return np.full(len(values), base_lr)
    return base_lr * values / values.mean()


def rank_schedule(
    alphas: ArrayLike,
    base_lr: float,
    *,
    min_ratio: float = 0.5,
    slope: float = 1.0,
    equal: Literal["base", "released"] = "base",
) -> Rates:
    """Rates by rank: ``base * (min_ratio + slope * rank / L)``, rank 0 for the smallest exponent.

    Equal exponents have their mean rank; if all are equal, they get the base rate. ``equal="released"`` breaks ties by
    order, like the released code.
    """
    _check("rank", equal, min_ratio=min_ratio, slope=slope)
    values = _finite(alphas)
    if equal == "base" and _all_equal(values):
        return np.full(len(values), base_lr)
    ranks: NDArray[Any] = np.argsort(np.argsort(values, kind="stable"))
    if equal == "base":  # mean ranks (scipy's rankdata takes half a second to import)
        _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
        ranks = (np.cumsum(counts) - (counts + 1) / 2)[inverse]
    return base_lr * (min_ratio + slope * ranks / max(len(values), 1))


SCHEDULES: dict[str, Callable[..., Rates]] = {
    "sigmoid": sigmoid_schedule,
    "linear": linear_schedule,
    "sqrt": sqrt_schedule,
    "log2": log2_schedule,
    "exp": exp_schedule,
    "rank": rank_schedule,
}


def get_schedule(name: str, **parameters: Any) -> Schedule:
    """A schedule by name with its parameters bound; None means the default.

    Raises InputError for an unknown name or a parameter that the schedule does not take.
    """
    if name not in SCHEDULES:
        raise InputError(f"schedule: {name!r} is unknown, expected one of {[*SCHEDULES, 'fixed']}")
    given = {key: value for key, value in parameters.items() if value is not None}
    allowed = sorted(SCHEDULES[name].__kwdefaults__ or {})
    if unknown := sorted(set(given).difference(allowed)):
        raise InputError(f"schedule {name!r} takes no {unknown[0]!r}, expected {allowed or 'no parameters'}")
    return partial(SCHEDULES[name], **given)


def schedule_from(name: str, **parameters: Any) -> Schedule:
    """:func:`get_schedule`, ignoring parameters that the schedule does not take."""
    takes = (SCHEDULES[name].__kwdefaults__ or {}) if name in SCHEDULES else {}
    return get_schedule(name, **{key: value for key, value in parameters.items() if key in takes})


def grouped_rates(
    alphas: ArrayLike,
    blocks: Sequence[str | None],
    base_lr: float,
    schedule: Schedule,
    *,
    unit: Literal["block", "layer", "layer_in_block"] = "block",
    min_ratio: float = 0.5,
    slope: float = 1.0,
    normalize: bool = False,
) -> Rates:
    """Rates of layers, of which the blocks may be balanced as a whole (paper section 3.2).

    Args:
        alphas: ``[L]`` exponents, finite.
        blocks: ``[L]`` block of each layer. A layer without one (None) keeps the base rate if the unit needs a block.
        base_lr: the base rate.
        schedule: from :func:`get_schedule`.
        unit: what the schedule is applied to: ``block`` (the mean exponent of its layers) or ``layer``.
            ``layer_in_block`` (the released NLP code's "layer"): the block's rate times a linear map of the layer's
            exponent within its block.
        min_ratio: smallest factor of that linear map.
        slope: its largest factor minus its smallest factor.
        normalize: scale all rates, including base rates, so that their mean is the base rate.
    """
    values = _finite(alphas)
    if unit == "layer":
        rates = schedule(values, base_lr)
    else:
        rates = np.full(len(values), float(base_lr))
        members: dict[str, list[int]] = {}
        for index, block in enumerate(blocks):
            if block is not None:
                members.setdefault(block, []).append(index)
        means = [values[indices].mean() for indices in members.values()]
        for rate, indices in zip(schedule(means, base_lr), members.values(), strict=True):
            if unit == "layer_in_block":
                rates[indices] = linear_schedule(values[indices], rate, min_ratio=min_ratio, slope=slope)
            else:
                rates[indices] = rate
    return rates * (base_lr / rates.mean()) if normalize and rates.sum() > 0 else rates
