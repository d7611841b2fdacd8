"""Eigenvalues of W^T W, by a symmetric solver on the smaller Gram matrix."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tempbalance.errors import InputError
from tempbalance.spectra._presets import Conv1d

Values = TypeVar("Values", Tensor, NDArray[np.floating])

#: Up to this width a float64 solve costs next to nothing, so float64 is always used.
SMALL = 128
#: A large Gram matrix is computed in this many strips of rows; four strips save 3/8 of the products.
STRIPS = 4
#: Eigenvalues of a float32 Gram matrix are accurate to a few 1e-7 of the largest. Where the median is below this
#: share of the largest, the exponent could be off by more than 1e-4, so the matrix is solved in float64.
FLOAT32_SAFE_SPREAD = 5e-3
#: Largest error observed in float32 eigenvalues, as a share of the largest eigenvalue, with a margin.
FLOAT32_NOISE = 4e-6


def unfold(weight: Tensor, *, conv1d: Conv1d = "matrix") -> Tensor:
    """A weight as a batch of matrices ``[matrices, rows, columns]``.

    A dense weight ``(out, in)`` is one matrix. A convolution ``(out, in, *kernel)`` has one ``(out, in)`` matrix
    for each kernel position, scaled by sqrt(0.5) (paper section 3). With ``conv1d="released"`` a Conv1d weight
    ``(out, in, k)`` has one unscaled ``(in, k)`` matrix for each output channel, as in the released code. With a
    kernel of one, its "eigenvalues" are just the squared norms of the rows.

    Raises InputError for fewer than 2 or more than 5 axes, and for an unknown value of ``conv1d``.
    """
    if conv1d not in ("matrix", "released"):
        raise InputError(f"conv1d: {conv1d!r} is unknown, expected 'matrix' or 'released'")
    if weight.ndim == 2:
        return weight.unsqueeze(0)
    if weight.ndim == 3 and conv1d == "released":
        return weight
    if 3 <= weight.ndim <= 5:
        return weight.flatten(2).permute(2, 0, 1) * math.sqrt(0.5)
    raise InputError(f"a weight of shape {tuple(weight.shape)} is not a matrix, expected 2 to 5 axes")


def _starts(length: int, window: int) -> list[int]:
    """Evenly spaced starts of the fewest windows that cover the length."""
    count = math.ceil(length / window)
    return [round(index * (length - window) / max(count - 1, 1)) for index in range(count)]


def farms_windows(matrices: Tensor, *, aspect_ratio: float = 1.0) -> Tensor:
    """Windows of one aspect ratio that cover each matrix; their eigenvalues are pooled (FARMS, arXiv 2506.06280).

    The exponent of pure noise depends on the shape of the matrix (2.1 for 768 x 768, 3.5 for 3072 x 768). With windows
    of one aspect ratio (longer over shorter side) it does not, so layers of different shapes can be compared. Windows
    are as large as possible, and overlap if they do not divide the matrix evenly.

    Maps ``[matrices, rows, columns]`` to ``[matrices * windows, longer, shorter]``.
    """
    if matrices.shape[-2] < matrices.shape[-1]:
        matrices = matrices.mT
    rows, columns = matrices.shape[-2:]
    short = max(1, min(columns, int(rows / aspect_ratio)))
    long = min(rows, max(1, round(short * aspect_ratio)))
    windows = [
        matrices[:, top : top + long, left : left + short]
        for top in _starts(rows, long)
        for left in _starts(columns, short)
    ]
    return torch.cat(windows)


def promoted(matrices: Tensor) -> Tensor:
    """Convert half, bfloat16 and float8 (also complex) to single precision; leave single and double as they are."""
    if matrices.dtype in (torch.float64, torch.complex128, torch.float32, torch.complex64):
        return matrices
    return matrices.to(torch.complex64 if matrices.is_complex() else torch.float32)


def _gram(matrices: Tensor) -> Tensor:
    """The smaller Gram matrix of each matrix. On a CPU, large ones have only the lower triangle, which is solved."""
    wide = matrices if matrices.shape[-2] <= matrices.shape[-1] else matrices.mH
    size = wide.shape[-2]
    if wide.device.type != "cpu" or size <= 2 * SMALL:
        return wide @ wide.mH
    gram = wide.new_zeros(*wide.shape[:-1], size)
    for top, bottom in pairwise(size * strip // STRIPS for strip in range(STRIPS + 1)):
        gram[..., top:bottom, :bottom] = wide[..., top:bottom, :] @ wide[..., :bottom, :].mH
    return gram


def _solve(matrices: Tensor) -> Tensor:
    # The released code computes singular values. The eigenvalues of W^T W are their squares, at half the cost or less.
    return torch.linalg.eigvalsh(_gram(matrices), UPLO="L").clamp_min(0)


def _needs_double(values: Tensor, min_eigenvalue: float | None) -> Tensor:
    """For each spectrum ``[..., n]``: can float32 rounding change the exponent, or what the filter keeps?"""
    largest = values[..., -1]
    needed = values[..., values.shape[-1] // 2] < FLOAT32_SAFE_SPREAD * largest
    if min_eigenvalue is not None:
        near = (values - min_eigenvalue).abs() <= FLOAT32_NOISE * largest.unsqueeze(-1)
        needed |= near.any(dim=-1)
    return needed


@torch.no_grad()  # here, because grad mode is per thread
def _spectrum(matrices: Tensor, min_eigenvalue: float | None) -> Tensor:
    """Ascending eigenvalues ``[matrices, n]`` of one batch, in the precision that its conditioning needs."""
    real, double = matrices.dtype.to_real(), torch.promote_types(matrices.dtype, torch.float64)
    if min(matrices.shape[-2:]) <= SMALL or matrices.dtype == double:
        return _solve(matrices.to(double)).to(real)
    values = _solve(matrices)
    again = _needs_double(values, min_eigenvalue)
    if again.any():
        values[again] = _solve(matrices[again].to(double)).to(real)
    return values


def batched_eigenvalues(batches: Sequence[Tensor], *, min_eigenvalue: float | None = None) -> list[Tensor]:
    """Eigenvalues of W^H W for many weights at once.

    Args:
        batches: tensors ``[matrices, rows, columns]``, real or complex, any float type (half is promoted).
        min_eigenvalue: the filter that will be applied later. If an eigenvalue is too close to it for float32, the
            matrix is solved in float64.

    Returns one tensor ``[matrices, min(rows, columns)]`` for each batch, on its device: rows ascending, float64 for a
    float64 weight and float32 otherwise. A GPU solves weights of equal shape together; a CPU uses its torch threads.
    """
    batches = [promoted(batch.detach()) for batch in batches]
    solve = partial(_spectrum, min_eigenvalue=min_eigenvalue)
    if any(batch.device.type != "cpu" for batch in batches):
        return in_groups(batches, lambda batch: (batch.shape[1:], batch.dtype, batch.device), solve)
    workers = min(torch.get_num_threads(), len(batches))
    return list(map(solve, batches)) if workers <= 1 else _threaded(batches, solve, workers)


def in_groups(
    tensors: Sequence[Tensor], key: Callable[[Tensor], Hashable], function: Callable[[Tensor], Tensor]
) -> list[Tensor]:
    """Apply a function to tensors with equal keys at once, concatenated along their first axis."""
    kinds: dict[Hashable, list[int]] = {}
    for index, tensor in enumerate(tensors):
        kinds.setdefault(key(tensor), []).append(index)
    results: dict[int, Tensor] = {}
    for indices in kinds.values():
        values = function(torch.cat([tensors[index] for index in indices]))
        results |= zip(indices, values.split([len(tensors[index]) for index in indices]), strict=True)
    return [results[index] for index in range(len(tensors))]


def _threaded(batches: Sequence[Tensor], solve: Callable[[Tensor], Tensor], workers: int) -> list[Tensor]:
    # Largest first, so that no thread starts a large matrix last.
    order = sorted(range(len(batches)), key=lambda index: -min(batches[index].shape[-2:]))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more threads in a solver gain little, and compete with the pool
    try:
        with ThreadPoolExecutor(workers) as pool:
            solved = dict(zip(order, pool.map(solve, [batches[index] for index in order]), strict=True))
    finally:
        torch.set_num_threads(threads)
    return [solved[index] for index in range(len(batches))]


def esd(weight: Tensor, *, conv1d: Conv1d = "matrix", min_eigenvalue: float | None = None) -> Tensor:
    """Empirical spectral density of a weight: the eigenvalues of W^T W (paper section 3.1).

    Args:
        weight: ``(out, in)``, or a convolution's ``(out, in, *kernel)`` with one to three kernel axes, of which the
            spectra of all kernel positions are pooled; real or complex.
        conv1d: see :func:`unfold`.
        min_eigenvalue: drop eigenvalues at or below it, unless none would be left (the SciML preset: 1e-5).

    Returns ``[N]`` ascending, float64 for a float64 weight and float32 otherwise.

    Raises InputError if the weight is not a matrix, is empty, or has values that are not finite.

    Examples:
        >>> import torch
        >>> from tempbalance import esd
        >>> esd(torch.tensor([[3.0, 0.0, 0.0], [0.0, 2.0, 0.0]]))  # (out, in) = (2, 3): 2 eigenvalues
        tensor([4., 9.])
        >>> esd(torch.ones(8, 4, 3, 3)).shape  # a 3 x 3 convolution: 9 positions with 4 eigenvalues each
        torch.Size([36])
    """
    if weight.numel() == 0:
        raise InputError(f"a weight of shape {tuple(weight.shape)} is empty, so it has no spectrum")
    if not torch.isfinite(weight.detach()).all():
        raise InputError(f"a weight of shape {tuple(weight.shape)} has values that are not finite (NaN or infinity)")
    (values,) = batched_eigenvalues([unfold(weight, conv1d=conv1d)], min_eigenvalue=min_eigenvalue)
    return drop_small(values.flatten().sort().values, min_eigenvalue)


def drop_small(eigenvalues: Values, min_eigenvalue: float | None) -> Values:
    """Eigenvalues above ``min_eigenvalue``; all of them if none is above, or without a minimum."""
    if min_eigenvalue is None:
        return eigenvalues
    kept = eigenvalues[eigenvalues > min_eigenvalue]
    return kept if len(kept) else eigenvalues
