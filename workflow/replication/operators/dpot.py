"""DPOT, a transformer that is pretrained on many flows (Hao et al., arXiv 2403.03542), written from its paper.

The Tiny and Small sizes have as many parameters as the published models.
"""

from __future__ import annotations

import math
from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

from replication.errors import ConfigError

#: Our files have the channels density, pressure, Vx, Vy; the published weights expect Vx, Vy, density, pressure. This
#: permutation is its own inverse.
FLOW_ORDER = (2, 3, 0, 1)


class FourierMixer(nn.Module):
    """Fourier attention: a two-layer complex network, shared by all kept modes.

    The ``width`` channels form ``heads`` blocks, which are not mixed. ``modes`` wavenumbers are kept along each axis;
    the others only pass the residual connection.
    """

    def __init__(self, width: int, heads: int, modes: int) -> None:
        super().__init__()
        self.heads, self.modes = heads, modes
        size = width // heads
        scale = 1 / size**2
        self.w1 = nn.Parameter(scale * torch.rand(2, heads, size, size))
        self.b1 = nn.Parameter(scale * torch.rand(2, heads, size))
        self.w2 = nn.Parameter(scale * torch.rand(2, heads, size, size))
        self.b2 = nn.Parameter(scale * torch.rand(2, heads, size))

    def forward(self, x: Tensor) -> Tensor:
        """Mix ``[batch, width, x, y]`` over space."""
        modes = torch.fft.rfft2(x.float(), norm="ortho").unflatten(1, (self.heads, -1))
        kept = modes[..., : self.modes, : self.modes]
        hidden = self._affine(kept, self.w1, self.b1)
        hidden = torch.complex(functional.gelu(hidden.real), functional.gelu(hidden.imag))
        mixed = torch.zeros_like(modes)
        mixed[..., : self.modes, : self.modes] = self._affine(hidden, self.w2, self.b2)
        return x + torch.fft.irfft2(mixed.flatten(1, 2), s=x.shape[-2:], norm="ortho")

    @staticmethod
    def _affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """A complex linear map within each head; ``x`` is ``[batch, head, channel, kx, ky]``."""
        out = torch.einsum("bhixy,hio->bhoxy", x, torch.complex(weight[0].float(), weight[1].float()))
        return out + torch.complex(bias[0].float(), bias[1].float())[None, :, :, None, None]


