"""Collect the spectra of the runs that one experiment shows into tidy tables."""

import sys
from collections.abc import Mapping
from pathlib import Path


def main(runs: str, *, results: str, outputs: Mapping[str, str]) -> None:
    """Write layers.csv (after training) and spectra.csv (along it) of the runs in ``runs``."""
    from replication.runs.records import stacked_table
    from replication.statistics.cells import read_table

    for name, output in outputs.items():
        stacked_table(read_table(runs), Path(results), f"{name}.csv").to_csv(output, index=False)


if "snakemake" in globals():
    # Left open: the error that ends the script is written last.
    sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)
    main(snakemake.input.runs, results=snakemake.params.results, outputs=dict(snakemake.output.items()))
