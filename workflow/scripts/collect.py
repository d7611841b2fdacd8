"""Collect the runs that one experiment shows into tidy tables."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def main(
    experiment: str,
    *,
    config: Mapping[str, Any],
    root: str,
    results: str,
    trivial: Sequence[str],
    outputs: Mapping[str, str],
) -> None:
    """Write runs.csv, trials.csv and history.csv of the configured experiment.

    ``trivial`` are the scores of the trivial predictors on its data sets.
    """
    from replication.runs.records import experiment_tables, stacked_table
    from replication.settings.config import Config
    from replication.settings.grid import load_grid
    from replication.statistics.cells import read_table
    from replication.statistics.trivial import join_trivial

    grid = load_grid(Path(root), Config.from_mapping(config, Path(root)))
    runs, trials = experiment_tables(grid, grid.experiments[experiment], Path(results))
    runs = join_trivial(runs, [read_table(path) for path in trivial])
    runs.to_csv(outputs["runs"], index=False)
    trials.to_csv(outputs["trials"], index=False)
    stacked_table(runs, Path(results), "history.csv").to_csv(outputs["history"], index=False)


if "snakemake" in globals():
    # Left open: the error that ends the script is written last.
    sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)
    main(
        snakemake.wildcards.experiment,
        config=snakemake.config,
        root=snakemake.params.root,
        results=snakemake.params.results,
        trivial=snakemake.input.trivial,
        outputs=dict(snakemake.output.items()),
    )
