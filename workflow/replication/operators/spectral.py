"""A Fourier layer by matrix products: a truncated Fourier transform is a small matrix along each axis.

An FNO keeps a dozen modes on grids of 64 to 258 points. For so few modes, products with small real matrices cost less
than a whole FFT, and the weights are applied by one batched product. Fields are stored as ``[x, (y), batch, channel]``,
so that each transform, and the 1x1 convolution, is a product of contiguous matrices.

Weights and results are those of neuraloperator's ``SpectralConv``, up to rounding.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from replication.operators.stock import neuralop_layer

#: Products are used for up to this many kept modes per axis. The cost of a product grows with the modes; that of an FFT
#: hardly does. With 256 modes and 1,024 points both take equally long (benchmarks/operators.py).
MOST_MODES = 256


class SpectralWeights(nn.Module):
    """The parameter of neuraloperator's ``SpectralConv`` without bias, under its name ``weight.tensor``.

    ``width`` is the number of channels in and out, ``modes`` the number kept along each axis: of both signs, but only
    the non-negative ones along the last axis.

    It draws as many random numbers as neuraloperator's layer, so a seed gives the same network with both.
    """

    def __init__(self, width: int, modes: tuple[int, ...]) -> None:
        super().__init__()
        self.weight = nn.Module()
        self.weight.tensor = nn.Parameter(torch.randn(width, width, *modes, dtype=torch.cfloat) / width**0.5)

    def for_grid(self, points: tuple[int, ...]) -> Tensor:
        """Weights ``[in, out, modes...]`` for the modes of a grid; a coarse grid has only the lowest."""
        weight: Tensor = self.get_parameter("weight.tensor")
        for axis, size in enumerate(points[:-1], start=2):
            surplus = max(0, weight.shape[axis] - size)
            weight = weight.narrow(axis, surplus // 2, weight.shape[axis] - surplus)
        return weight[..., : points[-1] // 2 + 1]


class Transform(NamedTuple):
    """A truncated Fourier transform as real matrices: for the last axis, and in 2-D also for the first."""

    #: From a field to the real and imaginary parts of its kept modes.
    analysis: list[Tensor]
    #: From the four products of real and imaginary parts of modes and weights to a field.
    synthesis: list[Tensor]


@lru_cache(maxsize=16)
@torch.inference_mode(mode=False)  # the cached matrices are also used in training
def transform(points: tuple[int, ...], modes: tuple[int, ...], device: torch.device) -> Transform:
    """The matrices of a grid: transforms of unit vectors, computed in float64 and stored as float32.

    There are ``points`` along one or two axes (the first of two must be even), of which ``modes`` are kept.
    """
    n, kept = points[-1], modes[-1]
    unit = torch.eye(kept, dtype=torch.cdouble)
    forward = torch.fft.rfft(torch.eye(n, dtype=torch.double), norm="forward")[:, :kept].T  # [k, n]
    real, imag = (torch.fft.irfft(part, n=n, norm="forward").T for part in (unit, 1j * unit))  # [n, k]
    if len(points) == 1:
        # Modes are ordered (k, part), products (part of the weight, k, part of the mode), with i * i = -1.
        analysis = [torch.stack((forward.real, forward.imag), 1).flatten(0, 1)]
        both = torch.stack((torch.stack((real, imag), -1), torch.stack((imag, -real), -1)), 1)
        synthesis = [both.flatten(1)]
    else:
        m, kept = points[0], modes[0]
        wavenumbers = torch.arange(kept) - kept // 2
        first = torch.fft.fft(torch.eye(m, dtype=torch.double), norm="forward")[wavenumbers]  # [k, m]
        back = first.conj().T * m
        products = torch.stack((torch.stack((back, 1j * back), -1), torch.stack((1j * back, -back), -1)), 1)
        parts = torch.stack((first, 1j * first), -1)  # contributions of a real and an imaginary input
        analysis = [
            torch.cat((forward.real, forward.imag)),
            torch.stack((parts.real, parts.imag), 1).flatten(2).flatten(0, 1),
        ]
        synthesis = [
            torch.cat((real, imag), 1),
            torch.stack((products.real, products.imag), 1).flatten(2).flatten(0, 1),
        ]
    return Transform(*([one.float().contiguous().to(device) for one in both] for both in (analysis, synthesis)))


def _to_modes(field: Tensor, last: Tensor, first: Tensor | None = None) -> Tensor:
    """``[x, (y), batch, channel]`` to ``[modes, part * batch, channel]``."""
    batch, channels = field.shape[-2:]
    if first is None:
        return (last @ field.flatten(1)).view(-1, 2 * batch, channels)
    x, kept = len(field), len(last) // 2
    lines = torch.bmm(last.expand(x, -1, -1), field.flatten(2))
    modes = first @ lines.view(2 * x, kept * batch * channels)
    return modes.view(-1, 2, kept, batch * channels).transpose(1, 2).reshape(-1, 2 * batch, channels)


def _add_field(field: Tensor, modes: Tensor, last: Tensor, first: Tensor | None = None) -> None:
    """Add the field of the modes to ``[x, (y), batch, channel]``, in place."""
    size = field.shape[-2:].numel()
    if first is None:
        field.flatten(1).addmm_(last, modes.view(-1, size))
        return
    x, kept = len(field), last.shape[1] // 2
    lines = first @ modes.view(-1, kept, 2, size).transpose(1, 2).reshape(-1, kept * size)
    field.flatten(2).baddbmm_(last.expand(x, -1, -1), lines.view(x, 2 * kept, size))


class _FourierLayer(torch.autograd.Function):
    """Has its own gradient, so that results are added in place, without copies."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, spectral: Tensor, weight: Tensor, bias: Tensor, matrices: Transform) -> Tensor:
        """See :func:`fourier_layer`; ``spectral`` is ``[part * modes, in, out]``, real."""
        modes = _to_modes(x, *matrices.analysis).repeat(2, 1, 1)
        out = torch.addmm(bias, x.flatten(0, -2), weight.T).view(*x.shape[:-1], -1)
        _add_field(out, torch.bmm(modes, spectral), *matrices.synthesis)
        ctx.save_for_backward(x, modes, spectral, weight)
        ctx.matrices = matrices
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """The adjoints of the products of ``forward``, in reverse order."""
        x, modes, spectral, weight = ctx.saved_tensors
        grad = grad.contiguous()
        rows = grad.flatten(0, -2)
        mixed = _to_modes(grad, *(matrix.T for matrix in ctx.matrices.synthesis))
        real, imag = torch.bmm(mixed, spectral.mT).chunk(2)
        out = (rows @ weight).view_as(x)
        _add_field(out, real.add_(imag), *(matrix.T for matrix in ctx.matrices.analysis))
        return out, torch.bmm(modes.mT, mixed), rows.T @ x.flatten(0, -2), rows.sum(0), None


