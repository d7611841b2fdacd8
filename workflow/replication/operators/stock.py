"""neuraloperator's own models."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

from torch import Tensor, nn


def neuralop(module: str) -> ModuleType:
    """Import one of neuraloperator's modules, without wandb.

    neuraloperator imports wandb where it is installed, which takes half a second and is not used here. A None in
    ``sys.modules`` makes Python raise ModuleNotFoundError, for which neuraloperator is prepared.
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
    """neuraloperator's ``SpectralConv`` without bias, ``width`` channels in and out, with so many modes kept."""
    # It counts both signs of a mode along the last axis and keeps n // 2 + 1.
    n_modes = (*modes[:-1], 2 * (modes[-1] - 1))
    layer: nn.Module = neuralop("layers.spectral_convolution").SpectralConv(width, width, n_modes, bias=False)
    return layer


def _drop_metadata(module: nn.Module, state: dict[str, Any], prefix: str, _: Any) -> None:
    state.pop("_metadata", None)


class StockOperator(nn.Module):
    """One of neuraloperator's models, which are channels first, behind the interface of ours.

    It makes its own coordinates (``positional_embedding``), so the grid argument is not used.
    """

    def __init__(self, operator: nn.Module) -> None:
        super().__init__()
        self.operator = operator
        # neuraloperator adds its constructor's arguments to the state dict, which should hold only tensors.
        self.register_state_dict_post_hook(_drop_metadata)

    def forward(self, frames: Tensor, grid: Tensor) -> Tensor:
        """Predict a frame ``[batch, x, (y), out]`` from ``[batch, x, (y), in]``."""
        return self.operator(frames.movedim(-1, 1)).movedim(1, -1)


def stock_operator(
    name: str, in_channels: int, out_channels: int, ndim: int, *, modes: int = 24, width: int = 20, **options: Any
) -> StockOperator:
    """One of ``neuralop.models``: ``FNO``, or ``TFNO`` (spectral weights as a tensor decomposition).

    ``modes`` are kept along each axis, counting both signs; ``options`` are the model's further arguments.
    """
    sizes: dict[str, Any] = {"in_channels": in_channels, "out_channels": out_channels, "hidden_channels": width}
    return StockOperator(getattr(neuralop("models"), name)(n_modes=(modes,) * ndim, **sizes, **options))
