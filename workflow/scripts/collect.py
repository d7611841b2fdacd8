"""Collect the runs that one experiment shows into runs.csv, trials.csv and history.csv."""

import sys
from pathlib import Path

# Left open: the error that ends the script is written last.
sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)

from replication.runs.records import experiment_tables, stacked_table
from replication.runs.seals import seal
from replication.settings.config import Config
from replication.settings.grid import load_grid
from replication.statistics.cells import read_table
from replication.statistics.trivial import join_trivial

root, results, outputs = Path(snakemake.params.root), Path(snakemake.params.results), snakemake.output
grid = load_grid(root, Config.from_mapping(snakemake.config, root))
runs, trials = experiment_tables(grid, grid.experiments[snakemake.wildcards.experiment], results)
runs = join_trivial(runs, [read_table(path) for path in snakemake.input.trivial])
history = stacked_table(runs, results, "history.csv")
for path, table in ((outputs.runs, runs), (outputs.trials, trials), (outputs.history, history)):
    table.to_csv(path, index=False)
seal(*outputs)
