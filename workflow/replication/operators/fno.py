"""The paper's Fourier neural operator, which is PDEBench's, with spectral weights named as in neuraloperator.

It has four layers, each with a spectral and a 1x1 convolution, GELU between layers, and padding at the end of each
axis. neuraloperator's own FNO with as many parameters is another network: without a channel MLP it applies the
activation twice per block, and it pads on both sides.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from replication.operators.spectral import SpectralWeights, fft_layer, fourier_layer, products_pay, real_weights

PADDING = 2
HIDDEN = 128
LAYERS = 4
#: Grid points projected at once, so that their hidden channels fit in the cache.
ROWS = 4096


class FNO(nn.Module):
    """Fourier neural operator (Li et al., arXiv 2010.08895) as PDEBench configures it.

    Fourier layers are computed by matrix products (:mod:`replication.operators.spectral`), or by neuraloperator's layer
    and its FFT if products are slower (:func:`replication.operators.spectral.products_pay`).

    ``modes`` is the number of positive Fourier modes kept along each axis (and of negative ones, except along the last
    axis), ``width`` that of the hidden layers' channels. Shapes: :func:`replication.operators.models.build_model`.
    """

    def __init__(self, in_channels: int, out_channels: int, ndim: int, *, modes: int = 12, width: int = 20) -> None:
        super().__init__()
        convolution = (nn.Conv1d, nn.Conv2d)[ndim - 1]
        kept = (2 * modes,) * (ndim - 1) + (modes,)
        self.ndim = ndim
        self.fc0 = nn.Linear(in_channels + ndim, width)
        self.conv = nn.ModuleList(SpectralWeights(width, kept) for _ in range(LAYERS))
        self.w = nn.ModuleList(convolution(width, width, 1) for _ in range(LAYERS))
        self.fc1 = nn.Linear(width, HIDDEN)
        self.fc2 = nn.Linear(HIDDEN, out_channels)
        self._fixed: list[Tensor] = []
        with torch.no_grad():  # the released initialisation: real and imaginary parts uniform in [0, 1 / width^2)
            for layer in self._spectral():
                weight = layer.get_parameter("weight.tensor")
                weight.copy_(torch.rand_like(weight) / width**2)

    @contextmanager
    def fixed_weights(self, points: tuple[int, ...]) -> Iterator[None]:
        """Context that prepares the spectral weights once, not for every frame; do not change them inside."""
        self._fixed = self._real_weights(tuple(size + PADDING for size in points))
        try:
            yield
        finally:
            self._fixed = []

    def _real_weights(self, points: tuple[int, ...]) -> list[Tensor]:
        return [real_weights(layer.for_grid(points)) for layer in self._spectral()]

    def _spectral(self) -> list[SpectralWeights]:
        return [layer for layer in self.conv if isinstance(layer, SpectralWeights)]

    def forward(self, frames: Tensor, grid: Tensor) -> Tensor:
        """Predict a frame."""
        x = self.fc0(torch.cat((frames.movedim(0, -2), grid.movedim(0, -2)), dim=-1))
        x = functional.pad(x, (0, 0, 0, 0) + (0, PADDING) * self.ndim).float()
        with torch.autocast(x.device.type, enabled=False):  # the transform needs float32
            for number, layer in enumerate(self._layers(tuple(x.shape[:-2]))):
                x = layer(x)
                if number < LAYERS - 1:
                    x = functional.gelu(x)
        return self._project(x).movedim(-2, 0)

    def _layers(self, points: tuple[int, ...]) -> list[Callable[[Tensor], Tensor]]:
        """The Fourier layers as functions of ``[x, (y), batch, width]``."""
        spectral = self._spectral()
        modes = tuple(spectral[0].for_grid(points).shape[2:])
        if not products_pay(points, modes):
            return [partial(fft_layer, weights=weights, local=w) for weights, w in zip(spectral, self.w, strict=True)]
        pairs = zip(self._fixed or self._real_weights(points), self.w, strict=True)
        return [partial(fourier_layer, weights=weights, local=w, modes=modes) for weights, w in pairs]

    def _project(self, x: Tensor) -> Tensor:
        x = x[(slice(None, -PADDING),) * self.ndim]
        parts = x.split(max(1, ROWS // x[0, ..., 0].numel()))
        projected = [self.fc2(functional.gelu(self.fc1(part))) for part in parts]
        return torch.cat(projected) if len(projected) > 1 else projected[0]


def from_released(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of :class:`FNO` from that of the released FNO.

    ``w0`` becomes ``w.0``. ``conv0.weights1`` and, in 2-D, ``conv0.weights2`` (the negative modes of the first axis)
    become ``conv.0.weight.tensor``. Complex weights may be real, with a last axis of two.
    """
    state: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        spectral = re.fullmatch(r"conv(\d)\.weights([12])", name)
        if spectral is None:
            state[re.sub(r"^w(\d)\.", r"w.\1.", name)] = tensor
        elif spectral[2] == "1":
            parts = [tensors[other] for other in (f"conv{spectral[1]}.weights2", name) if other in tensors]
            # neuraloperator orders the modes of the first axis from the most negative upwards.
            complex_parts = [part if part.is_complex() else torch.view_as_complex(part) for part in parts]
            state[f"conv.{spectral[1]}.weight.tensor"] = torch.cat(complex_parts, dim=2)
    return state
