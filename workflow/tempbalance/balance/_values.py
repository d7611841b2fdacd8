"""The value of each layer that a schedule maps to a rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tempbalance.spectra._metrics import LayerSpectrum
from tempbalance.spectra._presets import Preset


def metric_values(spectra: Sequence[LayerSpectrum], preset: Preset) -> NDArray[np.float64]:
    """``[L]`` values of layers that have an exponent, by ``preset.metric`` and ``preset.metric_scale``.

    Schedules and tau are made for exponents. Stable ranks and spectral norms have other magnitudes, so they are scaled
    to the exponents' mean and standard deviation, except with ``metric_scale="released"``.
    """
    raw = np.array([spectrum.value(preset.metric) for spectrum in spectra], dtype=np.float64)
    if preset.metric in ("alpha", "farms") or preset.metric_scale == "released" or not len(raw):
        return raw
    alphas = np.array([spectrum.alpha for spectrum in spectra])
    # A less trained layer has a larger stable rank, like its exponent, but a smaller norm.
    sign = -1.0 if preset.metric == "spectral_norm" else 1.0
    spread = raw.std()
    centred = np.zeros_like(raw) if spread == 0 else sign * (raw - raw.mean()) / spread
    return np.maximum(alphas.mean() + alphas.std() * centred, 1.0)  # like exponents; log2 needs this


def at_start(preset: Preset) -> Preset:
    """The preset for the first measurement, for which the released stable rank uses the whole spectrum."""
    return replace(preset, metric="stable_rank") if preset.metric == "stable_rank_released" else preset
