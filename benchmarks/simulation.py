"""Samples a second of each simulation, one thread, side by side in one run.

Prints the median over repetitions; compilation is done before the clock starts. Machines are noisy: compare lines of
one run, not runs.
"""

from __future__ import annotations

import argparse
import statistics
import time

from tempbalance.sciml.simulation import PDES, Simulation

CASES = {
    "1-D CFD, 128 cells, 21 frames": {"pde": "cfd1d", "cells": 128},
    "1-D CFD, 1024 cells, 101 frames (PDEBench)": {"pde": "cfd1d", "cells": 1024, "frames": 101},
    "2-D CFD, 32 x 32, 21 frames": {"pde": "cfd2d", "cells": 32},
    "2-D CFD, 64 x 64, 21 frames": {"pde": "cfd2d", "cells": 64},
    "2-D CFD, 128 x 128, 21 frames (PDEBench)": {"pde": "cfd2d", "cells": 128},
    "Darcy, 32 x 32": {"pde": "darcy", "cells": 32},
    "Darcy, 128 x 128 (PDEBench)": {"pde": "darcy", "cells": 128},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5, help="samples a case (default 5)")
    repeat = parser.parse_args().repeat
    for pde in ("cfd1d", "cfd2d"):
        PDES[pde](Simulation(pde, samples=1, cells=8, stored_cells=8, frames=2, t_end=1e-3), 0)
    print(f"{'case':45s} {'s a sample':>12s} {'samples/s':>10s}")
    for name, options in CASES.items():
        simulation = Simulation.from_options({"samples": repeat, **options})
        times = []
        for sample in range(repeat):
            start = time.perf_counter()
            PDES[simulation.pde](simulation, sample)
            times.append(time.perf_counter() - start)
        median = statistics.median(times)
        print(f"{name:45s} {median:12.4f} {1 / median:10.2f}", flush=True)


if __name__ == "__main__":
    main()
