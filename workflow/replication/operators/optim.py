"""Adam with coupled L2, and two rules for complex parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import Adam, Optimizer

from replication.settings.hyper import OperatorHyper


class Uncompiled(Optimizer):
    """Methods of torch's optimizers without the decorators that keep torch.compile out of them.

    At their first call the decorators import ``torch._dynamo``, which takes as long as importing torch itself.
    """

    add_param_group = inspect.unwrap(Optimizer.add_param_group)
    zero_grad = inspect.unwrap(Optimizer.zero_grad)
    state_dict = inspect.unwrap(Optimizer.state_dict)
    load_state_dict = inspect.unwrap(Optimizer.load_state_dict)


class PlainAdam(Uncompiled, Adam):
    """torch's Adam, :class:`Uncompiled`."""

    step = torch.no_grad()(inspect.unwrap(Adam.step))


class JointAdam(Uncompiled):
    """Adam whose second moment of a complex parameter is ``|g|^2``, as the released optimizer has it.

    torch's Adam treats real and imaginary parts as two real parameters, each with its own scale. The two optimizers
    agree on real parameters; weight decay is L2, coupled into the gradient.
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
        """One update; returns the closure's loss, if there is one."""
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
    """The paper's optimizer for a model."""
    arguments: dict[str, Any] = {"lr": hyper.lr, "weight_decay": hyper.weight_decay}
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if hyper.complex_second_moment == "joint":
        return JointAdam(parameters, **arguments)
    return (Adam if hyper.compile else PlainAdam)(parameters, **arguments)
