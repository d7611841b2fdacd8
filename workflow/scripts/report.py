"""Build the report from what the workflow made: one HTML file that opens without a connection."""

import sys
from pathlib import Path

# Left open: the error that ends the script is written last.
sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)

from replication.report.report import Sources, render
from replication.runs.seals import seal
from replication.settings.artifacts import Index
from replication.settings.paths import RUNS
from replication.statistics.cells import read_runs, read_stacked, read_table


def by_artifact(paths, ending):
    """Files with an ending, by the artifact that they are named after."""
    return {Path(path).stem: Path(path) for path in paths if path.endswith(ending)}


inputs, runs_folder = snakemake.input, Path(snakemake.params.results, RUNS)
runs = read_runs(inputs.runs)
sources = Sources(
    scale=snakemake.params.scale,
    runs=runs,
    layers=read_stacked(inputs.layers),
    spectra=read_stacked(inputs.spectra),
    history=read_stacked(inputs.history),
    verdicts=read_table(inputs.verdicts),
    gains=read_table(inputs.gains),
    measured=read_table(inputs.measured),
    estimates=read_table(inputs.estimates),
    trivial=read_stacked(inputs.trivial),
    forest=Path(inputs.forest),
    agreement=Path(inputs.agreement),
    figures=by_artifact(inputs.figures, ".png"),
    tables=by_artifact(inputs.tables, ".csv"),
    eigenvalues=[runs_folder / run / "eigenvalues.npz" for run in runs["run"].unique()],
    missing=snakemake.params.missing,
    animations=by_artifact(inputs.animations, ".gif"),
)
page = render(Index.from_plain(snakemake.params.artifacts), sources, Path(inputs.template))
Path(snakemake.output[0]).write_text(page, encoding="utf-8")
seal(*snakemake.output)
