"""Eigenvalues and heavy-tail exponents of a matrix, a model or a checkpoint."""

from tempbalance.spectra._eigen import batched_eigenvalues, esd, unfold
from tempbalance.spectra._layers import Layer, find_layers, find_layers_in_state_dict
from tempbalance.spectra._metrics import (
    LayerSpectrum,
    eigenvalues_by_layer,
    layer_metrics,
    layer_spectra,
    state_dict_metrics,
    state_dict_spectra,
)
from tempbalance.spectra._presets import PRESETS, Preset, get_preset
from tempbalance.spectra._tail import (
    TailFit,
    alpha_ks_search,
    alpha_xmin_peak,
    fit_tail,
    ks_distance,
    pl_alpha_hill,
    spectral_norm,
    stable_rank,
)

__all__ = [
    "PRESETS",
    "Layer",
    "LayerSpectrum",
    "Preset",
    "TailFit",
    "alpha_ks_search",
    "alpha_xmin_peak",
    "batched_eigenvalues",
    "eigenvalues_by_layer",
    "esd",
    "find_layers",
    "find_layers_in_state_dict",
    "fit_tail",
    "get_preset",
    "ks_distance",
    "layer_metrics",
    "layer_spectra",
    "pl_alpha_hill",
    "spectral_norm",
    "stable_rank",
    "state_dict_metrics",
    "state_dict_spectra",
    "unfold",
]
