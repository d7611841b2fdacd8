"""Models and layers of neuraloperator."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

from torch import Tensor, nn


def neuralop(module: str) -> ModuleType:
    """Import a module of neuraloperator without wandb.

    neuraloperator imports wandb if it is installed, which takes half a second and is not needed here. With None in
    ``sys.modules``, that import raises ModuleNotFoundError, which neuraloperator handles.
    """
    hidden = "wandb" not in sys.modules
    if hidden:
        sys.modules["wandb"] = None  # type: ignore[assignment]
    try:
        return import_module(f"neuralop.{module}")
    finally:
        if hidden:
            del sys.modules["wandb"]


def neuralop_layer(width: int, modes: tuple[int, ...]) -> nn.Module:
    """neuraloperator's ``SpectralConv`` without bias, with ``width`` channels in and out and ``modes`` per axis."""
    # Its argument counts both signs, but along the last axis it keeps n // 2 + 1 modes.
    n_modes = (*modes[:-1], 2 * (modes[-1] - 1))
    layer: nn.Module = neuralop("layers.spectral_convolution").SpectralConv(width, width, n_modes, bias=False)
    return layer


def _drop_metadata(module: nn.Module, state: dict[str, Any], prefix: str, _: Any) -> None:
    state.pop("_metadata", None)


class StockOperator(nn.Module):
    """A model of neuraloperator (channels first) with the interface of our operators.

    The grid is not used, because the model makes its own coordinates (``positional_embedding``).
    """

    def __init__(self, operator: nn.Module) -> None:
        super().__init__()
        self.operator = operator
        # neuraloperator adds the arguments of the constructor, which are not tensors.
        self.register_state_dict_post_hook(_drop_metadata)

    def forward(self, frames: Tensor, grid: Tensor) -> Tensor:
        """Predict a frame ``[batch, x, (y), out]`` from ``[batch, x, (y), in]``."""
        return self.operator(frames.movedim(-1, 1)).movedim(1, -1)


def stock_operator(
    name: str, in_channels: int, out_channels: int, ndim: int, *, modes: int = 24, width: int = 20, **options: Any
) -> StockOperator:
    """A model of ``neuralop.models``: ``FNO``, or ``TFNO`` (with factorised spectral weights).

    ``modes`` is the number of modes kept along each axis, counting both signs; ``options`` are further arguments.
    """
    sizes: dict[str, Any] = {"in_channels": in_channels, "out_channels": out_channels, "hidden_channels": width}
    return StockOperator(getattr(neuralop("models"), name)(n_modes=(modes,) * ndim, **sizes, **options))
