"""Simulating one sample against resolution, the batched solver beside the compiled one, and worker processes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from timing import Row, rows, take_turns

from replication.simulation.simulation import CHUNK, PDES, Simulation, flow_batch, simulate

CELLS = {"cfd1d": (64, 128, 256, 512, 1024), "cfd2d": (16, 32, 64, 128), "darcy": (16, 32, 64, 128)}
TITLES = {
    "cfd1d": "1-D flow, one sample, against cells",
    "cfd2d": "2-D flow, one sample, against cells a side",
    "darcy": "Darcy, one sample, against cells a side",
}


def one_sample(pde: str, cells: int) -> Callable[[], object]:
    return partial(PDES[pde], Simulation(pde, samples=1, cells=cells, stored_cells=cells), 0)


def resolution(quick: bool) -> list[Row]:
    made = []
    for pde, sizes in CELLS.items():
        one_sample(pde, 8)()  # compiles
        for cells in sizes[:2] if quick else sizes:
            seconds = take_turns({"compiled": one_sample(pde, cells)}, rounds=1 if quick else 3)
            made += rows("simulation", TITLES[pde], cells, seconds)
    return made


def batched(quick: bool) -> list[Row]:
    """A batch from both solvers: on a processor only at a size that takes seconds."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    cells = 8 if quick else 32 if device == "cpu" else 128
    simulation = Simulation("cfd2d", samples=CHUNK, cells=cells, stored_cells=cells, frames=2, t_end=0.05)
    numbers = range(CHUNK)
    calls: dict[str, Callable[[], Any]] = {
        "compiled": lambda: [PDES["cfd2d"](simulation, number) for number in numbers],
        f"batched ({device})": partial(flow_batch, simulation, numbers, device),
    }
    return rows("simulation", f"2-D flow, {CHUNK} samples", cells, take_turns(calls, rounds=1 if quick else 3))


def workers(quick: bool) -> list[Row]:
    """A whole data set with its file, from one process and from two workers, which start from nothing."""
    samples, cells = (2 * CHUNK, 16) if quick else (8 * CHUNK, 256)
    options = {"pde": "cfd1d", "samples": samples, "cells": cells, "t_end": 0.5}
    with tempfile.TemporaryDirectory() as folder:
        calls = {
            name: partial(simulate, options, Path(folder, "data.h5"), workers=count)
            for name, count in (("1 process", 1), ("2 workers", 2))
        }
        return rows("simulation", f"{samples} samples of 1-D flow", cells, take_turns(calls, rounds=1 if quick else 3))


def measure(quick: bool) -> list[Row]:
    return resolution(quick) + batched(quick) + workers(quick)
