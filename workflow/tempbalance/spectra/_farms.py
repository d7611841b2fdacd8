"""FARMS: spectra that do not depend on the shape of the matrix (arXiv 2506.06280)."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def _starts(length: int, window: int) -> list[int]:
    """Evenly spaced starts of the fewest windows that cover the length."""
    count = math.ceil(length / window)
    return [round(index * (length - window) / max(count - 1, 1)) for index in range(count)]


def farms_windows(matrices: Tensor, *, aspect_ratio: float = 1.0) -> Tensor:
    """Windows of one aspect ratio that cover each matrix; their eigenvalues are pooled.

    The exponent of pure noise depends on the shape of the matrix (2.1 for 768 x 768, 3.5 for 3072 x 768). With windows
    of one aspect ratio it does not, so layers of different shapes can be compared.

    Args:
        matrices: ``[matrices, rows, columns]``.
        aspect_ratio: longer side over shorter side of a window, 1 or more. Windows are as large as possible, and
            overlap if they do not divide the matrix evenly.

    Returns ``[matrices * windows, longer, shorter]``.
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
