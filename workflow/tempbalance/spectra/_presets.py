"""The two sets of choices the paper makes: one for language models, one for scientific machine learning."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from tempbalance.errors import InputError

Conv1d = Literal["matrix", "released"]
Spectral = Literal["skip", "per_mode", "pooled"]
Lora = Literal["scaled", "unscaled"]
Unit = Literal["block", "layer", "layer_in_block"]
Timing = Literal["fresh", "lagged"]
Metric = Literal["alpha", "stable_rank", "spectral_norm", "farms"]
MetricScale = Literal["alpha", "released"]
Tail = Literal["hill", "xmin_peak", "ks"]


@dataclass(frozen=True)
class Preset:
    """How spectra are read off a model and which parameters share a rate (method sections 2, 3 and 4).

    Attributes:
        name: what the preset is called.
        xmin_pos: the Hill tail starts at eigenvalue ``int(N / xmin_pos)``.
        min_eigenvalue: eigenvalues at or below it are dropped before the fit (all stay where none is left).
        min_count: a layer with fewer eigenvalues is reported without an exponent and keeps the base rate.
        unit: ``block`` (layers of a transformer block share a rate), ``layer``, or ``layer_in_block`` (the
            block's rate times a linear map within the block, the released NLP code's "layer").
        timing: ``fresh``: rates follow the weights as they are, the first update is balanced already (SciML
            code). ``lagged``: rates follow exponents taken before the last forward pass, so the first update
            is unbalanced (NLP code).
        exclude: layers whose name holds one of these keep the base rate and do not count towards the mean.
        conv1d: ``matrix`` reads a Conv1d as any convolution; ``released`` repeats the released code's quirk.
        spectral: what to do with complex spectral-convolution weights: ``skip``, one spectrum a mode pooled
            (``per_mode``), or all modes unfolded into one matrix (``pooled``).
        lora: whether an adapter's product carries its alpha/r scale.
        tail: how the tail start is chosen.
        metric: the number that the schedule works on; ``farms`` is the exponent of sub-matrices of one aspect
            ratio (arXiv 2506.06280), and makes spectra and tables theirs.
        metric_scale: how stable rank and spectral norm enter a schedule made for exponents: ``alpha`` gives them the
            exponents' mean and spread, and turns the spectral norm around (a large one is a trained layer);
            ``released`` takes them as they are, like the released code, which saturates the sigmoid.
        farms_ratio: that aspect ratio, longer over shorter side.
        embeddings: whether embedding tables count as layers.
    """

    name: str
    xmin_pos: float
    min_eigenvalue: float | None
    min_count: int
    unit: Unit
    timing: Timing
    exclude: tuple[str, ...] = ()
    conv1d: Conv1d = "matrix"
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
        exclude=("pooler", "classifier", "lm_head"),
    ),
    # The released experiment list drops layers of 12 eigenvalues or fewer.
    "sciml": Preset("sciml", xmin_pos=2.0, min_eigenvalue=1e-5, min_count=13, unit="layer", timing="fresh"),
}

_CHOICES: dict[str, tuple[str, ...]] = {
    "unit": ("block", "layer", "layer_in_block"),
    "timing": ("fresh", "lagged"),
    "conv1d": ("matrix", "released"),
    "spectral": ("skip", "per_mode", "pooled"),
    "lora": ("scaled", "unscaled"),
    "tail": ("hill", "xmin_peak", "ks"),
    "metric_scale": ("alpha", "released"),
    "metric": ("alpha", "stable_rank", "spectral_norm", "farms"),
}


def get_preset(preset: str | Preset, **changes: Any) -> Preset:
    """A preset by name, with some of its choices changed; a change of None keeps the preset's choice.

    Raises InputError for an unknown preset, an unknown option or a value that an option does not take.
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
