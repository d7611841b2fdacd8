"""Adam with coupled L2, with two rules for complex parameters."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from replication.settings.hyper import OperatorHyper


class PlainAdam(Adam):
    """torch's Adam without the decorators for torch.compile.

    At the first call, they import ``torch._dynamo``, which takes as long as importing torch.
    """

    add_param_group = inspect.unwrap(Optimizer.add_param_group)
    zero_grad = inspect.unwrap(Optimizer.zero_grad)
    state_dict = inspect.unwrap(Optimizer.state_dict)
    load_state_dict = inspect.unwrap(Optimizer.load_state_dict)
    step = torch.no_grad()(inspect.unwrap(Adam.step))


class JointAdam(PlainAdam):
    """Adam whose second moment of a complex parameter is ``|g|^2``, as in the released optimizer.

    torch's Adam treats the real and imaginary parts as two real parameters, each with its own second moment. The two
    optimizers are equal for real parameters. Weight decay is L2, added to the gradient.
    """

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Make one update; closures are not supported."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)

    def _update(self, parameter: nn.Parameter, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter.real if parameter.is_complex() else parameter)
        if group["weight_decay"]:
            gradient = gradient + group["weight_decay"] * parameter
        first, second = group["betas"]
        state["step"] += 1
        step = float(state["step"])
        state["exp_avg"].lerp_(gradient, 1 - first)
        size = (gradient * gradient.conj()).real if gradient.is_complex() else gradient.square()
        state["exp_avg_sq"].mul_(second).add_(size, alpha=1 - second)
        root = (state["exp_avg_sq"] / (1 - second**step)).sqrt_().add_(group["eps"])
        parameter.sub_(group["lr"] / (1 - first**step) * state["exp_avg"] / root)


def build_optimizer(model: nn.Module, hyper: OperatorHyper) -> Optimizer:
    """The paper's optimizer: Adam with L2."""
    kind = JointAdam if hyper.complex_second_moment == "joint" else Adam if hyper.compile else PlainAdam
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return kind(parameters, hyper.lr, weight_decay=hyper.weight_decay)
