"""What a training step of an operator costs: Fourier layers by FFT and by matrix products, and the U-Net

    python benchmarks/operators.py [--quick]

A step is a rollout, its gradient and Adam, on one thread. Both routes take turns in one process; FFT is the reference.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np
import torch
from timing import Row, rows, show, take_turns

from replication.operators import fno
from replication.operators.models import build_model
from replication.operators.optim import build_optimizer
from replication.operators.rollout import rollout, rollout_loss
from replication.settings.hyper import OperatorHyper

INITIAL = 10
# name, grid points a side, dimensions, batch, predicted frames
AGAINST_GRID = (
    ("FNO 1-D step, 11 frames, batch 10, against cells", (64, 256, 1024), 1, 10, 11),
    ("FNO 2-D step, 1 frame, batch 10, against cells a side", (32, 64, 128), 2, 10, 1),
    ("FNO 2-D step, 4 frames, batch 20", (64,), 2, 20, 4),
)
# name, grid, batch, predicted frames, numbers of modes
AGAINST_MODES = (
    ("FNO 1-D step, 256 cells, against modes", (256,), 10, 11, (12, 64, 128)),
    ("FNO 1-D step, 1024 cells, against modes", (1024,), 4, 2, (12, 128, 256, 512)),
    ("FNO 2-D step, 128 x 128, against modes", (128, 128), 10, 1, (12, 32, 64)),
)
MODES = 12
UNET = (("U-Net 1-D step, batch 25", (256,), 25), ("U-Net 2-D step, batch 4", (64, 64), 4))


def training_step(options: dict[str, Any], space: tuple[int, ...], batch: int, frames: int) -> Callable[[], None]:
    """One step of training as the pipeline takes it."""
    torch.manual_seed(0)
    ndim, channels = len(space), len(space) + 2
    model = build_model(options, INITIAL * channels, channels, ndim)
    optimizer = build_optimizer(model, OperatorHyper(epochs=1, batch_size=batch, lr=1e-3))
    given, target = (torch.randn(batch, *space, count, channels) for count in (INITIAL, frames))
    grid = torch.rand(*space, ndim)

    def step() -> None:
        loss = rollout_loss(rollout(model, given, grid, frames), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def by(products: bool, step: Callable[[], None]) -> Callable[[], None]:
    """The step with Fourier layers by products, or by FFT."""

    def chosen() -> None:
        with mock.patch.object(fno, "products_pay", return_value=products):
            step()

    return chosen


def fno_rows(
    name: str, size: int, modes: int, space: tuple[int, ...], batch: int, frames: int, rounds: int
) -> list[Row]:
    """Both routes of a step, after a first one that is not counted."""
    step = training_step({"kind": "fno", "modes": modes}, space, batch, frames)
    calls = {"FFT": by(False, step), "products": by(True, step)}
    take_turns(calls, rounds=1)
    return rows("operators", name, size, take_turns(calls, rounds))


def crossing(name: str, found: list[Row]) -> Row:
    """The number of modes at which both routes take as long, by linear interpolation of the measured ratios."""
    modes, ratios = zip(*((row["size"], row["ratio"]) for row in found if row["variant"] == "products"), strict=True)
    slower = next((index for index, ratio in enumerate(ratios) if ratio >= 1), None)
    if slower is None:
        place: str | float = f"products are faster up to {modes[-1]}"
    else:
        near = slice(max(slower - 1, 0), slower + 1)
        place = float(np.interp(1.0, ratios[near], modes[near]))
    return {"benchmark": "operators", "name": "Modes at which FFT is as fast as products", "of": name, "modes": place}


def measure(quick: bool) -> list[Row]:
    torch.set_num_threads(1)
    rounds = 2 if quick else 5
    made: list[Row] = []
    for name, sides, ndim, batch, frames in AGAINST_GRID[:1] if quick else AGAINST_GRID:
        for side in sides[:2] if quick else sides:
            made += fno_rows(name, side, MODES, (side,) * ndim, batch, frames, rounds)
    crossings = []
    for name, space, batch, frames, counts in AGAINST_MODES[:1] if quick else AGAINST_MODES:
        found: list[Row] = []
        for modes in counts[:2] if quick else counts:
            found += fno_rows(name, modes, modes, space, batch, frames, rounds)
        made += found
        crossings.append(crossing(name, found))
    for name, space, batch in UNET[:1] if quick else UNET:
        step = training_step({"kind": "unet", "init_features": 8 if quick else 32}, space, batch, 1)
        take_turns({"conv": step}, rounds=1)
        made += rows("operators", name, space[0], take_turns({"conv": step}, rounds))
    return made + crossings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the smallest cases only")
    show(measure(parser.parse_args().quick))


if __name__ == "__main__":
    main()
