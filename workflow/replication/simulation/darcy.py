"""Steady Darcy flow on the unit square: ``-div(a grad u) = beta``, ``u = 0`` on the boundary."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray
from scipy.sparse.linalg import spsolve

Array = NDArray[np.float64]


def operator(coefficient: Array) -> sparse.csc_matrix:
    """The five-point finite-volume operator of ``-div(a grad .)`` for cell averages.

    Args:
        coefficient: ``[n, n]``, positive. A face has the harmonic mean of its two cells, so that the flux is continuous
            across a jump. Boundary faces are half a cell from the cell's centre.

    Returns ``[n*n, n*n]``, symmetric positive definite.
    """
    n = len(coefficient)
    numbers = np.arange(n * n).reshape(n, n)
    rows, columns, values = [], [], []
    diagonal = np.zeros((n, n))
    for axis in (0, 1):
        a = np.moveaxis(coefficient, axis, 0)
        number = np.moveaxis(numbers, axis, 0)
        own = np.moveaxis(diagonal, axis, 0)
        face = 2 * a[1:] * a[:-1] / (a[1:] + a[:-1]) * n * n
        own[1:] += face
        own[:-1] += face
        own[0] += 2 * a[0] * n * n
        own[-1] += 2 * a[-1] * n * n
        rows += [number[1:].ravel(), number[:-1].ravel()]
        columns += [number[:-1].ravel(), number[1:].ravel()]
        values += [-face.ravel(), -face.ravel()]
    rows.append(numbers.ravel())
    columns.append(numbers.ravel())
    values.append(diagonal.ravel())
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.csc_matrix(entries, shape=(n * n, n * n))


def solve(coefficient: Array, source: Array | float) -> Array:
    """Solution ``[n, n]`` for a source ``[n, n]`` or a constant source (PDEBench's beta)."""
    n = len(coefficient)
    right = np.broadcast_to(np.asarray(source, dtype=np.float64), (n, n)).ravel()
    return spsolve(operator(coefficient), right).reshape(n, n)
