"""Spectra and metrics of all layers of a model or a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tempbalance.errors import InputError
from tempbalance.spectra.eigen import batched_eigenvalues, promoted, unfold
from tempbalance.spectra.farms import farms_windows
from tempbalance.spectra.layers import Layer, find_layers, find_layers_in_state_dict, layer_weight, named_tensors
from tempbalance.spectra.presets import Preset, get_preset
from tempbalance.spectra.tail import TailFit, fit_tail, spectral_norm, stable_rank

if TYPE_CHECKING:
    import pandas as pd

#: Columns of the tables that :func:`layer_metrics` and :func:`state_dict_metrics` return.
COLUMNS = (
    "block", "shape", "n_eigs", "alpha", "ks_distance", "stable_rank", "spectral_norm", "lambda_min", "reason",
)  # fmt: skip


@dataclass(frozen=True)
class LayerSpectrum:
    """A layer's eigenvalues and what is read off them.

    Attributes:
        layer: whose.
        shape: of the weight tensor.
        spectra: ``[spectra, n]`` ascending, none filtered; one row unless ``spectral="per_mode"``. Empty where
            the weight has no spectrum.
        preset: the choices the metrics follow.
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
        if self.preset.min_eigenvalue is None:
            return list(self.spectra)
        kept = [row[row > self.preset.min_eigenvalue] for row in self.spectra]
        return [some if len(some) else row for some, row in zip(kept, self.spectra, strict=True)]

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
        """Why the layer has no exponent, or None where it has one."""
        return self._fits[1]

    @property
    def alpha(self) -> float:
        """The heavy-tail exponent, NaN where there is a :attr:`reason`; a mean over modes for ``per_mode``."""
        fits = self._fits[0]
        return float(np.mean([fit.alpha for fit in fits])) if fits else float("nan")

    def value(self, metric: str) -> float:
        """The number a schedule works on; NaN where the layer is left out."""
        if self.reason is not None:
            return float("nan")
        if metric == "stable_rank":
            return stable_rank(self.eigenvalues)
        if metric == "spectral_norm":
            return spectral_norm(self.eigenvalues)
        return self.alpha

    def row(self) -> dict[str, Any]:
        """The layer's row of the metrics table."""
        fits, reason = self._fits
        values = self.eigenvalues
        usable = len(values) >= 2 and values[-1] > 0
        return {
            "layer": self.layer.name,
            "block": self.layer.block,
            "shape": "x".join(map(str, self.shape)),
            "n_eigs": len(values),
            "alpha": self.alpha,
            "ks_distance": float(np.mean([fit.ks_distance for fit in fits])) if fits else float("nan"),
            "stable_rank": stable_rank(values) if usable else float("nan"),
            "spectral_norm": spectral_norm(values) if usable else float("nan"),
            "lambda_min": float(np.mean([fit.xmin for fit in fits])) if fits else float("nan"),
            "reason": reason,
        }


def _matrices(layer: Layer, weight: Tensor, preset: Preset) -> Tensor:
    """The batch of matrices that a layer's weight stands for."""
    weight = promoted(weight)
    if layer.kind == "matrix":
        return unfold(weight, conv1d=preset.conv1d)
    if not weight.is_complex():  # AFNO: [2, blocks, in, out]
        return torch.complex(weight[0], weight[1])
    # Spectral convolutions: [in, out, *modes], one matrix a mode. Without mode axes it is one matrix.
    return weight.flatten(2).permute(2, 0, 1) if weight.ndim > 2 else weight.unsqueeze(0)


def _problem(matrices: Tensor, preset: Preset) -> str | None:
    if matrices.numel() == 0:
        return "the weight is empty"
    largest = matrices.abs().amax()
    if not torch.isfinite(largest):
        return "the weight holds values that are not finite"
    if largest == 0:
        return "the weight is zero"
    count = len(matrices) * min(matrices.shape[-2:])
    if preset.metric == "farms" and count < preset.min_count:  # its windows would hide how small it is
        return f"{count} eigenvalues, fewer than {preset.min_count}"
    return None


def spectra_of(layers: Sequence[Layer], tensors: Mapping[str, Tensor], preset: Preset) -> list[LayerSpectrum]:
    """Spectra of layers whose tensors are given by name; one batched solve, one copy of the results to the host."""
    found: list[tuple[Layer, tuple[int, ...], Tensor, str | None]] = []
    with torch.no_grad():
        for layer in layers:
            weight = layer_weight(layer, tensors)
            matrices = _matrices(layer, weight, preset)
            problem = _problem(matrices, preset)
            if preset.metric == "farms" and problem is None:
                matrices = farms_windows(matrices, aspect_ratio=preset.farms_ratio)
            found.append((layer, tuple(weight.shape), matrices, problem))
        good = [matrices for _, _, matrices, problem in found if problem is None]
        solved = iter(batched_eigenvalues(good, min_eigenvalue=preset.min_eigenvalue))
        results = []
        for layer, shape, _, problem in found:
            spectra = np.zeros((1, 0)) if problem is not None else next(solved).cpu().numpy()
            if not (layer.kind == "spectral" and preset.spectral == "per_mode"):
                spectra = np.sort(spectra, axis=None)[None]
            results.append(LayerSpectrum(layer, shape, spectra, preset, problem))
    return results


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
    """One row a layer, indexed by layer name."""
    import pandas as pd  # half a second that a training job, which makes no table, need not wait for

    table = pd.DataFrame([spectrum.row() for spectrum in spectra], columns=["layer", *COLUMNS])
    return table.set_index("layer")


def eigenvalues_by_layer(spectra: Sequence[LayerSpectrum]) -> dict[str, NDArray[np.floating]]:
    """Layer name -> eigenvalues ``[N]`` ascending, of the layers that have a spectrum."""
    return {spectrum.layer.name: spectrum.eigenvalues for spectrum in spectra if spectrum.spectra.size}


def layer_metrics(model: nn.Module, *, preset: str | Preset = "sciml", **changes: Any) -> pd.DataFrame:
    """Metrics of every layer of a model.

    Args:
        model: any torch model; DDP and torch.compile wrappers are looked through.
        preset: ``"nlp"`` or ``"sciml"`` (:class:`Preset`), with single options changed by keyword
            (``xmin_pos=1.5``, ``tail="ks"``, ``conv1d="released"``, ``min_count=2``, ...).

    Returns a table indexed by layer name: block, shape, n_eigs, alpha, ks_distance, stable_rank,
    spectral_norm, lambda_min (the eigenvalue where the tail starts) and reason (why alpha is NaN, else missing).

    Raises InputError for unknown options and weights that cannot be read.
    """
    return metrics_table(layer_spectra(model, preset=preset, **changes))


def state_dict_metrics(
    tensors: Mapping[str, Tensor], *, preset: str | Preset = "sciml", lora_scale: float = 1.0, **changes: Any
) -> pd.DataFrame:
    """:func:`layer_metrics` of a plain ``{name: tensor}``, such as a loaded checkpoint."""
    return metrics_table(state_dict_spectra(tensors, preset=preset, lora_scale=lora_scale, **changes))
