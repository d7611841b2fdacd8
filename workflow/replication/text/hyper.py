"""The hyper-parameters of a fine-tuning run, checked once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

from replication.errors import ConfigError
from replication.settings.spec import merged_balance

#: Hyper-parameters that belong to the balancer: they overrule the method's ``balance`` options.
BALANCE_KEYS = ("s", "s_min", "s_max", "tau", "min_ratio", "slope", "every", "xmin_pos")
#: Hyper-parameters that belong to the method: they overrule the method's options.
METHOD_KEYS = ("rho", "layer_decay")
PRECISIONS = ("fp32", "bf16", "fp16")


@dataclass(frozen=True)
class Hyper:
    """Hyper-parameters; defaults are the paper's (method.md section 5) where it names one.

    Attributes:
        epochs: passes over the subset.
        batch_size: rows in a forward pass.
        lr: base learning rate.
        weight_decay: decoupled; none on biases and LayerNorm.
        warmup_ratio: share of the steps in which the rate rises.
        scheduler: transformers' name of the learning-rate schedule after warmup.
        max_grad_norm: gradients are clipped to this norm.
        gradient_accumulation: forward passes in a step.
        gradient_checkpointing: recompute activations to save memory.
        precision: fp32, bf16 or fp16 (mixed).
        group_by_length: fill batches with rows of similar length, which saves padding; the released code does not.
        eval_batch_size: rows in a forward pass of evaluation.
        evaluate_test_every: epochs between evaluations on the test set, for the released protocol (best epoch on the
            test set); 0: never.
        test_final_epoch: whether the last epoch's weights are also evaluated on the test set where another epoch is
            chosen; the demo saves this time.
        checkpoint_every_s: seconds between checkpoints (at epoch ends).
        threads: processor threads.
    """

    epochs: int
    batch_size: int
    lr: float
    weight_decay: float = 0.1
    warmup_ratio: float = 0.06
    scheduler: str = "linear"
    max_grad_norm: float = 1.0
    gradient_accumulation: int = 1
    gradient_checkpointing: bool = False
    precision: str = "fp32"
    group_by_length: bool = False
    eval_batch_size: int = 32
    evaluate_test_every: int = 0
    test_final_epoch: bool = True
    checkpoint_every_s: float = 60.0
    threads: int = 1


_POSITIVE = ("epochs", "batch_size", "lr", "gradient_accumulation", "eval_batch_size", "threads")


def parse_hyper(values: Mapping[str, Any]) -> Hyper:
    """Check hyper-parameters. Raises ConfigError naming the key, the value and what was expected."""
    known = {item.name: item for item in fields(Hyper)}
    for key, value in values.items():
        if key in BALANCE_KEYS or key in METHOD_KEYS:
            continue
        if key not in known:
            names = ", ".join([*known, *BALANCE_KEYS, *METHOD_KEYS])
            raise ConfigError(f"hyper-parameter {key!r} is unknown; known ones are {names}")
        kind = known[key].type
        good = {
            "int": isinstance(value, int) and not isinstance(value, bool),
            "float": isinstance(value, int | float) and not isinstance(value, bool),
            "bool": isinstance(value, bool),
            "str": isinstance(value, str),
        }[str(kind)]
        if not good:
            raise ConfigError(f"hyper-parameter {key}: {value!r} is not valid; expected {kind}")
        if kind in ("int", "float") and (value < 0 or (key in _POSITIVE and value == 0)):
            raise ConfigError(f"hyper-parameter {key}: {value!r} is not valid; expected a positive number")
    missing = [name for name, item in known.items() if item.default is MISSING and name not in values]
    if missing:
        raise ConfigError(f"hyper-parameter {missing[0]!r} is missing")
    hyper = Hyper(**{key: value for key, value in values.items() if key in known})
    if hyper.precision not in PRECISIONS:
        raise ConfigError(
            f"hyper-parameter precision: {hyper.precision!r} is not valid; expected one of {', '.join(PRECISIONS)}"
        )
    return hyper


def balance_options(method: dict[str, Any], values: dict[str, Any]) -> dict[str, Any] | None:
    """The balancer's options of a run (:func:`replication.settings.spec.merged_balance`)."""
    return merged_balance(method, values, BALANCE_KEYS)
