"""How far a weight may move before its exponent can have changed: a bound without another eigenvalue problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tempbalance.spectra._eigen import promoted, unfold
from tempbalance.spectra._layers import Layer, layer_weight
from tempbalance.spectra._metrics import LayerSpectrum
from tempbalance.spectra._presets import Preset
from tempbalance.spectra._tail import FLAT

Array = NDArray[np.float64]

#: Covers the rounding of a norm in float32, whose sum of squares has millions of terms.
ROUNDING = 1.01
#: Halvings in the search for the radius; its relative error is 2^-20, on the safe side.
HALVINGS = 20


def _level(heights: Array, radius: float) -> float:
    """The ``x`` where ``sum_j max(0, x - heights_j)^2 = radius^2``, for ascending heights that begin with 0."""
    counts = np.arange(1, len(heights) + 1)
    sums, squares = np.cumsum(heights), np.cumsum(heights**2)
    below = int(np.searchsorted(counts * heights**2 - 2 * heights * sums + squares, radius**2, side="right"))
    count, total, square = counts[below - 1], sums[below - 1], squares[below - 1]
    return float((total + np.sqrt(max(total**2 - count * (square - radius**2), 0.0))) / count)


def hill_interval(singular_values: Array, start: int, radius: float) -> tuple[float, float]:
    """Where PL_Alpha_Hill can lie after the weight has moved by at most ``radius`` in Frobenius norm.

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

    Together, ``2 (M - e - ln U) <= H' <= 2 (M + e - ln L)`` with ``M`` the mean of the tail's ``ln s_j``. This is about
    exact singular values; the solver's rounding (below 1e-4 of the exponent) comes on top.

    Args:
        singular_values: ``[N]`` ascending, the filter already applied.
        start: ``i``, fixed by N.
        radius: 0 or more.

    Returns the smallest and the largest exponent; ``(1, inf)`` where nothing can be said.
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
    """How far the layer's weight may move (Frobenius norm of its matrices) before its exponent must be measured again.

    Within this distance the exponent stays within ``tolerance`` times itself (:func:`hill_interval`), and the filter
    drops the same eigenvalues: by Weyl no singular value moves further than the weight, so none crosses
    ``sqrt(min_eigenvalue)``. The number of eigenvalues, and with it the tail start, is then the same.

    Returns -1, measure always, for a layer without an exponent and where the exponent is not a single Hill fit of the
    layer's own matrices (other tails, ``farms``, ``per_mode``), or is not what rates follow.
    """
    preset = spectrum.preset
    if spectrum.reason or preset.tail != "hill" or preset.metric != "alpha" or len(spectrum.spectra) != 1:
        return -1.0
    values = np.sqrt(np.asarray(spectrum.spectra[0], np.float64))
    largest = float(values[-1])
    if preset.min_eigenvalue is not None:
        edge = float(np.sqrt(preset.min_eigenvalue))
        largest = min(largest, float(np.abs(values - edge).min()))
        values = values[values > edge] if (values > edge).any() else values
    start = int(len(values) / preset.xmin_pos)
    # The centre is the bound's own, so that rounding in `alpha` cannot widen the interval.
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

    Keeps one copy of the layers' weights, those of the last :meth:`track`. The distances between them add up, so a
    layer's state is one number: how far it may still move. Layers with adapters and weights that are sharded over
    processes are always measured.

    Args:
        layers: the layers.
        preset: how they are measured.
        tolerance: how far an exponent may be off, as a share of itself.
    """

    def __init__(self, layers: Sequence[Layer], preset: Preset, tolerance: float) -> None:
        self.layers = layers
        self.preset = preset
        self.tolerance = tolerance
        self._left: dict[str, float] = {}
        self._weights: dict[str, Tensor] = {}

    def track(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the distance that the weights have moved since the last call off what is left."""
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
        """Norm of the layer's matrices over the norm of its weight: a convolution's are scaled by sqrt(0.5)."""
        if layer.kind != "matrix":
            return 1.0
        one = torch.ones([1] * weight.ndim)
        return float(unfold(one, conv1d=self.preset.conv1d).norm())

    def due(self) -> list[Layer]:
        """Layers whose exponents can be off by more than the tolerance."""
        # Written so that a weight that is not finite is due.
        return [layer for layer in self.layers if not self._left.get(layer.name, -1.0) >= 0]

    def measured(self, spectra: Sequence[LayerSpectrum]) -> None:
        """These layers have just been measured, at the weights of the last :meth:`track`."""
        for spectrum in spectra:
            known = spectrum.layer.name in self._weights
            self._left[spectrum.layer.name] = reach(spectrum, self.tolerance) if known else -1.0

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers: how far each layer may still move."""
        return {"left": dict(self._left)}

    def load_state_dict(self, state: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Continue from weights that are those of the moment the state was saved."""
        self._weights.clear()
        self.track(tensors)
        self._left = {name: float(left) for name, left in state.get("left", {}).items()}
