"""Simulation, training and collecting of the smoke grid's flows against the number of cores"""

from __future__ import annotations

import subprocess
import tempfile
from functools import partial
from pathlib import Path

from timing import Row, rows, take_turns

SNAKEFILE = Path(__file__).parents[1] / "Snakefile"
EXPERIMENT = "fig4_cfd_ratio"
CORES = (1, 2)


def run_grid(cores: int) -> None:
    """The experiment's runs, in an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["snakemake", "--snakefile", str(SNAKEFILE), "--directory", folder, "--cores", str(cores)]
        settings = ["--config", "scale=smoke", f"experiments=[{EXPERIMENT}]"]
        target = f"results/{EXPERIMENT}/runs.csv"
        done = subprocess.run([*command, target, *settings], check=False, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"snakemake failed: {done.stderr[-2000:]}")


def measure(quick: bool) -> list[Row]:
    if quick:
        return []
    seconds = take_turns({str(cores): partial(run_grid, cores) for cores in CORES}, rounds=2)
    made = rows("grid", "smoke grid against cores", EXPERIMENT, seconds)
    return [{**row, "size": int(row["variant"]), "variant": EXPERIMENT} for row in made]
