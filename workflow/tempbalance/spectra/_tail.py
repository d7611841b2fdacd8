"""Power-law exponents of a spectrum's tail, and the simpler layer metrics of the ablations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from tempbalance.errors import InputError
from tempbalance.spectra._presets import Tail

Eigenvalues = Tensor | NDArray[np.floating] | Sequence[float]

#: If the mean of ln(e_j / e_i) is below this, the tail is flat up to rounding, and its exponent is meaningless.
FLAT = 1e-5
#: Bins of the histogram in :func:`alpha_xmin_peak`.
PEAK_BINS = 100


@dataclass(frozen=True)
class TailFit:
    """A fitted tail: exponent, Kolmogorov-Smirnov distance, index and value of the tail's first eigenvalue."""

    alpha: float
    ks_distance: float
    start: int
    xmin: float


def _ascending(eigenvalues: Eigenvalues) -> NDArray[np.float64]:
    if isinstance(eigenvalues, Tensor):
        eigenvalues = eigenvalues.detach().cpu().double().numpy()
    values = np.sort(np.asarray(eigenvalues, dtype=np.float64))
    if values.ndim != 1 or len(values) < 2:
        raise InputError(f"eigenvalues: expected a list of 2 or more, got shape {values.shape}")
    if not np.isfinite(values).all():
        raise InputError("eigenvalues: some are not finite (NaN or infinity), so there is no exponent")
    return values


def ks_distance(eigenvalues: Eigenvalues, alpha: float, start: int) -> float:
    """Kolmogorov-Smirnov distance between the tail from index ``start`` and a power law of exponent ``alpha``."""
    tail = _ascending(eigenvalues)[start:]
    return float(np.abs(1 - (tail / tail[0]) ** (1 - alpha) - np.arange(len(tail)) / len(tail)).max())


def pl_alpha_hill(eigenvalues: Eigenvalues, *, xmin_pos: float = 2.0) -> float:
    """PL_Alpha_Hill, the paper's eq. (1) as released.

    ``alpha = 1 + (N - i) / sum_{j >= i} ln(e_j / e_i)`` with the tail start ``i = int(N / xmin_pos)``, counted
    from 0 in ascending order.

    Args:
        eigenvalues: ``[N]``, any order.
        xmin_pos: above 1; 2 for SciML (the upper half), 1.5 for NLP (the upper third).

    Raises InputError for fewer than 2 eigenvalues, values that are not finite, a tail that starts at zero or is flat,
    and ``xmin_pos`` of 1 or below.

    Examples:
        >>> from tempbalance import pl_alpha_hill
        >>> round(pl_alpha_hill([0.1, 0.5, 1.0, 2.0]), 3)  # N = 4, tail (1, 2): 1 + 2 / ln 2
        3.885
        >>> import torch
        >>> from tempbalance import esd
        >>> weight = torch.randn(768, 768, generator=torch.Generator().manual_seed(0))
        >>> round(pl_alpha_hill(esd(weight), xmin_pos=1.5), 1)  # pure noise
        2.9
    """
    return fit_tail(eigenvalues, xmin_pos=xmin_pos).alpha


def _fit(values: NDArray[np.float64], start: int) -> TailFit:
    tail = values[start:]
    if tail[0] <= 0:
        raise InputError("the tail starts at a zero eigenvalue (the weight's rank is too low), so there is no exponent")
    logs = np.log(tail / tail[0])
    if logs.mean() < FLAT:
        raise InputError("all eigenvalues of the tail are equal, so there is no exponent")
    alpha = float(1 + len(tail) / logs.sum())
    return TailFit(alpha, ks_distance(values, alpha, start), start, float(values[start]))


def _best_start(values: NDArray[np.float64], starts: NDArray[np.intp]) -> TailFit:
    """The fit with the smallest KS distance; the first if several are equal."""
    usable = [int(start) for start in starts if 0 < values[start] < values[-1] * (1 - FLAT)]
    if not usable:
        raise InputError("no eigenvalue can start a power-law tail (all are equal or zero)")
    logs = np.log(values, where=values > 0, out=np.zeros_like(values))
    sums = np.cumsum(logs[::-1])[::-1]
    counts = len(values) - np.arange(len(values))

    def distance(start: int) -> float:
        count = counts[start]
        alpha = 1 + count / (sums[start] - count * logs[start])
        model = 1 - np.exp((1 - alpha) * (logs[start:] - logs[start]))
        return float(np.abs(model - np.arange(count) / count).max())

    return _fit(values, min(usable, key=distance))


def alpha_ks_search(eigenvalues: Eigenvalues) -> TailFit:
    """The fit with the smallest KS distance over all tail starts except the last eigenvalue."""
    values = _ascending(eigenvalues)
    return _best_start(values, np.arange(len(values) - 1))


def alpha_xmin_peak(eigenvalues: Eigenvalues) -> TailFit:
    """The released ``xmin_peak``: a KS search over the starts near the peak of the histogram of log10 eigenvalues.

    If ``p`` is the left edge of the peak's bin, a start ``e`` must satisfy ``log10(0.95 p) <= e <= 1.5 p``. The
    released code takes the logarithm on the left side only, so that side excludes hardly anything.
    """
    values = _ascending(eigenvalues)
    positive = values[values > 0]
    if not len(positive):
        raise InputError("no eigenvalue is above zero, so the spectrum has no peak")
    counts, edges = np.histogram(np.log10(positive), bins=PEAK_BINS)
    peak = 10 ** edges[counts.argmax()]
    inside = (values[:-1] >= np.log10(0.95 * peak)) & (values[:-1] <= 1.5 * peak)
    return _best_start(values, np.flatnonzero(inside))


def fit_tail(eigenvalues: Eigenvalues, *, tail: Tail = "hill", xmin_pos: float = 2.0) -> TailFit:
    """Fit a tail; ``hill`` (with ``xmin_pos``), ``xmin_peak`` or ``ks`` chooses its start.

    Raises InputError for an unknown ``tail`` and for a spectrum without an exponent.
    """
    if tail == "ks":
        return alpha_ks_search(eigenvalues)
    if tail == "xmin_peak":
        return alpha_xmin_peak(eigenvalues)
    if tail != "hill":
        raise InputError(f"tail: {tail!r} is unknown, expected one of {list(get_args(Tail))}")
    if not xmin_pos > 1:
        raise InputError(f"xmin_pos: {xmin_pos!r} is out of range, expected a number above 1")
    values = _ascending(eigenvalues)
    return _fit(values, int(len(values) / xmin_pos))


def stable_rank(eigenvalues: Eigenvalues) -> float:
    """Sum of the eigenvalues divided by the largest (paper, ablation of the layer metric)."""
    values = _ascending(eigenvalues)
    if values[-1] <= 0:
        raise InputError("all eigenvalues are zero, so there is no stable rank")
    return float(values.sum() / values[-1])


def spectral_norm(eigenvalues: Eigenvalues) -> float:
    """The largest eigenvalue of W^T W, the squared largest singular value (the released code's definition)."""
    return float(_ascending(eigenvalues)[-1])
