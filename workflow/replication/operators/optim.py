"""Adam with coupled L2, with two rules for complex parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import Adam, Optimizer

from replication.settings.hyper import OperatorHyper


class Uncompiled(Optimizer):
    """Methods of torch's optimizers without the decorators for torch.compile.

    At the first call, the decorators import ``torch._dynamo``, which takes as long as importing torch.
    """

    add_param_group = inspect.unwrap(Optimizer.add_param_group)
    zero_grad = inspect.unwrap(Optimizer.zero_grad)
    state_dict = inspect.unwrap(Optimizer.state_dict)
    load_state_dict = inspect.unwrap(Optimizer.load_state_dict)


class PlainAdam(Uncompiled, Adam):
    """torch's Adam, :class:`Uncompiled`."""

    step = torch.no_grad()(inspect.unwrap(Adam.step))


class JointAdam(Uncompiled):
    """Adam whose second moment of a complex parameter is ``|g|^2``, as in the released optimizer.

    torch's Adam treats the real and imaginary parts as two real parameters, each with its own second moment. The two
    optimizers are equal for real parameters. Weight decay is L2, added to the gradient.
    """

    def __init__(
        self,
        params: Any,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make one update; returns the loss of the closure, if there is one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)
        return loss

    def _update(self, parameter: nn.Parameter, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter.real if parameter.is_complex() else parameter)
        gradient = parameter.grad
        assert gradient is not None  # noqa: S101 - checked by the caller
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
    arguments: dict[str, Any] = {"lr": hyper.lr, "weight_decay": hyper.weight_decay}
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if hyper.complex_second_moment == "joint":
        return JointAdam(parameters, **arguments)
    return (Adam if hyper.compile else PlainAdam)(parameters, **arguments)
