"""The paper's Fourier neural operator, built from neuraloperator's spectral convolutions.

neuraloperator's stock FNO with the same number of parameters is another network: it applies its activation twice a
block when the channel MLP is off, and pads symmetrically. This one repeats PDEBench's (four layers, a 1x1
convolution beside each spectral one, GELU between layers, padding at the end of each axis).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from neuralop.layers.spectral_convolution import SpectralConv
from torch import Tensor, nn
from torch.nn import functional

PADDING = 2
HIDDEN = 128
LAYERS = 4


class FNO(nn.Module):
    """Fourier neural operator (Li et al., arXiv 2010.08895) as PDEBench configures it.

    Args:
        in_channels: channels of the given frames, the grid left out.
        out_channels: channels of the predicted frame.
        ndim: space dimensions, 1 or 2.
        modes: Fourier modes kept along each axis (positive ones; negative ones too except along the last axis).
        width: channels of the hidden layers.
    """

    def __init__(self, in_channels: int, out_channels: int, ndim: int, *, modes: int = 12, width: int = 20) -> None:
        super().__init__()
        convolution = (nn.Conv1d, nn.Conv2d)[ndim - 1]
        # neuraloperator counts both signs of a mode, and n // 2 + 1 along the last, real axis.
        n_modes = (2 * modes,) * (ndim - 1) + (2 * (modes - 1),)
        self.ndim = ndim
        self.fc0 = nn.Linear(in_channels + ndim, width)
        self.conv = nn.ModuleList(SpectralConv(width, width, n_modes, bias=False) for _ in range(LAYERS))
        self.w = nn.ModuleList(convolution(width, width, 1) for _ in range(LAYERS))
        self.fc1 = nn.Linear(width, HIDDEN)
        self.fc2 = nn.Linear(HIDDEN, out_channels)
        self._draw_spectral_weights(width)

    def _draw_spectral_weights(self, width: int) -> None:
        """The released initialisation: real and imaginary parts uniform in [0, 1 / width^2)."""
        with torch.no_grad():
            for layer in self.conv:
                weight: Tensor = layer.get_parameter("weight.tensor")
                weight.copy_(torch.rand_like(weight) / width**2)

    def forward(self, frames: Tensor, grid: Tensor) -> Tensor:
        """Predict a frame.

        Args:
            frames: ``[batch, x, (y), in_channels]``.
            grid: coordinates ``[batch, x, (y), ndim]``.

        Returns ``[batch, x, (y), out_channels]``.
        """
        x = self.fc0(torch.cat((frames, grid), dim=-1)).movedim(-1, 1)
        x = functional.pad(x, (0, PADDING) * self.ndim)
        for number, (spectral, local) in enumerate(zip(self.conv, self.w, strict=True)):
            x = spectral(x.float()) + local(x)  # a transform takes no bfloat16
            if number < LAYERS - 1:
                x = functional.gelu(x)
        x = x[(..., *(slice(None, -PADDING),) * self.ndim)].movedim(1, -1)
        return self.fc2(functional.gelu(self.fc1(x)))


def from_released(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of :class:`FNO` from one of the released modules.

    ``w0`` becomes ``w.0``; ``conv0.weights1`` (and, in 2-D, ``conv0.weights2``, the negative modes of the first
    axis) become ``conv.0.weight.tensor``. Complex weights may come as a trailing axis of two.
    """
    state: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        spectral = re.fullmatch(r"conv(\d)\.weights([12])", name)
        if spectral is None:
            state[re.sub(r"^w(\d)\.", r"w.\1.", name)] = tensor
        elif spectral[2] == "1":
            parts = [tensors[other] for other in (f"conv{spectral[1]}.weights2", name) if other in tensors]
            # neuraloperator orders the first axis from the most negative mode upwards.
            complex_parts = [part if part.is_complex() else torch.view_as_complex(part) for part in parts]
            state[f"conv.{spectral[1]}.weight.tensor"] = torch.cat(complex_parts, dim=2)
    return state
