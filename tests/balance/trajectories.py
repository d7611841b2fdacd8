"""The models and data of the oracle runs: the released FNO and a small RoBERTa."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn


def load(folder: Path, family: str) -> tuple[list[dict], dict[str, np.ndarray]]:
    """The runs and arrays of an oracle."""
    runs = json.loads((folder / "reference" / f"{family}_trajectory.json").read_text())
    with np.load(folder / "reference" / f"{family}_trajectory.npz", allow_pickle=False) as arrays:
        return runs, {name: arrays[name] for name in arrays.files}


class SpectralConv(nn.Module):
    """Fourier layer with PDEBench's parameter names: one weight per corner of kept modes."""

    def __init__(self, width: int, modes: int, dims: int) -> None:
        super().__init__()
        self.modes, self.dims = modes, dims
        shape = (width, width, *[modes] * dims)
        self.weights1 = nn.Parameter(torch.zeros(shape, dtype=torch.cfloat))
        if dims == 2:
            self.weights2 = nn.Parameter(torch.zeros(shape, dtype=torch.cfloat))

    def forward(self, x: Tensor) -> Tensor:
        axes = tuple(range(-self.dims, 0))
        spectrum = torch.fft.rfftn(x, dim=axes)
        out = torch.zeros_like(spectrum)
        m = self.modes
        if self.dims == 1:
            out[..., :m] = torch.einsum("bix,iox->box", spectrum[..., :m], self.weights1)
        else:
            out[..., :m, :m] = torch.einsum("bixy,ioxy->boxy", spectrum[..., :m, :m], self.weights1)
            out[..., -m:, :m] = torch.einsum("bixy,ioxy->boxy", spectrum[..., -m:, :m], self.weights2)
        return torch.fft.irfftn(out, s=x.shape[-self.dims :], dim=axes)


class ReleasedFNO(nn.Module):
    """The paper's FNO in one or two dimensions, with the names and order of the released modules."""

    def __init__(self, dims: int, channels: int, width: int, modes: int, frames: int = 10) -> None:
        super().__init__()
        self.dims = dims
        conv = nn.Conv1d if dims == 1 else nn.Conv2d
        self.fc0 = nn.Linear(frames * channels + dims, width)
        for index in range(4):
            setattr(self, f"conv{index}", SpectralConv(width, modes, dims))
        for index in range(4):
            setattr(self, f"w{index}", conv(width, width, 1))
        self.fc1 = nn.Linear(width, 128)
        self.fc2 = nn.Linear(128, channels)

    def forward(self, frames: Tensor, grid: Tensor) -> Tensor:
        x = self.fc0(torch.cat([frames, grid], dim=-1)).movedim(-1, 1)
        x = nn.functional.pad(x, [0, 2] * self.dims)
        for index in range(4):
            x = getattr(self, f"conv{index}")(x) + getattr(self, f"w{index}")(x)
            if index < 3:
                x = nn.functional.gelu(x)
        x = x[(..., *[slice(-2)] * self.dims)].movedim(1, -1)
        return self.fc2(nn.functional.gelu(self.fc1(x)))


def fno(run: dict, arrays: dict[str, np.ndarray]) -> tuple[ReleasedFNO, Tensor]:
    """The oracle's initial FNO and its data ``[sample, *x, t, channel]``."""
    name = f"fno{run['dim']}d"
    data = torch.tensor(arrays[f"{name}/data"])
    model = ReleasedFNO(run["dim"], data.shape[-1], 20, {1: 8, 2: 6}[run["dim"]])
    state = {}
    for key, value in model.state_dict().items():
        array = torch.tensor(arrays[f"{name}/init/{key}"])
        state[key] = torch.view_as_complex(array) if value.is_complex() else array
    model.load_state_dict(state)
    return model, data


def rollout(model: ReleasedFNO, batch: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """(prediction, truth) of every frame after the tenth, autoregressively."""
    axes = [torch.linspace(0, 1, n + 1)[:-1] for n in batch.shape[1:-2]]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).expand(len(batch), *batch.shape[1:-2], -1)
    frames = batch[..., :10, :]
    for t in range(10, batch.shape[-2]):
        predicted = model(frames.flatten(-2), grid)
        yield predicted, batch[..., t, :]
        frames = torch.cat([frames[..., 1:, :], predicted.unsqueeze(-2)], dim=-2)


def train_loss(model: ReleasedFNO, batch: Tensor) -> Tensor:
    return torch.stack([(p - t).square().mean() for p, t in rollout(model, batch)]).sum()


@torch.no_grad()
def nrmse(model: ReleasedFNO, batch: Tensor) -> float:
    """PDEBench's nRMSE: over all frames, including the ten initial steps (error 0)."""
    space = tuple(range(1, batch.ndim - 2))
    values = [(p - t).square().mean(space).sqrt() / t.square().mean(space).sqrt() for p, t in rollout(model, batch)]
    return float(torch.stack(values).mean() * len(values) / batch.shape[-2])


def roberta(arrays: dict[str, np.ndarray]) -> nn.Module:
    """The RoBERTa of the oracle (3 layers) with its initial weights."""
    from transformers import RobertaConfig, RobertaForSequenceClassification

    config = RobertaConfig(
        vocab_size=200, hidden_size=64, num_hidden_layers=3, num_attention_heads=4, intermediate_size=128,
        max_position_embeddings=40, num_labels=2, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        type_vocab_size=1, attn_implementation="eager",
    )  # fmt: skip
    model = RobertaForSequenceClassification(config)
    state = {name.removeprefix("init/"): torch.tensor(v) for name, v in arrays.items() if name.startswith("init/")}
    problems = model.load_state_dict(state, strict=False)
    assert not problems.unexpected_keys
    return model
