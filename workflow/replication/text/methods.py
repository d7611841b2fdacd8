"""What a method consists of: its optimizer, sharpness-aware training, low-rank adapters and TempBalance."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from transformers import Trainer
from transformers.optimization import Adafactor
from transformers.trainer_pt_utils import get_parameter_names

from replication.errors import ConfigError
from replication.settings.hyper import NlpHyper
from replication.text.encoders import HEADS
from replication.text.tasks import Task
from tempbalance.balance import Diagnostics
from tempbalance.integrations import TempBalanceCallback
from tempbalance.spectra import find_layers, get_preset

#: Parameters without weight decay: biases and normalisations (the Trainer's rule).
NO_DECAY = [r"bias", r"layernorm", r"rmsnorm", r"(?:^|\.)norm(?:$|\.)", r"_norm(?:$|\.)"]


def _layer_depths(model: nn.Module) -> dict[str, int]:
    """Parameter -> depth: 0 for embeddings, n + 1 for block n, one more than the last block for the rest."""
    found = {name: re.search(r"\.(\d+)\.", name) for name, _ in model.named_parameters()}
    top = max((int(match.group(1)) for match in found.values() if match), default=-1) + 2
    return {name: int(match.group(1)) + 1 if match else 0 if "embed" in name else top for name, match in found.items()}


def build_optimizer(model: nn.Module, method: Mapping[str, Any], hyper: NlpHyper) -> torch.optim.Optimizer:
    """Adafactor with the given rate, or AdamW (0.9, 0.999, 1e-8), which SAM uses too.

    Biases and normalisations have no weight decay. The method's ``layer_decay`` is the factor on the rate from one
    block to the block below it.
    """
    layer_decay = method.get("layer_decay")
    decaying = set(get_parameter_names(model, [nn.LayerNorm], NO_DECAY))
    depths = _layer_depths(model) if layer_decay is not None else {}
    top = max(depths.values(), default=0)
    members: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            members.setdefault((depths.get(name, 0), name in decaying), []).append(parameter)
    groups = [
        {
            "params": parameters,
            "weight_decay": hyper.weight_decay if decays else 0.0,
            "lr": hyper.lr * (layer_decay or 1.0) ** (top - depth),
        }
        for (depth, decays), parameters in sorted(members.items(), key=lambda item: (-item[0][0], not item[0][1]))
    ]
    if method["optimizer"] == "adafactor":
        return Adafactor(groups, lr=hyper.lr, scale_parameter=False, relative_step=False)
    return torch.optim.AdamW(groups, lr=hyper.lr, betas=(0.9, 0.999), eps=1e-8, fused=True)


class SharpnessAwareTrainer(Trainer):
    """A Trainer that uses the gradient at the worst point within a radius ``rho`` (SAM, Foret et al. 2021).

    ``adaptive`` scales the neighbourhood by the weights (ASAM), as the paper's released code does.
    """

    def __init__(self, *args: Any, rho: float, adaptive: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.args.gradient_accumulation_steps != 1:
            raise ConfigError(
                f"hyper-parameter gradient_accumulation: {self.args.gradient_accumulation_steps} is not valid with "
                "SAM, which needs two gradients of the same whole batch; expected 1"
            )
        self.rho = rho
        self.adaptive = adaptive
        # As released, only the first gradient is clipped. As SAM uses only its direction, clipping has no effect.
        self.args.max_grad_norm = 0.0

    def training_step(self, model: nn.Module, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """Compute the gradient at ``w + e``, with ``e`` along the gradient at ``w``; returns the loss at ``w``."""
        loss = super().training_step(model, inputs, num_items_in_batch)
        parameters: list[Any] = [p for p in model.parameters() if p.grad is not None]
        before = [p.detach().clone() for p in parameters]
        with torch.no_grad():
            scales = [p.abs() if self.adaptive else torch.ones_like(p) for p in parameters]
            norm = torch.stack([(s * p.grad).norm() for s, p in zip(scales, parameters, strict=True)]).norm()
            for p, s in zip(parameters, scales, strict=True):
                p.add_(s.square() * p.grad, alpha=float(self.rho / (norm + 1e-12)))
                p.grad = None
        super().training_step(model, inputs, num_items_in_batch)
        with torch.no_grad():
            for p, old in zip(parameters, before, strict=True):
                p.copy_(old)
        return loss


def add_lora(model: nn.Module, options: Mapping[str, Any], task: Task) -> nn.Module:
    """Add LoRA adapters (Hu et al. 2022) with peft; only the adapters and the task's head are trained.

    ``options`` are all those of :class:`replication.settings.hyper.Lora`.

    Raises ConfigError for kinds of tasks that peft does not have, and for targets that the model does not have.
    """
    import peft

    _, task_type = HEADS[task.kind]
    if task_type is None:
        raise ConfigError(f"method option lora: not available for tasks of kind {task.kind!r}")
    config = peft.LoraConfig(
        task_type=task_type,
        r=options["r"],
        lora_alpha=options["alpha"],
        lora_dropout=options["dropout"],
        target_modules=options["targets"],
    )
    try:
        return peft.get_peft_model(model, config)
    except ValueError as error:
        raise ConfigError(f"method option lora: the adapters do not fit the model ({error})") from None


def _adapted_only(model: nn.Module) -> dict[str, Any]:
    """Options that make a block's exponent the mean over its adapted layers, as released; none without adapters."""
    preset = get_preset("nlp")
    layers = find_layers(model, preset)
    adapted = [layer.name for layer in layers if layer.adapters]
    if not adapted:
        return {}
    # A name excludes all layers whose names contain it.
    frozen = [layer.name for layer in layers if not any(layer.name in name for name in adapted)]
    return {"exclude": (*preset.exclude, *frozen)}


def balancing(
    model: nn.Module, optimizer: torch.optim.Optimizer, options: Mapping[str, Any] | None
) -> tuple[list[TempBalanceCallback], Callable[[], Any]]:
    """The Trainer's callback for TempBalance, if any, and a function that returns what measures the model's spectra.

    Without options that is a :class:`tempbalance.balance.Diagnostics`, otherwise the balancer, which the callback makes
    when training begins.
    """
    if options is None:
        diagnostics = Diagnostics(model, optimizer, preset="nlp")
        # Measured before a checkpoint is loaded, so that a resumed run has the initial spectra too.
        diagnostics.measure()
        return [], lambda: diagnostics
    callback = TempBalanceCallback(**options, **_adapted_only(model))
    return [callback], lambda: callback.balancer