class Block(nn.Module):
    """Norm, Fourier attention, norm, pointwise network, and a residual connection around all four, as published."""

    def __init__(self, width: int, heads: int, modes: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(8, width)
        self.filter = FourierMixer(width, heads, modes)
        self.norm2 = nn.GroupNorm(8, width)
        self.mlp = nn.Sequential(nn.Conv2d(width, hidden, 1), nn.GELU(), nn.Conv2d(hidden, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Transform ``[batch, width, x, y]``."""
        return x + self.mlp(self.norm2(self.filter(self.norm1(x))))


class TimeAggregation(nn.Module):
    """Aggregate frames: ``sum_t W_t (z_t * cos(gamma t))``, t in [0, 1] (real part of the paper's exponential form)."""

    def __init__(self, frames: int, width: int) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(frames, width, width) / (frames * math.sqrt(width)))
        self.gamma = nn.Parameter(2 ** torch.linspace(-10, 10, width)[None])

    def forward(self, frames: Tensor) -> Tensor:
        """``[batch, t, width, x, y]`` to ``[batch, width, x, y]``."""
        times = torch.linspace(0, 1, frames.shape[1], device=frames.device)
        wave = torch.cos(times[:, None] * self.gamma)
        return torch.einsum("btixy,ti,tio->boxy", frames, wave, self.w)


class DPOT(nn.Module):
    """The network of DPOT (denoising operator transformer) for fine-tuning, without the denoising.

    Shapes: :func:`replication.operators.models.build_model`, with ``ndim`` 2.

    Args:
        width: channels of the hidden layers (Tiny 512, Small 1024).
        depth: blocks (Tiny 4, Small 6).
        heads: blocks of channels of the Fourier attention (Tiny 4, Small 8).
        modes: wavenumbers kept.
        mlp_ratio: hidden channels of a block's pointwise network over ``width``.
        patch: grid points along a side of a patch.
        size: grid points along a side for the position embeddings, which are interpolated to other sizes.
        head_width: channels after the patches are expanded to grid points.
        normalise: standardise each channel of a sample over its initial steps, and undo it in the prediction. The
            published models do not.
        classes: classes of pretraining (its data sets). The classifier is part of the published parameters, and its
            layers have spectra, but it is not used here.

    Raises ConfigError for sizes that do not divide.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        ndim: int,
        *,
        width: int = 512,
        depth: int = 4,
        heads: int = 4,
        modes: int = 32,
        mlp_ratio: float = 1.0,
        patch: int = 8,
        size: int = 128,
        head_width: int = 32,
        classes: int = 12,
        normalise: bool = False,
    ) -> None:
        if ndim != 2:
            raise ConfigError(f"DPOT works in 2 space dimensions, the data has {ndim}; use fno or unet")
        if width % heads or width % 8 or size % patch:
            raise ConfigError(
                f"DPOT: width {width} must be a multiple of heads {heads} and of 8, and size {size} of patch {patch}"
            )
        super().__init__()
        self.channels, self.patch, self.normalise = out_channels, patch, normalise
        frames = in_channels // out_channels
        # The input of a frame includes its coordinates x, y and t.
        hidden = out_channels * patch + 3
        project = nn.Sequential(
            nn.Conv2d(out_channels + 3, hidden, patch, stride=patch), nn.GELU(), nn.Conv2d(hidden, width, 1)
        )
        self.patch_embed = nn.Sequential(OrderedDict(proj=project))  # the published weights' name
        self.pos_embed = nn.Parameter(torch.empty(1, width, size // patch, size // patch))
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        self.time_agg_layer = TimeAggregation(frames, width)
        self.blocks = nn.ModuleList(Block(width, heads, modes, int(width * mlp_ratio)) for _ in range(depth))
        self.out_layer = nn.Sequential(
            nn.ConvTranspose2d(width, head_width, patch, stride=patch),
            nn.GELU(),
            nn.Conv2d(head_width, head_width, 1),
            nn.GELU(),
            nn.Conv2d(head_width, out_channels, 1),
        )
        self.cls_head = nn.Sequential(
            nn.Linear(width, width), nn.GELU(), nn.Linear(width, width), nn.GELU(), nn.Linear(width, classes)
        )

    def forward(self, frames: Tensor, grid: Tensor) -> Tensor:
        """Predict a frame; ``grid`` is not used, as the network makes its own coordinates, from 0 to 1 inclusive.

        Raises ConfigError if the patches do not fill the grid.
        """
        if any(points % self.patch for points in frames.shape[1:3]):
            raise ConfigError(
                f"DPOT cuts its grid into patches of {self.patch} x {self.patch} points, but the data has "
                f"{frames.shape[1]} x {frames.shape[2]}; change the data set's cells (or reduced_resolution) or 'patch'"
            )
        order = list(FLOW_ORDER if self.channels == len(FLOW_ORDER) else range(self.channels))
        # [batch, t, channel, x, y]
        inputs = frames.unflatten(-1, (-1, self.channels))[..., order].movedim((3, 4), (1, 2))
        if self.normalise:
            mean = inputs.mean((1, 3, 4), keepdim=True)
            # The added terms keep the rounding errors of a constant channel from being amplified.
            deviation = inputs.std((1, 3, 4), keepdim=True) + 1e-5 * mean.abs() + 1e-6
            inputs = (inputs - mean) / deviation
        times = torch.linspace(0, 1, inputs.shape[1], device=inputs.device)[None, :, None, None, None]
        axes = (torch.linspace(0, 1, points, device=inputs.device) for points in inputs.shape[-2:])
        coordinates = torch.stack(torch.meshgrid(*axes, indexing="ij")).expand(*inputs.shape[:2], -1, -1, -1)
        inputs = torch.cat((inputs, coordinates, times.expand(len(inputs), -1, 1, *inputs.shape[-2:])), dim=2)
        patches = self.patch_embed(inputs.flatten(0, 1))
        patches = patches + self._positions(patches.shape[-2:])
        x = self.time_agg_layer(patches.unflatten(0, inputs.shape[:2]))
        for block in self.blocks:
            x = block(x)
        frame = self.out_layer(x)
        if self.normalise:
            frame = frame * deviation[:, 0] + mean[:, 0]
        return frame[:, order].movedim(1, -1)

    def _positions(self, shape: torch.Size) -> Tensor:
        if self.pos_embed.shape[-2:] == shape:
            return self.pos_embed
        return functional.interpolate(self.pos_embed, size=shape, mode="bilinear")
