"""PDEBench's metrics (arXiv 2210.07182, appendix B), accumulated over batches."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor

LOW, HIGH = 4, 12  # PDEBench's bands of wavenumbers: 0 to 3, 4 to 11, 12 and above


class Errors:
    """Errors of predicted frames over any number of batches.

    ``nrmse`` is the mean over all ``T`` frames, as in PDEBench. The initial steps have no error, so they dilute it by
    ``(T - initial_steps) / T``. ``nrmse_rollout`` is the mean over the predicted frames only.
    """

    def __init__(self, initial_steps: int = 0) -> None:
        self.initial_steps = initial_steps
        self._count = 0
        self._sums: defaultdict[str, Any] = defaultdict(float)
        self._largest: Any = 0.0

    def update(self, predicted: Tensor, target: Tensor) -> None:
        """Add a batch; both are ``[batch, x, (y), t, channel]``."""
        # [batch, channel, t, x, (y)]
        p, t = (tensor.movedim((-1, -2), (1, 2)).double() for tensor in (predicted, target))
        space = tuple(range(3, p.ndim))
        error = p - t
        rms = error.square().mean(space).sqrt()
        values = {
            "rmse": rms,
            "nrmse": rms / t.square().mean(space).sqrt(),
            "boundary": _boundary(error),
            "conserved": error.mean(space).square(),
            "spectrum": _spectrum(error),
        }
        for name, one in values.items():
            self._sums[name] += one.sum(0)
        self._largest = error.abs().amax((0, *space)).clamp_min(self._largest)
        self._count += len(p)

    def result(self) -> dict[str, float]:
        """The metrics: ``rmse, nrmse, nrmse_rollout, crmse, max, brmse, frmse_low, frmse_mid, frmse_high``.

        The metric of a Fourier band that the grid does not have is NaN.
        """
        means = {name: total / self._count for name, total in self._sums.items()}
        spectrum = means["spectrum"].sqrt()  # [channel, t, wavenumber]
        bands = {"low": spectrum[..., :LOW], "mid": spectrum[..., LOW:HIGH], "high": spectrum[..., HIGH:]}
        values = {
            "rmse": means["rmse"].mean(),
            "nrmse": means["nrmse"].mean(),
            "nrmse_rollout": means["nrmse"][:, self.initial_steps :].mean(),
            "crmse": means["conserved"].sqrt().mean(),
            "max": self._largest.mean(),
            "brmse": means["boundary"].mean(),
            **{f"frmse_{name}": band.mean() for name, band in bands.items()},
        }
        return {name: float(value) for name, value in values.items()}


def _boundary(error: Tensor) -> Tensor:
    """Root-mean-square error on the boundary, ``[batch, channel, t]``."""
    square = error.square()
    if error.ndim == 4:
        return ((square[..., 0] + square[..., -1]) / 2).sqrt()
    nx, ny = error.shape[-2:]
    along_y = (square[..., 0, :] + square[..., -1, :]).sum(-1)
    along_x = (square[..., :, 0] + square[..., :, -1]).sum(-1)
    return ((along_x + along_y) / (2 * nx + 2 * ny)).sqrt()


def _spectrum(error: Tensor) -> Tensor:
    """Squared error by wavenumber, ``[batch, channel, t, wavenumber]``; in 2-D summed over shells of |k|."""
    if error.ndim == 4:
        return (torch.fft.rfft(error, dim=-1).abs() / error.shape[-1]).square()
    nx, ny = error.shape[-2:]
    power = (torch.fft.fftn(error, dim=(-2, -1)).abs() / (nx * ny)).square()[..., : nx // 2, : ny // 2]
    kx, ky = torch.meshgrid(torch.arange(nx // 2), torch.arange(ny // 2), indexing="ij")
    shell = (kx.square() + ky.square()).double().sqrt().floor().long().to(error.device)
    shells = min(nx // 2, ny // 2)
    kept = shell < shells
    out = power.new_zeros(*power.shape[:3], shells)
    return out.index_add_(-1, shell[kept], power[..., kept])
