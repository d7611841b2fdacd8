"""Samples a second of each simulation, side by side in one run: the compiled solver, then the batched one.

Prints the median over repetitions; compilation is done before the clock starts. Machines are noisy: compare lines of
one run, not runs.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Mapping
from typing import Any

import torch

from replication.simulation.simulation import CHUNK, PDES, Simulation, flow_batch

CASES = {
    "1-D CFD, 128 cells, 21 frames": {"pde": "cfd1d", "cells": 128},
    "1-D CFD, 1024 cells, 101 frames (PDEBench)": {"pde": "cfd1d", "cells": 1024, "frames": 101},
    "2-D CFD, 32 x 32, 21 frames": {"pde": "cfd2d", "cells": 32},
    "2-D CFD, 64 x 64, 21 frames": {"pde": "cfd2d", "cells": 64},
    "2-D CFD, 128 x 128, 21 frames (PDEBench)": {"pde": "cfd2d", "cells": 128},
    "Darcy, 32 x 32": {"pde": "darcy", "cells": 32},
    "Darcy, 128 x 128 (PDEBench)": {"pde": "darcy", "cells": 128},
}


BATCHED = ("2-D CFD, 64 x 64, 21 frames", "2-D CFD, 128 x 128, 21 frames (PDEBench)")


def time_batch(options: Mapping[str, Any], device: str) -> float:
    """Seconds a sample of one batch on a device."""
    simulation = Simulation.from_options({"samples": CHUNK, "solver": "torch", **options})
    start = time.perf_counter()
    flow_batch(simulation, range(CHUNK), device)
    return (time.perf_counter() - start) / CHUNK


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5, help="samples a case (default 5)")
    repeat = parser.parse_args().repeat
    for pde in ("cfd1d", "cfd2d"):
        PDES[pde](Simulation(pde, samples=1, cells=8, stored_cells=8, frames=2, t_end=1e-3), 0)
    print(f"{'case':60s} {'s a sample':>12s} {'samples/s':>10s}")

    def line(name: str, seconds: float) -> None:
        print(f"{name:60s} {seconds:12.4f} {1 / seconds:10.2f}", flush=True)

    for name, options in CASES.items():
        simulation = Simulation.from_options({"samples": repeat, **options})
        times = []
        for sample in range(repeat):
            start = time.perf_counter()
            PDES[simulation.pde](simulation, sample)
            times.append(time.perf_counter() - start)
        line(name, statistics.median(times))
    # Where there is no GPU the batched solver is timed on the smallest case only: the larger would take an hour.
    device, names = ("cuda", BATCHED) if torch.cuda.is_available() else ("cpu", ("2-D CFD, 32 x 32, 21 frames",))
    for name in names:
        line(f"{name}, batch of {CHUNK} ({device})", time_batch(CASES[name], device))


if __name__ == "__main__":
    main()
