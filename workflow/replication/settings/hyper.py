"""Hyper-parameters and method options of both families: what is valid, and how a run's are resolved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from replication.settings.checks import UNIQUE, Model, Name, Options, Seed, Text, validate

Strength = Annotated[float, Field(ge=0, le=10)]
Positive = Annotated[int, Field(ge=1)]
Texts = Annotated[tuple[Text, ...], *UNIQUE]
Schedule = Literal["sigmoid", "linear", "sqrt", "log2", "exp", "rank", "fixed"]
Metric = Literal["alpha", "stable_rank", "stable_rank_released", "spectral_norm", "farms"]
_MEASURED = "between measurements of the exponents; null: measured at the start only"
#: What a catalogue entry has besides the options that affect numbers.
LABELS = ("family", "title", "published_as")
#: Hyper-parameters that affect no number.
UNSEEN = ("checkpoint_every_s", "threads")
#: Hyper-parameters added later: at their default they are not part of a run's id, so that earlier runs keep theirs.
LATER = {"loss": "mse", "noise": 0.0, "scheduler": "step"}


class Hyper(Model):
    """Hyper-parameters of both families, and those that override options of the method (null: the method's value)."""

    epochs: int = Field(ge=1, le=100_000, description="passes over the subset")
    batch_size: int = Field(ge=1, le=1_000_000, description="rows or samples per forward pass")
    lr: float = Field(gt=0, description="base learning rate")
    evaluate_test_every: int = Field(
        0, ge=0, description="epochs between evaluations on the test set (released protocol); 0: none"
    )
    checkpoint_every_s: float = Field(
        60.0, ge=0, description="seconds between checkpoints, which are saved at the end of an epoch"
    )
    s: Strength | None = Field(None, description="TempBalance: sets both `s_min` and `s_max`")
    s_min: Strength | None = Field(None, description="TempBalance: overrides the method's `s_min`")
    s_max: Strength | None = Field(None, description="TempBalance: overrides the method's `s_max`")
    tau: float | None = Field(None, gt=0, description="TempBalance: overrides the method's `tau`")
    min_ratio: float | None = Field(None, ge=0, description="TempBalance: overrides the method's `min_ratio`")
    slope: float | None = Field(None, ge=0, description="TempBalance: overrides the method's `slope`")
    every: int | None = Field(None, ge=1, description="TempBalance: overrides the method's `every`")
    xmin_pos: float | None = Field(None, gt=1, description="TempBalance: overrides the method's `xmin_pos`")


class NlpHyper(Hyper):
    """Hyper-parameters of fine-tuning; defaults are the paper's (appendix D.1) where it gives one."""

    weight_decay: float = Field(0.1, ge=0, le=1000, description="decoupled; none on biases and LayerNorm")
    warmup_ratio: float = Field(0.06, ge=0, description="share of the steps with warmup; 1 or more: number of steps")
    scheduler: Text = Field("linear", description="learning rate schedule after warmup, as transformers names it")
    max_grad_norm: float = Field(1.0, ge=0, description="gradients are clipped to this norm")
    gradient_accumulation: int = Field(1, ge=1, description="forward passes per step")
    gradient_checkpointing: bool = Field(False, description="recompute activations to save memory")
    precision: Literal["fp32", "bf16", "fp16"] = Field("fp32", description="bf16 and fp16: mixed precision")
    group_by_length: bool = Field(False, description="batch rows of similar length (the released code does not)")
    eval_batch_size: int = Field(32, ge=1, description="rows per forward pass in evaluation")
    test_final_epoch: bool = Field(
        True, description="false: evaluate the test set with the chosen epoch's weights only, not with the final ones"
    )
    threads: int = Field(1, ge=1, le=1024, description="CPU threads")
    rho: float | None = Field(None, gt=0, description="SAM: overrides the method's `rho`")
    layer_decay: float | None = Field(None, gt=0, le=1, description="overrides the method's `layer_decay`")


class OperatorHyper(Hyper):
    """Hyper-parameters of an operator's training; defaults are the paper's where it gives one."""

    weight_decay: float = Field(0.0, ge=0, le=1000, description="L2 term added to the gradient (Adam's weight decay)")
    step_size: int = Field(100, ge=1, description="epochs between reductions of the learning rate")
    gamma: float = Field(0.5, gt=0, le=1, description="factor of a reduction")
    initial_steps: int = Field(10, ge=1, description="initial steps of a flow that the model gets")
    unroll_frames: int = Field(0, ge=0, description="number of last rollout steps with a gradient; 0: all of them")
    standardise: bool = Field(
        False, description="scale channels to mean 0 and standard deviation 1, both of the *training* samples"
    )
    evaluate_every: int = Field(1, ge=1, description="epochs between evaluations on the validation set")
    eval_batch_size: int = Field(50, ge=1, description="samples per forward pass in evaluation")
    complex_second_moment: Literal["split", "joint"] = Field(
        "split",
        description="Adam's second moment of complex weights. split: separate for real and imaginary parts; joint: "
        "as in the released code",
    )
    precision: Literal["fp32", "tf32", "bf16"] = Field("fp32", description="tf32: on a GPU; bf16: autocast")
    compile: bool = Field(False, description="use torch.compile")
    loss: Literal["mse", "relative"] = Field("mse", description="relative: relative L2 per frame and channel (DPOT's)")
    noise: float = Field(
        0.0, ge=0, le=1, description="noise on the initial steps, as a share of a channel's standard deviation"
    )
    scheduler: Literal["step", "one-cycle"] = Field(
        "step", description="one-cycle: the learning rate rises and falls once, changing after each epoch"
    )


class Balance(Model):
    """TempBalance's options. Those without a default keep the preset's choice (:class:`tempbalance.spectra.Preset`).

    A schedule reads only its own parameters: sigmoid and fixed read ``s_min``, ``s_max`` and ``tau``; exp reads the
    first two; linear and rank read ``min_ratio`` and ``slope``.
    """

    schedule: Schedule = Field("sigmoid", description="fixed: sigmoid with the exponents at initialisation")
    s_min: Strength = Field(1.0, description="strength below the mean exponent")
    s_max: Strength = Field(1.0, description="strength above the mean exponent")
    tau: float = Field(10.0, gt=0, description="steepness of the sigmoid")
    min_ratio: float = Field(0.5, ge=0, description="smallest factor of the linear and rank maps")
    slope: float = Field(1.0, ge=0, description="range of the factors of these maps")
    scheduled: Literal["lr", "weight_decay", "both"] = Field("lr", description="what is scaled")
    normalize: bool = Field(False, description="scale the factors to mean 1")
    tolerance: float = Field(
        0.0, ge=0, lt=1, description="relative change of an exponent below which a layer is not measured; 0: always"
    )
    preset: Literal["nlp", "sciml"] | None = Field(None, description="null: the family's preset")
    unit: Literal["block", "layer", "layer_in_block"] | None = Field(None, description="which layers share a rate")
    norms: Literal["base", "preceding"] | None = Field(None, description="rate of LayerNorm where the unit is a layer")
    metric: Metric | None = Field(None, description="layer metric that the schedule maps to a rate")
    metric_scale: Literal["alpha", "released"] | None = Field(
        None, description="scale of other metrics than alpha in the schedule"
    )
    xmin_pos: float | None = Field(None, gt=1, description="the Hill tail starts at eigenvalue int(N / xmin_pos)")
    min_eigenvalue: float | None = Field(None, ge=0, description="eigenvalues at or below it are dropped")
    min_count: int | None = Field(None, ge=2, description="layers with fewer eigenvalues keep the base rate")
    timing: Literal["fresh", "lagged"] | None = Field(
        None, description="lagged: rates follow the exponents from before the last forward pass"
    )
    exclude: Texts | None = Field(None, description="layers whose name contains one of these keep the base rate")
    conv1d: Literal["matrix", "released"] | None = Field(None, description="how Conv1d weights are measured")
    transposed: Literal["matrix", "skip"] | None = Field(None, description="whether transposed convolutions count")
    spectral: Literal["skip", "per_mode", "pooled"] | None = Field(
        None, description="how spectral weights are measured"
    )
    lora: Literal["scaled", "unscaled"] | None = Field(
        None, description="whether adapters are measured with their scale alpha / r"
    )
    tail: Literal["hill", "xmin_peak", "ks"] | None = Field(None, description="how the tail start is chosen")
    farms_ratio: float | None = Field(None, ge=1, description="aspect ratio of FARMS' sub-matrices")
    embeddings: bool | None = Field(None, description="whether embedding tables count as layers")


class NlpBalance(Balance):
    """TempBalance in the transformers Trainer."""

    every: Positive | Literal["auto"] | None = Field("auto", description=f"steps {_MEASURED}; auto: as released")


class OperatorBalance(Balance):
    """TempBalance in an operator's training."""

    every: Positive | None = Field(1, description=f"epochs {_MEASURED}")


class Lora(Model):
    """Low-rank adapters through peft."""

    r: int = Field(8, ge=1, description="rank")
    alpha: float = Field(16, gt=0, description="the adapter's scale is alpha / r")
    dropout: float = Field(0.05, ge=0, lt=1, description="dropout before the adapter")
    targets: Texts | None = Field(None, description="names of adapted modules; null: peft's default")


class NlpMethod(Model):
    """How a language model is fine-tuned."""

    optimizer: Literal["adamw", "adafactor", "sam"] = Field("adamw", description="sam steps with AdamW")
    rho: float = Field(0.05, gt=0, description="radius of SAM")
    adaptive: bool = Field(False, description="adaptive SAM, as in the released code")
    lora: Lora | None = Field(None, description="low-rank adapters; null: full fine-tuning")
    layer_decay: float | None = Field(
        None, gt=0, le=1, description="layer-wise decay: factor on the rate from block to block, from the head down"
    )
    balance: NlpBalance | None = Field(None, description="TempBalance's options; null: no balancing")


class OperatorMethod(Model):
    """How an operator is trained."""

    optimizer: Literal["adam", "none"] = Field("adam", description="Adam with coupled L2; none: zero-shot, rate 0")
    start: Literal["weights", "random"] = Field(
        "weights", description="weights: from the model's pretrained weights, if it has any; random: from scratch"
    )
    balance: OperatorBalance | None = Field(None, description="TempBalance's options; null: no balancing")


class Pretraining(Model):
    """How an operator is pretrained: the option ``pretrain`` of a model."""

    dataset: Name = Field(description="data set of the catalogue; its whole training pool is used")
    seed: Seed = Field(0, description="decides initial weights, order of samples and noise")
    hyper: OperatorHyper = Field(description="hyper-parameters, as in an experiment")


HYPER: dict[str, type[Hyper]] = {"nlp": NlpHyper, "sciml": OperatorHyper}
METHOD: dict[str, type[Model]] = {"nlp": NlpMethod, "sciml": OperatorMethod}
_OF_SIGMOID, _OF_MAPS = ("s_min", "s_max", "tau"), ("min_ratio", "slope")
_OF_SCHEDULE = {
    "sigmoid": _OF_SIGMOID, "fixed": _OF_SIGMOID, "exp": ("s_min", "s_max"), "linear": _OF_MAPS, "rank": _OF_MAPS,
}  # fmt: skip
# Hyper-parameters that override an option of TempBalance, and those that override another option of a method.
_BALANCE_KEYS = ("s", *_OF_SIGMOID, *_OF_MAPS, "every", "xmin_pos")
_METHOD_KEYS = ("rho", "layer_decay")


def parse_hyper(family: str, values: Mapping[str, Any]) -> Any:
    """The hyper-parameters of a run, an :class:`NlpHyper` or :class:`OperatorHyper`.

    Raises ConfigError naming the key, the value and what was expected.
    """
    return validate(HYPER[family], values, "hyper-parameters")


def _overriding(hyper: Hyper, keys: Sequence[str]) -> Options:
    given = {key: value for key in keys if (value := getattr(hyper, key, None)) is not None}
    s = given.pop("s", None)
    return given if s is None else {"s_min": s, "s_max": s, **given}


def _filled_method(family: str, options: Mapping[str, Any]) -> Options:
    """A method's options with defaults filled in, without those that it does not read."""
    options = {key: value for key, value in options.items() if key not in LABELS}
    method: Options = validate(METHOD[family], options, "method options").model_dump(mode="json")
    if method["optimizer"] != "sam":
        method = {key: value for key, value in method.items() if key not in ("rho", "adaptive")}
    if method.get("start") == "weights":
        del method["start"]  # it was added later: earlier runs keep their id
    if (balance := method["balance"]) is not None:
        unread = {*_OF_SIGMOID, *_OF_MAPS} - {*_OF_SCHEDULE.get(balance["schedule"], ())}
        if balance["unit"] == "layer_in_block":
            unread -= {*_OF_MAPS}
        if balance["schedule"] == "fixed":
            unread.add("every")
        # For `every`, null is a value of its own; for the others it means the preset's choice.
        method["balance"] = {
            key: value for key, value in balance.items() if key not in unread and (value is not None or key == "every")
        }
    return method


def unread_hyper(family: str, method_options: Mapping[str, Any]) -> set[str]:
    """Hyper-parameters that a method does not read, such as TempBalance's if it does not balance."""
    method = _filled_method(family, method_options)
    read = {*method}
    if (balance := method["balance"]) is not None:
        read |= {"xmin_pos", *balance} | ({"s"} if "s_min" in balance else set())
    return {*_BALANCE_KEYS, *_METHOD_KEYS} - read


_RESOLVED: dict[str, tuple[Options, Options]] = {}


def resolve(family: str, method_options: Mapping[str, Any], hyper: Mapping[str, Any]) -> tuple[Options, Options]:
    """Method options and hyper-parameters of a run with every default filled in.

    Hyper-parameters that override an option of the method replace it (``s`` replaces both ``s_min`` and ``s_max``), and
    options that the method does not read are left out. So the same settings are equal however they were written.
    Resolving twice changes nothing. Options of TempBalance that are left to its preset are not filled in.

    Raises ConfigError for a value that is not valid. Calls with equal arguments share one result: do not modify it.
    """
    # A grid resolves the same few settings thousands of times.
    if (key := repr((family, method_options, hyper))) not in _RESOLVED:
        parsed = parse_hyper(family, hyper)
        options = {**method_options, **_overriding(parsed, _METHOD_KEYS)}
        if options.get("balance") is not None:
            options["balance"] = {**options["balance"], **_overriding(parsed, _BALANCE_KEYS)}
        rest = parsed.model_dump(mode="json", exclude={*_BALANCE_KEYS, *_METHOD_KEYS})
        _RESOLVED[key] = _filled_method(family, options), rest
    return _RESOLVED[key]


def resolved_hyper(family: str, method_options: Mapping[str, Any], hyper: Mapping[str, Any]) -> Options:
    """Every setting of a run's training that affects its numbers (:func:`resolve`), in one mapping."""
    method, values = resolve(family, method_options, hyper)
    later = LATER.items() if family == "sciml" else ()
    return {key: value for key, value in values.items() if key not in UNSEEN and (key, value) not in later} | method
