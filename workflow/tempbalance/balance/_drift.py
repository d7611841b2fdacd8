"""A bound on how much an exponent can have changed, without solving another eigenvalue problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tempbalance.spectra._eigen import drop_small, promoted, unfold
from tempbalance.spectra._layers import Layer, layer_weight
from tempbalance.spectra._metrics import LayerSpectrum
from tempbalance.spectra._presets import Preset
from tempbalance.spectra._tail import FLAT

Array = NDArray[np.float64]

#: Margin for the rounding of a norm in float32, whose sum of squares has millions of terms.
ROUNDING = 1.01
#: Bisections in the search for the radius; the result is too small by at most 2^-20 of the range.
HALVINGS = 20


def _level(heights: Array, radius: float) -> float:
    """The ``x`` where ``sum_j max(0, x - heights_j)^2 = radius^2``, for ascending heights that begin with 0."""
    counts = np.arange(1, len(heights) + 1)
    sums, squares = np.cumsum(heights), np.cumsum(heights**2)
    below = int(np.searchsorted(counts * heights**2 - 2 * heights * sums + squares, radius**2, side="right"))
    count, total, square = counts[below - 1], sums[below - 1], squares[below - 1]
    return float((total + np.sqrt(max(total**2 - count * (square - radius**2), 0.0))) / count)


def hill_interval(singular_values: Array, start: int, radius: float) -> tuple[float, float]:
    """The interval of PL_Alpha_Hill after the weight has moved by at most ``radius`` in Frobenius norm.

    Let ``s_1 <= ... <= s_N`` be the singular values, ``s'`` those of the moved weight, ``i`` the tail start and
    ``n = N - i`` the length of the tail (counted from 0). With ``H = 2 (mean_{j >= i} ln s_j - ln s_i)`` the exponent
    is ``1 + 1 / H``, which falls as H grows, so bounds on H are enough.

    1. Mirsky: ``sum_j (s'_j - s_j)^2 <= radius^2``. A convolution's pooled spectrum obeys it too: the inequality holds
       for the matrix of each kernel position, their squared norms add up, and sorting both lists never increases the
       sum of squared differences.
    2. The tail start rises to ``x > s_i`` only if all later values are at least ``x``, which costs
       ``sum_{j >= i} max(0, x - s_j)^2``. This sum grows with ``x`` and reaches ``radius^2`` at one U, so
       ``s'_i <= U``. In the same way ``s'_i >= L``, where ``sum_{j <= i} max(0, s_j - L)^2 = radius^2``.
    3. For ``j >= i`` both ``s_j`` and ``s'_j`` are at least ``m_j = max(L, s_j - radius)`` (Weyl), so
       ``|ln s'_j - ln s_j| <= |s'_j - s_j| / m_j``. By Cauchy-Schwarz and 1, the mean of the tail's logarithms moves
       by at most ``e = (radius / n) sqrt(sum_j m_j^-2)``.

    Together, ``2 (M - e - ln U) <= H' <= 2 (M + e - ln L)`` with ``M`` the mean of the tail's ``ln s_j``. This holds
    for exact singular values; the solver's rounding error (below 1e-4 of the exponent) comes on top.

    Args:
        singular_values: ``[N]`` ascending, after the filter.
        start: tail start ``i``.
        radius: 0 or more.

    Returns the smallest and the largest exponent; ``(1, inf)`` if there is no bound.
    """
    tail, first = singular_values[start:], singular_values[start]
    upper = first + _level(tail - first, radius)
    lower = first - _level(first - singular_values[start::-1], radius)
    if lower <= 0:
        return 1.0, float("inf")
    smallest = np.maximum(lower, tail - radius)
    error = radius / len(tail) * np.sqrt((smallest**-2.0).sum())
    mean = np.log(tail).mean()
    high, low = 2 * (mean + error - np.log(lower)), 2 * (mean - error - np.log(upper))
    return float(1 + 1 / high), float(1 + 1 / low) if low > FLAT else float("inf")


def reach(spectrum: LayerSpectrum, tolerance: float) -> float:
    """How far a layer's weight may move (Frobenius norm of its matrices) before its exponent must be measured again.

    Within this distance the exponent stays within ``tolerance`` times itself (:func:`hill_interval`), and the filter
    drops the same eigenvalues: by Weyl no singular value moves further than the weight, so none crosses
    ``sqrt(min_eigenvalue)``, and the tail start is the same.

    Returns -1 (always measure) for a layer without an exponent, and if the exponent is not a single Hill fit of the
    layer's own matrices (other tails, ``farms``, ``per_mode``) or does not set the rates (other metrics).
    """
    preset = spectrum.preset
    if spectrum.reason or preset.tail != "hill" or preset.metric != "alpha" or len(spectrum.spectra) != 1:
        return -1.0
    values = np.sqrt(np.asarray(spectrum.spectra[0], np.float64))
    largest = float(values[-1])
    if preset.min_eigenvalue is not None:
        edge = float(np.sqrt(preset.min_eigenvalue))
        largest = min(largest, float(np.abs(values - edge).min()))
        values = drop_small(values, edge)
    start = int(len(values) / preset.xmin_pos)
    # Not spectrum.alpha, whose rounding could widen the interval.
    centre, _ = hill_interval(values, start, 0.0)
    low, high = 0.0, largest
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        bottom, top = hill_interval(values, start, middle)
        if centre - bottom <= tolerance * centre and top - centre <= tolerance * centre:
            low = middle
        else:
            high = middle
    return low


class Drift:
    """Which layers have moved too far since their exponents were measured.

    Keeps a copy of the layers' weights from the last :meth:`track`, and for each layer how far it may still move. The
    distances between calls add up. Layers with adapters, and weights sharded over processes, are always measured.
    """

    def __init__(self, layers: Sequence[Layer], preset: Preset, tolerance: float) -> None:
        self.layers = layers
        self.preset = preset
        self.tolerance = tolerance
        self._left: dict[str, float] = {}
        self._weights: dict[str, Tensor] = {}

    def track(self, tensors: Mapping[str, Tensor]) -> None:
        """Subtract the distance that each weight has moved since the last call from what it has left."""
        for layer in self.layers:
            if layer.weight is None or layer.adapters or hasattr(tensors[layer.weight], "full_tensor"):
                continue
            weight = promoted(layer_weight(layer, tensors))
            before = self._weights.get(layer.name)
            if before is None:
                self._weights[layer.name] = weight.clone()
            else:
                moved = ROUNDING * torch.linalg.vector_norm(before.sub_(weight)).item() * self._scale(layer, weight)
                self._left[layer.name] = self._left.get(layer.name, -1.0) - moved
                before.copy_(weight)

    def _scale(self, layer: Layer, weight: Tensor) -> float:
        """Norm of the layer's matrices over the norm of its weight; sqrt(0.5) for a convolution."""
        if layer.kind != "matrix":
            return 1.0
        return float(unfold(torch.ones([1] * weight.ndim), conv1d=self.preset.conv1d).norm())

    def due(self) -> list[Layer]:
        """Layers whose exponents can be off by more than the tolerance."""
        # `not ... >= 0` holds for NaN too, so a weight that is not finite is due.
        return [layer for layer in self.layers if not self._left.get(layer.name, -1.0) >= 0]

    def measured(self, spectra: Sequence[LayerSpectrum]) -> None:
        """Record that these layers were measured with the weights of the last :meth:`track`."""
        for spectrum in spectra:
            if spectrum.layer.name in self._weights:
                self._left[spectrum.layer.name] = reach(spectrum, self.tolerance)

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers: how far each layer may still move."""
        return {"left": dict(self._left)}

    def load_state_dict(self, state: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Restore a state; the weights must be those with which it was saved."""
        self._weights.clear()
        self.track(tensors)
        self._left = {name: float(left) for name, left in state.get("left", {}).items()}
