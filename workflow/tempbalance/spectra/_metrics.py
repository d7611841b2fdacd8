"""Spectra and metrics of all layers of a model or a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tempbalance.errors import InputError
from tempbalance.spectra._eigen import batched_eigenvalues, drop_small, farms_windows, in_groups, promoted, unfold
from tempbalance.spectra._layers import Layer, find_layers, find_layers_in_state_dict, layer_weight, named_tensors
from tempbalance.spectra._presets import Preset, get_preset
from tempbalance.spectra._tail import TailFit, fit_tail, spectral_norm, stable_rank

if TYPE_CHECKING:
    import pandas as pd

#: Layers are measured together up to this many values (256 MB in float32).
PORTION = 2**26
#: Columns of the tables that :func:`layer_metrics` and :func:`state_dict_metrics` return.
COLUMNS = (
    "block", "shape", "n_eigs", "alpha", "ks_distance", "stable_rank", "spectral_norm", "lambda_min", "reason",
)  # fmt: skip


@dataclass(frozen=True)
class LayerSpectrum:
    """A layer's eigenvalues and their metrics.

    Attributes:
        layer: the layer.
        shape: shape of its weight.
        spectra: ``[spectra, n]`` ascending, unfiltered; one row unless ``spectral="per_mode"``; empty without one.
        preset: options of the metrics.
        problem: why there is no spectrum, or None.
    """

    layer: Layer
    shape: tuple[int, ...]
    spectra: NDArray[np.floating]
    preset: Preset
    problem: str | None = None

    @property
    def eigenvalues(self) -> NDArray[np.floating]:
        """``[N]`` ascending: all the layer's eigenvalues."""
        return np.sort(self.spectra, axis=None)

    def _filtered(self) -> list[NDArray[np.floating]]:
        return [drop_small(row, self.preset.min_eigenvalue) for row in self.spectra]

    @cached_property
    def _fits(self) -> tuple[list[TailFit], str | None]:
        if self.problem is not None:
            return [], self.problem
        rows = self._filtered()
        count = min(len(row) for row in rows)
        if count < self.preset.min_count:
            return [], f"{count} eigenvalues, fewer than {self.preset.min_count}"
        try:
            return [fit_tail(row, tail=self.preset.tail, xmin_pos=self.preset.xmin_pos) for row in rows], None
        except InputError as error:
            return [], str(error)

    @property
    def reason(self) -> str | None:
        """Why the layer has no exponent; None if it has one."""
        return self._fits[1]

    @property
    def alpha(self) -> float:
        """The heavy-tail exponent (for ``per_mode`` the mean over modes); NaN if it has none (:attr:`reason`)."""
        return self._mean("alpha")

    def _mean(self, name: str) -> float:
        """Mean over the fits; NaN without one."""
        fits = self._fits[0]
        return float(np.mean([getattr(fit, name) for fit in fits])) if fits else float("nan")

    def value(self, metric: str) -> float:
        """The value that a schedule maps to a rate; NaN for a layer without an exponent."""
        if self.reason is not None:
            return float("nan")
        if metric == "stable_rank":
            return stable_rank(self.eigenvalues)
        if metric == "stable_rank_released":
            filtered = np.sort(np.concatenate(self._filtered()))
            return stable_rank(filtered[len(filtered) // 2 :])
        if metric == "spectral_norm":
            return spectral_norm(self.eigenvalues)
        return self.alpha

    def row(self) -> dict[str, Any]:
        """The layer's row of the metrics table."""
        values = self.eigenvalues
        usable = len(values) >= 2 and values[-1] > 0
        return {
            "layer": self.layer.name,
            "block": self.layer.block,
            "shape": "x".join(map(str, self.shape)),
            "n_eigs": len(values),
            "alpha": self.alpha,
            "ks_distance": self._mean("ks_distance"),
            "stable_rank": stable_rank(values) if usable else float("nan"),
            "spectral_norm": spectral_norm(values) if usable else float("nan"),
            "lambda_min": self._mean("xmin"),
            "reason": self.reason,
        }


def _matrices(layer: Layer, weight: Tensor, preset: Preset) -> Tensor:
    """A layer's weight as a batch of matrices."""
    weight = promoted(weight)
    if layer.kind == "matrix":
        return unfold(weight, conv1d=preset.conv1d)
    if not weight.is_complex():  # AFNO: [2, blocks, in, out]
        return torch.complex(weight[0], weight[1])
    # Spectral convolution: [in, out, *modes], one matrix per mode.
    return weight.flatten(2).permute(2, 0, 1) if weight.ndim > 2 else weight.unsqueeze(0)


def _problem(matrices: Tensor, largest: float, preset: Preset) -> str | None:
    """Why there is no spectrum, given the largest absolute value."""
    if not np.isfinite(largest):
        return "the weight has values that are not finite"
    if largest == 0:
        return "the weight is zero or empty"
    count = len(matrices) * min(matrices.shape[-2:])
    if preset.metric == "farms" and count < preset.min_count:  # its overlapping windows have more eigenvalues
        return f"{count} eigenvalues, fewer than {preset.min_count}"
    return None


def _to_host(tensors: Sequence[Tensor]) -> list[NDArray[np.floating]]:
    """Tensors as arrays, with one copy per device and type, because every copy from a GPU synchronises."""
    flat = in_groups([tensor.flatten() for tensor in tensors], lambda part: (part.device, part.dtype), Tensor.cpu)
    return [part.view(tensor.shape).numpy() for part, tensor in zip(flat, tensors, strict=True)]


def _portions(layers: Sequence[Layer], tensors: Mapping[str, Tensor]) -> Iterator[Sequence[Layer]]:
    """Groups of consecutive layers with at most :data:`PORTION` values in all; a larger layer is a group of its own."""
    first = size = 0
    for index, layer in enumerate(layers):
        own = tensors[layer.weight].numel() if layer.weight is not None else 0
        if index > first and size + own > PORTION:
            yield layers[first:index]
            first, size = index, 0
        size += own
    yield layers[first:]


@torch.no_grad()
def spectra_of(layers: Sequence[Layer], tensors: Mapping[str, Tensor], preset: Preset) -> list[LayerSpectrum]:
    """Spectra of layers, solved in portions, so that their weights are not all gathered and copied at once."""
    return [spectrum for some in _portions(layers, tensors) for spectrum in _portion_spectra(some, tensors, preset)]


def _portion_spectra(layers: Sequence[Layer], tensors: Mapping[str, Tensor], preset: Preset) -> Iterator[LayerSpectrum]:
    weights = [layer_weight(layer, tensors) for layer in layers]
    matrices = [_matrices(layer, weight, preset) for layer, weight in zip(layers, weights, strict=True)]
    largest = _to_host([m.abs().amax() if m.numel() else m.new_zeros((), dtype=torch.float32) for m in matrices])
    problems = [_problem(m, float(value), preset) for m, value in zip(matrices, largest, strict=True)]
    good = [m for m, problem in zip(matrices, problems, strict=True) if problem is None]
    if preset.metric == "farms":
        good = [farms_windows(m, aspect_ratio=preset.farms_ratio) for m in good]
    solved = iter(_to_host(batched_eigenvalues(good, min_eigenvalue=preset.min_eigenvalue)))
    for layer, weight, problem in zip(layers, weights, problems, strict=True):
        spectra = np.zeros((1, 0)) if problem is not None else next(solved)
        if not (layer.kind == "spectral" and preset.spectral == "per_mode"):
            spectra = np.sort(spectra, axis=None)[None]
        yield LayerSpectrum(layer, tuple(weight.shape), spectra, preset, problem)


def layer_spectra(model: nn.Module, *, preset: str | Preset = "sciml", **changes: Any) -> list[LayerSpectrum]:
    """Spectra of all layers of a model; ``changes`` are options of :class:`Preset`."""
    choices = get_preset(preset, **changes)
    return spectra_of(find_layers(model, choices), named_tensors(model), choices)


def state_dict_spectra(
    tensors: Mapping[str, Tensor], *, preset: str | Preset = "sciml", lora_scale: float = 1.0, **changes: Any
) -> list[LayerSpectrum]:
    """Spectra of all layers of a plain ``{name: tensor}``."""
    choices = get_preset(preset, **changes)
    return spectra_of(find_layers_in_state_dict(tensors, choices, lora_scale=lora_scale), tensors, choices)


def metrics_table(spectra: Sequence[LayerSpectrum]) -> pd.DataFrame:
    """One row per layer, indexed by layer name."""
    import pandas as pd  # takes half a second to import, and training needs no table

    table = pd.DataFrame([spectrum.row() for spectrum in spectra], columns=["layer", *COLUMNS])
    return table.set_index("layer")


def eigenvalues_by_layer(spectra: Sequence[LayerSpectrum]) -> dict[str, NDArray[np.floating]]:
    """Layer name -> eigenvalues ``[N]`` ascending, of the layers that have a spectrum."""
    return {spectrum.layer.name: spectrum.eigenvalues for spectrum in spectra if spectrum.spectra.size}


def layer_metrics(model: nn.Module, *, preset: str | Preset = "sciml", **changes: Any) -> pd.DataFrame:
    """Metrics of every layer of a model.

    Args:
        model: any torch model; it may be wrapped by DDP or torch.compile.
        preset: ``"nlp"`` or ``"sciml"``; keywords change its options (:class:`Preset`), such as ``xmin_pos=1.5``.

    Returns a table indexed by layer name, with columns block, shape, n_eigs, alpha, ks_distance, stable_rank,
    spectral_norm, lambda_min (the eigenvalue where the tail starts) and reason (why alpha is NaN, otherwise missing).

    Raises InputError for unknown options and for weights that cannot be read.

    Examples:
        >>> from torch import nn
        >>> from tempbalance import layer_metrics
        >>> model = nn.Sequential(nn.Linear(64, 96), nn.GELU(), nn.Linear(96, 3))
        >>> table = layer_metrics(model, preset="sciml")
        >>> table.shape  # one row per layer, one column per metric
        (2, 9)
        >>> table["n_eigs"].to_dict()
        {'0': 64, '2': 3}
        >>> table.loc["2", "reason"]
        '3 eigenvalues, fewer than 13'
    """
    return metrics_table(layer_spectra(model, preset=preset, **changes))


def state_dict_metrics(
    tensors: Mapping[str, Tensor], *, preset: str | Preset = "sciml", lora_scale: float = 1.0, **changes: Any
) -> pd.DataFrame:
    """:func:`layer_metrics` of a plain ``{name: tensor}``, such as a loaded checkpoint."""
    return metrics_table(state_dict_spectra(tensors, preset=preset, lora_scale=lora_scale, **changes))
