"""The paper's two sets of options: one for language models, one for scientific machine learning."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from tempbalance.errors import InputError

Conv1d = Literal["matrix", "released"]
Transposed = Literal["matrix", "skip"]
Spectral = Literal["skip", "per_mode", "pooled"]
Lora = Literal["scaled", "unscaled"]
Unit = Literal["block", "layer", "layer_in_block"]
Norms = Literal["base", "preceding"]
Timing = Literal["fresh", "lagged"]
Metric = Literal["alpha", "stable_rank", "stable_rank_released", "spectral_norm", "farms"]
MetricScale = Literal["alpha", "released"]
Tail = Literal["hill", "xmin_peak", "ks"]


@dataclass(frozen=True)
class Preset:
    """How a model's spectra are measured and which parameters share a rate (paper sections 3.1 and 3.2).

    Attributes:
        name: name of the preset.
        xmin_pos: the Hill tail starts at eigenvalue ``int(N / xmin_pos)``.
        min_eigenvalue: eigenvalues at or below it are dropped before the fit, unless none would be left.
        min_count: a layer with fewer eigenvalues has no exponent and keeps the base rate.
        unit: ``block`` (layers of a transformer block share a rate), ``layer``, or ``layer_in_block`` (the
            block's rate times a linear map within the block, the released NLP code's "layer").
        norms: the rate of a block's parameters that belong to no layer (LayerNorm) where the unit is not the block:
            the ``base`` rate, or that of the ``preceding`` layer in the block, as in the released NLP code.
        timing: ``fresh``: rates follow the present weights, and the first update is balanced (SciML code).
            ``lagged``: rates follow the exponents from before the last forward pass, so the first update is
            unbalanced (NLP code).
        exclude: layers whose name contains one of these keep the base rate and do not enter the mean exponent.
        conv1d: ``matrix`` treats a Conv1d like any convolution; ``released`` repeats the released code's quirk.
        transposed: ``matrix`` treats a transposed convolution like any convolution; ``skip`` leaves it out, like the
            released code. A state dict does not tell them from other convolutions, so there they always count.
        spectral: complex spectral-convolution weights: ``skip`` leaves them out, ``pooled`` pools the eigenvalues of
            all modes into one spectrum, ``per_mode`` takes the mean of the modes' exponents.
        lora: whether an adapter's product is multiplied by its scale alpha / r.
        tail: how the tail start is chosen.
        metric: the number that the schedule maps to a rate. ``farms`` is the exponent of sub-matrices of one aspect
            ratio (arXiv 2506.06280); spectra and tables are then of the sub-matrices too. ``stable_rank_released`` is
            the released SciML code's: over the whole spectrum at initialisation, over its upper half afterwards.
        metric_scale: how stable rank and spectral norm enter a schedule made for exponents. ``alpha`` gives them the
            exponents' mean and standard deviation, and reverses the spectral norm, which is large in a trained
            layer. ``released`` uses them unscaled, like the released code, which saturates the sigmoid.
        farms_ratio: the aspect ratio of ``farms``, longer over shorter side.
        embeddings: whether embedding tables count as layers.
    """

    name: str
    xmin_pos: float
    min_eigenvalue: float | None
    min_count: int
    unit: Unit
    timing: Timing
    norms: Norms = "base"
    exclude: tuple[str, ...] = ()
    conv1d: Conv1d = "matrix"
    transposed: Transposed = "matrix"
    spectral: Spectral = "skip"
    lora: Lora = "scaled"
    tail: Tail = "hill"
    metric: Metric = "alpha"
    metric_scale: MetricScale = "alpha"
    farms_ratio: float = 1.0
    embeddings: bool = False


PRESETS = {
    # Fewer than 50 eigenvalues are skipped; nothing is filtered.
    "nlp": Preset(
        "nlp",
        xmin_pos=1.5,
        min_eigenvalue=None,
        min_count=50,
        unit="block",
        timing="lagged",
        norms="preceding",
        exclude=("pooler", "classifier", "lm_head"),
    ),
    # The released experiment list drops layers of 12 eigenvalues or fewer.
    "sciml": Preset("sciml", xmin_pos=2.0, min_eigenvalue=1e-5, min_count=13, unit="layer", timing="fresh"),
}

_CHOICES: dict[str, tuple[str, ...]] = {
    "unit": ("block", "layer", "layer_in_block"),
    "norms": ("base", "preceding"),
    "timing": ("fresh", "lagged"),
    "conv1d": ("matrix", "released"),
    "transposed": ("matrix", "skip"),
    "spectral": ("skip", "per_mode", "pooled"),
    "lora": ("scaled", "unscaled"),
    "tail": ("hill", "xmin_peak", "ks"),
    "metric_scale": ("alpha", "released"),
    "metric": ("alpha", "stable_rank", "stable_rank_released", "spectral_norm", "farms"),
}


def get_preset(preset: str | Preset, **changes: Any) -> Preset:
    """A preset by name, with some options changed; None keeps the preset's value.

    Raises InputError for an unknown preset, an unknown option or an invalid value.
    """
    if isinstance(preset, str):
        if preset not in PRESETS:
            raise InputError(f"preset: {preset!r} is unknown, expected one of {sorted(PRESETS)}")
        preset = PRESETS[preset]
    changes = {key: value for key, value in changes.items() if value is not None}
    unknown = sorted(set(changes) - set(Preset.__dataclass_fields__))
    if unknown:
        raise InputError(
            f"preset option {unknown[0]!r} is unknown, expected one of {list(Preset.__dataclass_fields__)}"
        )
    for key, allowed in _CHOICES.items():
        if key in changes and changes[key] not in allowed:
            raise InputError(f"{key}: {changes[key]!r} is unknown, expected one of {list(allowed)}")
    result = replace(preset, **changes)
    if not result.xmin_pos > 1:
        raise InputError(f"xmin_pos: {result.xmin_pos!r} is out of range, expected a number above 1")
    if not result.farms_ratio >= 1:
        raise InputError(f"farms_ratio: {result.farms_ratio!r} is out of range, expected 1 or more")
    if not result.min_count >= 2:
        raise InputError(
            f"min_count: {result.min_count!r} is out of range, expected 2 or more (a tail needs two points)"
        )
    return result
