"""What a training step of an operator costs: Fourier layers by FFT and by matrix products, and the U-Net.

    python benchmarks/operators.py [--quick]

A step is a rollout, its gradient and Adam, on one thread. Both variants take turns in one process, so other load on
the machine hits them alike; compare the rows of one run, not runs. `ratio` is FFT over products.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import torch

from replication.operators import fno
from replication.operators.models import build_model
from replication.operators.optim import build_optimizer
from replication.operators.rollout import rollout, rollout_loss
from replication.settings.hyper import OperatorHyper

INITIAL = 10
# name, grid, batch, predicted frames, numbers of modes
FNO_CASES = (
    ("FNO 1-D, 64 cells", (64,), 4, 11, (12,)),
    ("FNO 1-D, 256 cells", (256,), 10, 11, (12, 64, 128)),
    ("FNO 1-D, 1024 cells", (1024,), 4, 2, (12, 128, 256, 512)),
    ("FNO 2-D, 64 x 64", (64, 64), 20, 4, (12,)),
    ("FNO 2-D, 128 x 128 (Darcy)", (128, 128), 10, 1, (12, 32)),
)
UNET_CASES = (("U-Net 1-D, 256 cells", (256,), 25, 1), ("U-Net 2-D, 64 x 64", (64, 64), 4, 1))


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


def rows_of(name: str, size: str, modes: int | None, steps: dict[str, Callable[[], None]], repeat: int) -> list[dict]:
    """One row per variant; repetitions alternate, and the first is not counted."""
    seconds: dict[str, list[float]] = {variant: [] for variant in steps}
    for _ in range(repeat + 1):
        for variant, step in steps.items():
            start = time.perf_counter()
            step()
            seconds[variant].append(time.perf_counter() - start)
    medians = {variant: statistics.median(values[1:]) for variant, values in seconds.items()}
    slowest = medians.get("fft")
    return [
        {
            "name": name, "size": size, "modes": modes, "variant": variant, "seconds": median,
            "spread": max(seconds[variant][1:]) - min(seconds[variant][1:]),
            "ratio": slowest / median if slowest else None,
        }
        for variant, median in medians.items()
    ]  # fmt: skip


def measure(quick: bool = False) -> list[dict]:
    """Rows ``name, size, modes, variant (fft, product, conv), seconds (median), spread (range), ratio``.

    Args:
        quick: the smallest cases only, three repetitions instead of five.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    repeat = 3 if quick else 5
    rows: list[dict] = []
    for name, space, batch, frames, counts in FNO_CASES[:2] if quick else FNO_CASES:
        for modes in counts:
            step = training_step({"kind": "fno", "modes": modes}, space, batch, frames)
            variants = {"fft": by(False, step), "product": by(True, step)}
            rows += rows_of(name, " x ".join(map(str, (*space, batch))), modes, variants, repeat)
    for name, space, batch, frames in UNET_CASES[:1] if quick else UNET_CASES:
        step = training_step({"kind": "unet", "init_features": 8 if quick else 32}, space, batch, frames)
        rows += rows_of(name, " x ".join(map(str, (*space, batch))), None, {"conv": step}, repeat)
    torch.set_num_threads(threads)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the smallest cases only")
    print(f"{'case':28} {'grid x batch':>14} {'modes':>6} {'variant':>8} {'seconds':>9} {'spread':>9} {'ratio':>6}")
    for row in measure(parser.parse_args().quick):
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
        print(
            f"{row['name']:28} {row['size']:>14} {row['modes'] or '':>6} {row['variant']:>8} "
            f"{row['seconds']:9.4f} {row['spread']:9.4f} {ratio:>6}"
        )


if __name__ == "__main__":
    main()
