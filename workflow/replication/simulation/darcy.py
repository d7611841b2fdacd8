"""Steady Darcy flow on the unit square: ``-div(a grad u) = beta``, ``u = 0`` on the boundary."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray
from scipy.sparse.linalg import spsolve

Array = NDArray[np.float64]


def operator(coefficient: Array) -> sparse.csc_matrix:
    """The five-point finite-volume operator of ``-div(a grad .)`` for cell averages.

    A face has the harmonic mean of its two cells' coefficients (``[n, n]``, positive), so that the flux is continuous
    across a jump. Boundary faces are half a cell from the cell's centre.

    Returns ``[n*n, n*n]``, symmetric positive definite.
    """
    n = len(coefficient)
    numbers, diagonal = np.arange(n * n).reshape(n, n), np.zeros((n, n))
    coupling = sparse.csc_matrix((n * n, n * n))
    for axis in (0, 1):
        a, number, own = (np.moveaxis(values, axis, 0) for values in (coefficient, numbers, diagonal))
        face = 2 * a[1:] * a[:-1] / (a[1:] + a[:-1]) * n * n
        own[1:] += face
        own[:-1] += face
        own[0] += 2 * a[0] * n * n
        own[-1] += 2 * a[-1] * n * n
        coupling += sparse.csc_matrix((face.ravel(), (number[1:].ravel(), number[:-1].ravel())), shape=coupling.shape)
    return sparse.diags(diagonal.ravel(), format="csc") - coupling - coupling.T


def solve(coefficient: Array, source: Array | float) -> Array:
    """Solution ``[n, n]`` for a source ``[n, n]`` or a constant source (PDEBench's beta)."""
    n = len(coefficient)
    right = np.broadcast_to(np.asarray(source, dtype=np.float64), (n, n)).ravel()
    return spsolve(operator(coefficient), right).reshape(n, n)
