"""Hyper-parameters of training an operator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from replication.errors import ConfigError
from replication.settings.spec import merged_balance

#: Hyper-parameters of TempBalance: they override the method's ``balance`` options.
BALANCE_KEYS = ("s", "s_min", "s_max", "tau", "min_ratio", "slope")


@dataclass(frozen=True)
class Hyper:
    """Hyper-parameters; defaults are the paper's (method.md section 6) where it names one.

    Attributes:
        epochs: passes over the subset.
        batch_size: samples per step.
        lr: base learning rate.
        weight_decay: L2 coupled into the gradient, as Adam's ``weight_decay``.
        step_size: epochs between reductions of the learning rate.
        gamma: factor of each reduction.
        given_frames: initial steps: the first frames of a flow, which the model sees.
        unroll_frames: backpropagate through this many last frames of a rollout (PDEBench's pushforward trick); 0, the
            default, through all.
        standardise: whether channels are scaled to mean 0 and deviation 1 on the training samples (not in the paper).
        evaluate_every: epochs between evaluations on the validation set; the last epoch is always evaluated.
        evaluate_test_every: epochs between evaluations on the test set for the released protocol (best epoch on the
            test set); 0, the default, never.
        eval_batch_size: samples per batch in evaluation.
        checkpoint_every_s: seconds between checkpoints (at epoch ends).
        complex_second_moment: ``split`` (torch's Adam: separate for real and imaginary parts) or ``joint`` (|g|^2, as
            in the released optimizer).
        precision: ``fp32``, ``tf32`` (matrix products on a GPU, an FNO's transforms among them) or ``bf16`` (autocast;
            Fourier layers stay float32).
        compile: whether the model is compiled by torch.compile.
    """

    epochs: int
    batch_size: int
    lr: float
    weight_decay: float = 0.0
    step_size: int = 100
    gamma: float = 0.5
    given_frames: int = 10
    unroll_frames: int = 0
    standardise: bool = False
    evaluate_every: int = 1
    evaluate_test_every: int = 0
    eval_batch_size: int = 50
    checkpoint_every_s: float = 60.0
    complex_second_moment: str = "split"
    precision: str = "fp32"
    compile: bool = False


_MAY_BE_ZERO = ("weight_decay", "unroll_frames", "evaluate_test_every", "checkpoint_every_s")
#: Allowed values of the hyper-parameters that are words.
CHOICES = {"complex_second_moment": ("split", "joint"), "precision": ("fp32", "tf32", "bf16")}


def parse_hyper(values: Mapping[str, Any]) -> Hyper:
    """Check hyper-parameters. Raises ConfigError naming the key, the value and what was expected."""
    known = {item.name: item for item in fields(Hyper)}
    for key, value in values.items():
        if key in BALANCE_KEYS:
            continue
        if key not in known:
            raise ConfigError(
                f"hyper-parameter {key!r} is unknown; known ones are {', '.join([*known, *BALANCE_KEYS])}"
            )
        kind = str(known[key].type)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        good = {
            "int": isinstance(value, int) and number,
            "float": number,
            "bool": isinstance(value, bool),
            "str": isinstance(value, str),
        }[kind]
        if not good:
            raise ConfigError(f"hyper-parameter {key} is {value!r}, expected {kind}")
        if number and (value < 0 or (value == 0 and key not in _MAY_BE_ZERO)):
            raise ConfigError(f"hyper-parameter {key} is {value!r}, expected a positive number")
    missing = [name for name in ("epochs", "batch_size", "lr") if name not in values]
    if missing:
        raise ConfigError(f"hyper-parameter {missing[0]!r} is missing")
    hyper = Hyper(**{key: value for key, value in values.items() if key in known})
    for key, choices in CHOICES.items():
        if getattr(hyper, key) not in choices:
            raise ConfigError(f"hyper-parameter {key} is {getattr(hyper, key)!r}, expected {' or '.join(choices)}")
    return hyper


def balance_options(method: dict[str, Any], values: dict[str, Any]) -> dict[str, Any] | None:
    """The balancer's options of a run (:func:`replication.settings.spec.merged_balance`)."""
    return merged_balance(method, values, BALANCE_KEYS)
