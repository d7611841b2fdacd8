"""The smoke grid against the number of cores."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from timing import Row, rows, seconds_of

ROOT = Path(__file__).parents[1]
CORES = (1, 2)
EXPERIMENTS = "[fig4_cfd_ratio, table23_darcy]"


def run_grid(cores: int) -> None:
    """Data, training, figures and tables of two experiments, in an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", folder, "--quiet", "all"]
        settings = ["scale=smoke", f"experiments={EXPERIMENTS}"]
        subprocess.run([*command, "--cores", str(cores), "--config", *settings], check=True, capture_output=True)


def measure(quick: bool) -> list[Row]:
    if quick:
        return []
    return [
        {**rows("grid", "smoke grid", cores, {"snakemake": [seconds_of(lambda cores=cores: run_grid(cores))]})[0]}
        for cores in CORES
    ]
