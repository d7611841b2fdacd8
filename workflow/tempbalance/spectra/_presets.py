"""The paper's two sets of options: for language models, and for scientific machine learning."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

from tempbalance.errors import InputError

Conv1d = Literal["matrix", "released"]
Tail = Literal["hill", "xmin_peak", "ks"]


@dataclass(frozen=True)
class Preset:
    """How a model's spectra are measured and which parameters share a rate (paper sections 3.1 and 3.2).

    Attributes:
        xmin_pos: the Hill tail starts at eigenvalue ``int(N / xmin_pos)``.
        min_eigenvalue: eigenvalues at or below it are dropped before the fit, unless that would drop all.
        min_count: a layer with fewer eigenvalues has no exponent and keeps the base rate.
        unit: ``block`` (layers of a transformer block share a rate), ``layer``, or ``layer_in_block`` (the rate of the
            block times a linear map within the block; "layer" in the released NLP code).
        norms: unless the unit is the block, the rate of a block's parameters that belong to no layer (LayerNorm): the
            ``base`` rate, or that of the ``preceding`` layer in the block, as in the released NLP code.
        timing: rates follow the current weights (``fresh``, SciML code), or the exponents from before the last forward
            pass (``lagged``, NLP code), so that the first update is not balanced.
        exclude: layers whose name contains one of these strings keep the base rate and count in no mean.
        conv1d: ``matrix``: a Conv1d is like any convolution; ``released``: :func:`tempbalance.spectra.unfold`.
        transposed: ``matrix`` treats a transposed convolution like any convolution; ``skip`` leaves it out, like the
            released code. A state dict does not show which convolutions are transposed, so there all count.
        spectral: complex weights of spectral convolutions: ``skip`` leaves them out, ``pooled`` pools all modes into
            one spectrum, ``per_mode`` uses the mean of the modes' exponents.
        lora: whether an adapter's product is multiplied by its scale alpha / r.
        tail: how the start of the tail is chosen.
        metric: the value that the schedule maps to a rate. ``farms`` is the exponent of windows of one aspect ratio
            (arXiv 2506.06280); spectra and tables are then those of the windows. ``stable_rank_released`` is the
            released SciML code's: of the whole spectrum at initialisation, of its upper half afterwards.
        metric_scale: how stable rank and spectral norm enter a schedule that is made for exponents. ``alpha`` gives
            them the exponents' mean and standard deviation, and reverses the spectral norm, which is large in a trained
            layer. ``released`` uses them unscaled, like the released code, which saturates the sigmoid.
        farms_ratio: the aspect ratio of ``farms``, longer side over shorter side.
        embeddings: whether embedding tables count as layers.
    """

    name: str
    xmin_pos: float
    min_eigenvalue: float | None
    min_count: int
    unit: Literal["block", "layer", "layer_in_block"]
    timing: Literal["fresh", "lagged"]
    norms: Literal["base", "preceding"] = "base"
    exclude: tuple[str, ...] = ()
    conv1d: Conv1d = "matrix"
    transposed: Literal["matrix", "skip"] = "matrix"
    spectral: Literal["skip", "per_mode", "pooled"] = "skip"
    lora: Literal["scaled", "unscaled"] = "scaled"
    tail: Tail = "hill"
    metric: Literal["alpha", "stable_rank", "stable_rank_released", "spectral_norm", "farms"] = "alpha"
    metric_scale: Literal["alpha", "released"] = "alpha"
    farms_ratio: float = 1.0
    embeddings: bool = False


PRESETS = {
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
    # The released experiments leave out layers with 12 eigenvalues or fewer.
    "sciml": Preset("sciml", xmin_pos=2.0, min_eigenvalue=1e-5, min_count=13, unit="layer", timing="fresh"),
}

#: Option -> its allowed values.
_CHOICES = {name: get_args(kind) for name, kind in get_type_hints(Preset).items() if get_origin(kind) is Literal}


def get_preset(preset: str | Preset, **changes: Any) -> Preset:
    """A preset by name, with some options changed; None means the preset's value.

    Raises InputError for an unknown preset, an unknown option, or an invalid value.
    """
    if isinstance(preset, str):
        if preset not in PRESETS:
            raise InputError(f"preset: {preset!r} is unknown, expected one of {sorted(PRESETS)}")
        preset = PRESETS[preset]
    changes = {key: value for key, value in changes.items() if value is not None}
    options = list(Preset.__dataclass_fields__)
    unknown = sorted(set(changes) - set(options))
    if unknown:
        raise InputError(f"preset option {unknown[0]!r} is unknown, expected one of {options}")
    for key, allowed in _CHOICES.items():
        if key in changes and changes[key] not in allowed:
            raise InputError(f"{key}: {changes[key]!r} is unknown, expected one of {list(allowed)}")
    result = replace(preset, **changes)
    if not result.xmin_pos > 1:
        raise InputError(f"xmin_pos: {result.xmin_pos!r} is out of range, expected a number above 1")
    if not result.farms_ratio >= 1:
        raise InputError(f"farms_ratio: {result.farms_ratio!r} is out of range, expected 1 or more")
    if not result.min_count >= 2:
        raise InputError(f"min_count: {result.min_count!r} is out of range, expected 2 or more")
    return result
