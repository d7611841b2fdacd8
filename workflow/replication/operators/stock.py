"""neuraloperator's own operators, as they come."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


def _drop_metadata(module: nn.Module, state: dict[str, Any], prefix: str, _: Any) -> None:
    state.pop("_metadata", None)


class StockOperator(nn.Module):
    """One of neuraloperator's models behind the interface of ours.

    It takes its own coordinates (``positional_embedding``), so the grid that it is handed goes unused.

    Args:
        operator: a neuraloperator model, channels first.
    """

    def __init__(self, operator: nn.Module) -> None:
        super().__init__()
        self.operator = operator
        # neuraloperator adds its constructor's arguments to the state dict, which is to hold tensors alone.
        self.register_state_dict_post_hook(_drop_metadata)

    def forward(self, frames: Tensor, grid: Tensor) -> Tensor:
        """Predict a frame ``[batch, x, (y), out]`` from ``[batch, x, (y), in]``."""
        return self.operator(frames.movedim(-1, 1)).movedim(1, -1)


def stock_fno(
    in_channels: int, out_channels: int, ndim: int, *, modes: int = 24, width: int = 20, **options: Any
) -> StockOperator:
    """neuraloperator's ``FNO``.

    Args:
        in_channels: channels of all given frames together.
        out_channels: channels of a predicted frame.
        ndim: space dimensions.
        modes: kept modes along each axis, both signs counted.
        width: hidden channels.
        options: further arguments of ``neuralop.models.FNO``.
    """
    from neuralop.models import FNO

    sizes: dict[str, Any] = {"in_channels": in_channels, "out_channels": out_channels, "hidden_channels": width}
    return StockOperator(FNO(n_modes=(modes,) * ndim, **sizes, **options))


def stock_tfno(
    in_channels: int, out_channels: int, ndim: int, *, modes: int = 24, width: int = 20, **options: Any
) -> StockOperator:
    """neuraloperator's ``TFNO``: spectral weights as a tensor decomposition; arguments as of :func:`stock_fno`."""
    from neuralop.models import TFNO

    sizes: dict[str, Any] = {"in_channels": in_channels, "out_channels": out_channels, "hidden_channels": width}
    return StockOperator(TFNO(n_modes=(modes,) * ndim, **sizes, **options))