def real_weights(weight: Tensor) -> Tensor:
    """Complex weights ``[in, out, modes...]`` as real ones ``[part * modes, in, out]``, for :func:`fourier_layer`."""
    return torch.view_as_real(weight).flatten(2, -2).permute(3, 2, 0, 1).flatten(0, 1).contiguous()


def fourier_layer(x: Tensor, weights: Tensor, local: nn.Module, modes: tuple[int, ...]) -> Tensor:
    """Spectral convolution plus the 1x1 convolution ``local`` of ``[x, (y), batch, channel]``, float32, contiguous.

    ``weights`` come from :func:`real_weights`; ``modes`` are kept along each axis.
    """
    matrices = transform(tuple(x.shape[:-2]), modes, x.device)
    weight, bias = local.get_parameter("weight"), local.get_parameter("bias")
    result: Tensor = _FourierLayer.apply(x, weights, weight.flatten(1), bias, matrices)
    return result


def products_pay(points: tuple[int, ...], modes: tuple[int, ...]) -> bool:
    """Whether the transform of a grid is computed by matrix products, not by FFT.

    On an odd first axis, neuraloperator's layer shifts the modes by one. Such grids use that layer, so results agree.
    """
    return max(modes) <= MOST_MODES and all(size % 2 == 0 for size in points[:-1])


_reference_layer = cache(neuralop_layer)


def fft_layer(x: Tensor, weights: SpectralWeights, local: nn.Module) -> Tensor:
    """The same layer by neuraloperator's ``SpectralConv``; input and output are ``[x, (y), batch, channel]``."""
    weight = weights.get_parameter("weight.tensor")
    first = x.movedim((-2, -1), (0, 1))
    reference = _reference_layer(weight.shape[0], tuple(weight.shape[2:]))
    convolved = torch.func.functional_call(reference, {"weight.tensor": weight}, first.float())
    return (convolved + local(first)).movedim((0, 1), (-2, -1)).contiguous()
