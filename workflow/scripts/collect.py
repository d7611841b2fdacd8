"""Collect the runs of one experiment into tidy tables."""

import sys
from collections.abc import Sequence
from pathlib import Path


def main(records: Sequence[str], outputs: dict[str, str]) -> None:
    """Write runs.csv, layers.csv, history.csv and spectra.csv of the runs whose records are given."""
    from replication.runs.records import runs_table, stacked_table

    paths = [Path(record) for record in records]
    runs_table(paths).to_csv(outputs["runs"], index=False)
    for name in ("layers", "history", "spectra"):
        stacked_table(paths, f"{name}.csv").to_csv(outputs[name], index=False)


if "snakemake" in globals():
    # Left open: the error that ends the script is written last.
    sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)
    main(snakemake.input.records, dict(snakemake.output.items()))
