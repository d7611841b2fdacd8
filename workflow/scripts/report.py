"""Build the report: one HTML file that opens without a connection."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def main(
    *,
    runs: Sequence[str],
    layers: Sequence[str],
    history: Sequence[str],
    spectra: Sequence[str],
    eigenvalues: Sequence[str],
    figures: Sequence[str],
    forest: str,
    animations: Sequence[str],
    tables: Sequence[str],
    trivial: Sequence[str],
    gains: str,
    verdicts: str,
    artifacts: Sequence[Mapping[str, Any]],
    template: str,
    scale: str,
    missing: Mapping[str, str],
    output: str,
) -> None:
    """Write the page from what the workflow made.

    ``artifacts`` are the fields of all of them. ``figures`` (PNG, CSV), ``animations`` (GIF) and ``tables`` (CSV, HTML,
    LaTeX) are named after them.
    """
    from replication.report.report import Sources, render
    from replication.settings.artifacts import Index
    from replication.statistics.cells import read_runs, read_stacked, read_table
    from replication.statistics.overview import read_gains

    sources = Sources(
        scale=scale,
        runs=read_runs(runs),
        layers=read_stacked(layers),
        spectra=read_stacked(spectra),
        history=read_stacked(history),
        verdicts=read_table(verdicts),
        gains=read_gains(gains),
        trivial=read_stacked(trivial),
        forest=Path(forest),
        figures={Path(path).stem: Path(path) for path in figures if path.endswith(".png")},
        tables={Path(path).stem: Path(path) for path in tables if path.endswith(".csv")},
        eigenvalues=[Path(path) for path in eigenvalues],
        missing=missing,
        animations={Path(path).stem: Path(path) for path in animations},
    )
    page = render(Index.from_plain(artifacts), sources, Path(template))
    Path(output).write_text(page, encoding="utf-8")


if "snakemake" in globals():
    # Left open: the error that ends the script is written last.
    sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)
    main(
        **{kind: snakemake.input[kind] for kind in ("runs", "layers", "history", "spectra", "eigenvalues")},
        **{kind: snakemake.input[kind] for kind in ("figures", "forest", "animations", "tables", "trivial")},
        **{kind: snakemake.input[kind] for kind in ("gains", "verdicts", "template")},
        artifacts=snakemake.params.artifacts,
        scale=snakemake.params.scale,
        missing=snakemake.params.missing,
        output=snakemake.output[0],
    )
