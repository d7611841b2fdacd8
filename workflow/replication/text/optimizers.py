"""The optimizers of the methods, and sharpness-aware training."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn
from transformers import Trainer
from transformers.optimization import Adafactor
from transformers.trainer_pt_utils import get_parameter_names

from replication.errors import ConfigError
from replication.settings.hyper import NlpHyper

#: Parameters without weight decay: biases and normalisations (the Trainer's rule).
NO_DECAY = [r"bias", r"layernorm", r"rmsnorm", r"(?:^|\.)norm(?:$|\.)", r"_norm(?:$|\.)"]


def _layer_depths(model: nn.Module) -> dict[str, int]:
    """Parameter -> depth: 0 for embeddings, n + 1 for block n, one more than the last block for the rest."""
    found = {name: re.search(r"\.(\d+)\.", name) for name, _ in model.named_parameters()}
    top = max((int(match.group(1)) for match in found.values() if match), default=-1) + 2
    return {name: int(match.group(1)) + 1 if match else 0 if "embed" in name else top for name, match in found.items()}


def _groups(model: nn.Module, hyper: NlpHyper, layer_decay: float | None) -> Iterator[dict[str, Any]]:
    """Parameter groups with and without weight decay; with ``layer_decay``, one pair per depth."""
    decaying = set(get_parameter_names(model, [nn.LayerNorm], NO_DECAY))
    depths = _layer_depths(model) if layer_decay is not None else {}
    top = max(depths.values(), default=0)
    members: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            members.setdefault((depths.get(name, 0), name in decaying), []).append(parameter)
    for (depth, decays), parameters in sorted(members.items(), key=lambda item: (-item[0][0], not item[0][1])):
        yield {
            "params": parameters,
            "weight_decay": hyper.weight_decay if decays else 0.0,
            "lr": hyper.lr * (layer_decay or 1.0) ** (top - depth),
        }


def build_optimizer(model: nn.Module, method: Mapping[str, Any], hyper: NlpHyper) -> torch.optim.Optimizer:
    """The optimizer of a method.

    It is Adafactor with the given rate, or AdamW (0.9, 0.999, 1e-8), which SAM uses too. Biases and normalisations have
    no weight decay. ``layer_decay`` is the factor on the rate from one block to the block below it.
    """
    groups = list(_groups(model, hyper, method.get("layer_decay")))
    if method["optimizer"] == "adafactor":
        return Adafactor(groups, lr=hyper.lr, scale_parameter=False, relative_step=False)
    return torch.optim.AdamW(groups, lr=hyper.lr, betas=(0.9, 0.999), eps=1e-8, fused=True)


class SharpnessAwareTrainer(Trainer):
    """A Trainer that uses the gradient at the worst point of a neighbourhood (SAM, Foret et al. 2021).

    Args:
        rho: radius of the neighbourhood.
        adaptive: scale the neighbourhood by the weights (ASAM), as the paper's released code does (method.md 7.7).
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
        parameters = [p for p in model.parameters() if p.grad is not None]
        before = [p.detach().clone() for p in parameters]
        with torch.no_grad():
            scales = [p.abs() if self.adaptive else torch.ones_like(p) for p in parameters]
            grads = [p.grad for p in parameters if p.grad is not None]
            norm = torch.stack([(s * g).norm() for s, g in zip(scales, grads, strict=True)]).norm()
            for p, s, g in zip(parameters, scales, grads, strict=True):
                p.add_(s.square() * g, alpha=float(self.rho / (norm + 1e-12)))
                p.grad = None
        super().training_step(model, inputs, num_items_in_batch)
        with torch.no_grad():
            for p, old in zip(parameters, before, strict=True):
                p.copy_(old)
        return loss
