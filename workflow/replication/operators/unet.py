"""PDEBench's U-Net in one and two dimensions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from replication.errors import ConfigError

LEVELS = 4


def _block(ndim: int, channels: int, features: int) -> nn.Sequential:
    """Twice: convolution of kernel 3 without bias, batch norm, tanh."""
    convolution, norm = (nn.Conv1d, nn.Conv2d)[ndim - 1], (nn.BatchNorm1d, nn.BatchNorm2d)[ndim - 1]
    layers: list[nn.Module] = []
    for source in (channels, features):
        layers += [convolution(source, features, 3, padding=1, bias=False), norm(features), nn.Tanh()]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """U-Net (Ronneberger et al., arXiv 1505.04597) as PDEBench configures it: 4 levels, tanh, batch norm.

    The first level has ``init_features``; each level doubles them. Shapes:
    :func:`replication.operators.models.build_model`.
    """

    def __init__(self, in_channels: int, out_channels: int, ndim: int, *, init_features: int = 32) -> None:
        super().__init__()
        pool, up = (nn.MaxPool1d, nn.MaxPool2d)[ndim - 1], (nn.ConvTranspose1d, nn.ConvTranspose2d)[ndim - 1]
        features = [init_features * 2**level for level in range(LEVELS + 1)]
        self.encoder = nn.ModuleList(
            _block(ndim, source, target)
            for source, target in zip([in_channels, *features], features[:-1], strict=False)
        )
        self.bottleneck = _block(ndim, features[-2], features[-1])
        self.up = nn.ModuleList(up(2 * f, f, kernel_size=2, stride=2) for f in reversed(features[:-1]))
        self.decoder = nn.ModuleList(_block(ndim, 2 * f, f) for f in reversed(features[:-1]))
        self.head = (nn.Conv1d, nn.Conv2d)[ndim - 1](init_features, out_channels, 1)
        self.pool = pool(2)

    def forward(self, frames: Tensor, grid: Tensor) -> Tensor:
        """Predict a frame; the coordinates are not used, as in PDEBench.

        Raises ConfigError for a grid that cannot be halved at each level, and in training for a single sample whose
        coarsest grid is a single point, because batch norm then has no variance.
        """
        x = frames.movedim(-1, 1)
        self._check(x)
        kept = []
        for block in self.encoder:
            x = block(x)
            kept.append(x)
            x = self.pool(x)
        x = self.bottleneck(x)
        for up, block in zip(self.up, self.decoder, strict=True):
            x = block(torch.cat((up(x), kept.pop()), dim=1))
        return self.head(x).movedim(1, -1)

    def _check(self, x: Tensor) -> None:
        side, points = 2**LEVELS, x.shape[2:]
        shape = " x ".join(map(str, points))
        if any(number % side for number in points):
            raise ConfigError(
                f"UNet halves its grid {LEVELS} times, so each axis must be a multiple of {side}, but the data has "
                f"{shape} points; change the data set's cells (or reduced_resolution), or use another model"
            )
        if self.training and len(x) == 1 and all(number == side for number in points):
            raise ConfigError(
                f"UNet: batch norm cannot normalise a batch of one sample on a grid of {shape} points; "
                "choose a batch_size that leaves no single sample over, or a finer grid"
            )
