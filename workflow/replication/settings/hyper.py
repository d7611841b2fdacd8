"""Hyper-parameters and method options of both families: what there is, what is valid, and what a run resolves to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, create_model

from replication.settings.checks import UNIQUE, Family, Model, Options, Text, validate

Strength = Annotated[float, Field(ge=0, le=10)]
Positive = Annotated[int, Field(ge=1)]
Texts = Annotated[tuple[Text, ...], *UNIQUE]
Schedule = Literal["sigmoid", "linear", "sqrt", "log2", "exp", "rank", "fixed"]
Metric = Literal["alpha", "stable_rank", "stable_rank_released", "spectral_norm", "farms"]
_MEASURED = "between two measurements of the exponents; null: at the start only"
#: Hyper-parameters that decide no number.
UNSEEN = ("checkpoint_every_s", "threads")
#: Hyper-parameters that came later: at their default they are no part of a run's id, so that earlier runs keep theirs.
LATER = {"loss": "mse", "noise": 0.0, "scheduler": "step"}


class Hyper(Model):
    """Hyper-parameters that both families have, and those that overrule options of the method (null: the method's)."""

    epochs: int = Field(ge=1, le=100_000, description="passes over the subset")
    batch_size: int = Field(ge=1, le=1_000_000, description="rows or samples in a forward pass")
    lr: float = Field(gt=0, description="base learning rate")
    evaluate_test_every: int = Field(0, ge=0, description="epochs between looks at the test set (released protocol)")
    checkpoint_every_s: float = Field(60.0, ge=0, description="seconds between checkpoints, which follow an epoch")
    s: Strength | None = Field(None, description="TempBalance: sets both `s_min` and `s_max`")
    s_min: Strength | None = Field(None, description="TempBalance: overrules the method's `s_min`")
    s_max: Strength | None = Field(None, description="TempBalance: overrules the method's `s_max`")
    tau: float | None = Field(None, gt=0, description="TempBalance: overrules the method's `tau`")
    min_ratio: float | None = Field(None, ge=0, description="TempBalance: overrules the method's `min_ratio`")
    slope: float | None = Field(None, ge=0, description="TempBalance: overrules the method's `slope`")
    every: int | None = Field(None, ge=1, description="TempBalance: overrules the method's `every`")
    xmin_pos: float | None = Field(None, gt=1, description="TempBalance: overrules the method's `xmin_pos`")


class NlpHyper(Hyper):
    """Hyper-parameters of fine-tuning; defaults are the paper's (method.md section 5) where it names one."""

    weight_decay: float = Field(0.1, ge=0, le=1000, description="decoupled; none on biases and LayerNorm")
    warmup_ratio: float = Field(0.06, ge=0, description="share of the steps with rising rate; 1 or more: their number")
    scheduler: Text = Field("linear", description="transformers' name of the rate's schedule after warmup")
    max_grad_norm: float = Field(1.0, ge=0, description="gradients are clipped to this norm")
    gradient_accumulation: int = Field(1, ge=1, description="forward passes in a step")
    gradient_checkpointing: bool = Field(False, description="recompute activations to save memory")
    precision: Literal["fp32", "bf16", "fp16"] = Field("fp32", description="bf16 and fp16 are mixed precision")
    group_by_length: bool = Field(False, description="batch rows of similar length (the released code does not)")
    eval_batch_size: int = Field(32, ge=1, description="rows in a forward pass in evaluation")
    test_final_epoch: bool = Field(True, description="false: the test set is seen with the chosen epoch's weights only")
    threads: int = Field(1, ge=1, le=1024, description="processor threads")
    rho: float | None = Field(None, gt=0, description="SAM: overrules the method's `rho`")
    layer_decay: float | None = Field(None, gt=0, le=1, description="overrules the method's `layer_decay`")


class OperatorHyper(Hyper):
    """Hyper-parameters of an operator's training; defaults are the paper's (method.md section 6) where it names one."""

    weight_decay: float = Field(0.0, ge=0, le=1000, description="L2 coupled into the gradient, as Adam has it")
    step_size: int = Field(100, ge=1, description="epochs between two reductions of the rate")
    gamma: float = Field(0.5, gt=0, le=1, description="factor of a reduction")
    initial_steps: int = Field(10, ge=1, description="initial steps of a flow that the model is shown")
    unroll_frames: int = Field(0, ge=0, description="last steps of a rollout that carry a gradient; 0: all of them")
    standardise: bool = Field(False, description="channels to mean 0 and deviation 1 of the *training* samples")
    evaluate_every: int = Field(1, ge=1, description="epochs between evaluations on the validation set")
    eval_batch_size: int = Field(50, ge=1, description="samples at once in evaluation")
    complex_second_moment: Literal["split", "joint"] = Field("split", description="of complex weights; joint: released")
    precision: Literal["fp32", "tf32", "bf16"] = Field("fp32", description="tf32: on a GPU; bf16: autocast")
    compile: bool = Field(False, description="torch.compile")
    loss: Literal["mse", "relative"] = Field("mse", description="relative: L2, by frame and channel, as DPOT has it")
    noise: float = Field(0.0, ge=0, le=1, description="noise on the initial steps, as a share of a channel's deviation")
    scheduler: Literal["step", "one-cycle"] = Field("step", description="one-cycle: up and down once, epoch by epoch")


class Balance(Model):
    """What TempBalance takes. Options without a default keep the preset's choice (:class:`tempbalance.spectra.Preset`).

    A schedule reads its own parameters only: sigmoid and fixed ``s_min``, ``s_max`` and ``tau``; exp the first two;
    linear and rank ``min_ratio`` and ``slope``.
    """

    schedule: Schedule = Field("sigmoid", description="fixed: sigmoid with the exponents of initialisation")
    s_min: Strength = Field(1.0, description="strength below the mean exponent")
    s_max: Strength = Field(1.0, description="strength above the mean exponent")
    tau: float = Field(10.0, gt=0, description="steepness of the sigmoid")
    min_ratio: float = Field(0.5, ge=0, description="smallest factor of the linear and rank maps")
    slope: float = Field(1.0, ge=0, description="range of the factors of these maps")
    scheduled: Literal["lr", "weight_decay", "both"] = Field("lr", description="what is scaled")
    normalize: bool = Field(False, description="scale the factors to mean 1")
    tolerance: float = Field(0.0, ge=0, lt=1, description="share of itself an exponent may be off; 0: measure always")
    preset: Literal["nlp", "sciml"] | None = Field(None, description="the family's own by default")
    unit: Literal["block", "layer", "layer_in_block"] | None = Field(None, description="which layers share a rate")
    norms: Literal["base", "preceding"] | None = Field(None, description="rate of LayerNorm where the unit is a layer")
    metric: Metric | None = Field(None, description="the number of a layer that the schedule works on")
    metric_scale: Literal["alpha", "released"] | None = Field(None, description="how other metrics enter a schedule")
    xmin_pos: float | None = Field(None, gt=1, description="the Hill tail starts at eigenvalue int(N / xmin_pos)")
    min_eigenvalue: float | None = Field(None, ge=0, description="eigenvalues at or below it are dropped")
    min_count: int | None = Field(None, ge=2, description="layers with fewer eigenvalues keep the base rate")
    timing: Literal["fresh", "lagged"] | None = Field(None, description="lagged: exponents of a forward pass earlier")
    exclude: Texts | None = Field(None, description="layers whose name holds one of these keep the base rate")
    conv1d: Literal["matrix", "released"] | None = Field(None, description="how a Conv1d is read")
    transposed: Literal["matrix", "skip"] | None = Field(None, description="whether transposed convolutions count")
    spectral: Literal["skip", "per_mode", "pooled"] | None = Field(None, description="how spectral weights are read")
    lora: Literal["scaled", "unscaled"] | None = Field(None, description="whether adapters carry their alpha / r scale")
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
    alpha: float = Field(16, gt=0, description="scale is alpha / r")
    dropout: float = Field(0.05, ge=0, lt=1, description="dropout before the adapter")
    targets: Texts | None = Field(None, description="names of adapted modules; null: peft's choice")


class NlpMethod(Model):
    """How a language model is fine-tuned."""

    optimizer: Literal["adamw", "adafactor", "sam"] = Field("adamw", description="sam takes AdamW's second step")
    rho: float = Field(0.05, gt=0, description="radius of SAM")
    adaptive: bool = Field(False, description="adaptive SAM, as the released code has it")
    lora: Lora | None = Field(None, description="low-rank adapters; null: full fine-tuning")
    layer_decay: float | None = Field(None, gt=0, le=1, description="factor on the rate from block to block, head down")
    balance: NlpBalance | None = Field(None, description="TempBalance's options; null: no balancing")


class OperatorMethod(Model):
    """How an operator is trained."""

    optimizer: Literal["adam", "none"] = Field("adam", description="Adam with coupled L2; none: zero-shot, rate 0")
    start: Literal["weights", "random"] = Field("weights", description="random: not from a model's pretrained weights")
    balance: OperatorBalance | None = Field(None, description="TempBalance's options; null: no balancing")


HYPER: dict[str, type[Hyper]] = {"nlp": NlpHyper, "sciml": OperatorHyper}
METHOD: dict[str, type[Model]] = {"nlp": NlpMethod, "sciml": OperatorMethod}
_OF_SIGMOID, _OF_MAPS = ("s_min", "s_max", "tau"), ("min_ratio", "slope")
_OF_SCHEDULE = {
    "sigmoid": _OF_SIGMOID, "fixed": _OF_SIGMOID, "exp": ("s_min", "s_max"), "linear": _OF_MAPS, "rank": _OF_MAPS,
}  # fmt: skip
#: What the catalogue says of a method beside its options.
_NOT_READ = ("family", "title", "published_as")
#: Hyper-parameters that overrule an option of TempBalance.
BALANCE_KEYS = ("s", *_OF_SIGMOID, *_OF_MAPS, "every", "xmin_pos")
#: Hyper-parameters that overrule another option of a method.
METHOD_KEYS = ("rho", "layer_decay")


def _all_optional(family: Family, base: type[Model], make: Callable[[Any], Any]) -> type[Model]:
    """A model with a family's hyper-parameters as optional keys; ``make`` gives a key's type from the original's."""
    original = HYPER[family]
    fields: dict[str, Any] = {
        key: (make(Annotated[info.annotation, Field(), *info.metadata]), Field(None, description=info.description))
        for key, info in original.model_fields.items()
    }
    return create_model(f"{original.__name__}{base.__name__}", __base__=base, **fields)


def changes_model(family: Family, base: type[Model]) -> type[Model]:
    """Model of some of the hyper-parameters, as a block or an override of an experiment gives them."""
    return _all_optional(family, base, lambda kind: kind)


def search_model(family: Family, base: type[Model]) -> type[Model]:
    """Model of a search: hyper-parameter -> candidates."""

    def candidates(kind: Any) -> Any:
        return Annotated[tuple[kind, ...], *UNIQUE, Field(min_length=1)]

    return _all_optional(family, base, candidates)


def parse_hyper(family: str, values: Mapping[str, Any]) -> Any:
    """The hyper-parameters of a run, an :class:`NlpHyper` or :class:`OperatorHyper`.

    Raises ConfigError naming the key, the value and what was expected.
    """
    return validate(HYPER[family], values, "hyper-parameters")


def _overruling(hyper: Hyper, keys: Sequence[str]) -> Options:
    given = {key: value for key in keys if (value := getattr(hyper, key, None)) is not None}
    s = given.pop("s", None)
    return given if s is None else {"s_min": s, "s_max": s, **given}


def _filled_method(family: str, options: Mapping[str, Any]) -> Options:
    """A method's options with defaults filled in, without those that it does not read."""
    options = {key: value for key, value in options.items() if key not in _NOT_READ}
    method: Options = validate(METHOD[family], options, "method options").model_dump(mode="json")
    if method["optimizer"] != "sam":
        method = {key: value for key, value in method.items() if key not in ("rho", "adaptive")}
    if method.get("start") == "weights":
        del method["start"]  # it came later: earlier runs keep their id
    if (balance := method["balance"]) is not None:
        read = {*_OF_SCHEDULE.get(balance["schedule"], ())}
        read |= {*_OF_MAPS} if balance["unit"] == "layer_in_block" else set()
        read |= {"every"} if balance["schedule"] != "fixed" else set()
        unread = {*_OF_SIGMOID, *_OF_MAPS, "every"} - read
        # Null is a choice of `every`; elsewhere it leaves the choice to the preset.
        method["balance"] = {
            key: value for key, value in balance.items() if key not in unread and (value is not None or key == "every")
        }
    return method


def unread_hyper(family: str, method_options: Mapping[str, Any]) -> set[str]:
    """Hyper-parameters that mean nothing to a method: TempBalance's to one that does not balance, and so on."""
    method = _filled_method(family, method_options)
    read = {*method}
    if (balance := method["balance"]) is not None:
        read |= {"xmin_pos", *balance} | ({"s"} if "s_min" in balance else set())
    return {*BALANCE_KEYS, *METHOD_KEYS} - read


_RESOLVED: dict[str, tuple[Options, Options]] = {}


def resolve(family: str, method_options: Mapping[str, Any], hyper: Mapping[str, Any]) -> tuple[Options, Options]:
    """Method options and hyper-parameters of a run with every default filled in.

    Hyper-parameters that overrule an option of the method move there (``s`` as ``s_min`` and ``s_max``), and options
    that the method does not read are left out, so that equal settings are equal however they were written. Resolving
    twice changes nothing. Options of TempBalance that are its preset's choice stay as they were given.

    Raises ConfigError for a value that is not valid. Equal arguments share one result: do not change it.
    """
    # A grid asks for the same few settings thousands of times.
    if (key := repr((family, method_options, hyper))) not in _RESOLVED:
        _RESOLVED[key] = _resolve(family, method_options, hyper)
    return _RESOLVED[key]


def _resolve(family: str, method_options: Mapping[str, Any], hyper: Mapping[str, Any]) -> tuple[Options, Options]:
    parsed = parse_hyper(family, hyper)
    options = {**method_options, **_overruling(parsed, METHOD_KEYS)}
    if options.get("balance") is not None:
        options["balance"] = {**options["balance"], **_overruling(parsed, BALANCE_KEYS)}
    overruling = {*BALANCE_KEYS, *METHOD_KEYS}
    return _filled_method(family, options), parsed.model_dump(mode="json", exclude=overruling)


def resolved_hyper(family: str, method_options: Mapping[str, Any], hyper: Mapping[str, Any]) -> Options:
    """Every setting of a run's training that decides its numbers (:func:`resolve`), in one mapping."""
    method, values = resolve(family, method_options, hyper)
    later = LATER.items() if family == "sciml" else ()
    return {key: value for key, value in values.items() if key not in UNSEEN and (key, value) not in later} | method
