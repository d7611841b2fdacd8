"""Collect the spectra of the runs that one experiment shows: layers.csv (trained) and spectra.csv (in training)."""

import sys
from pathlib import Path

# Left open: the error that ends the script is written last.
sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)

from replication.runs.records import stacked_table
from replication.runs.seals import seal
from replication.statistics.cells import read_table

runs, results = read_table(snakemake.input.runs), Path(snakemake.params.results)
for name, path in snakemake.output.items():
    stacked_table(runs, results, f"{name}.csv").to_csv(path, index=False)
seal(*snakemake.output)
