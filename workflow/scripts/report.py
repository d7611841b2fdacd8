"""Build the report: one HTML file that opens without a connection."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def main(
    *,
    runs: Sequence[str],
    layers: Sequence[str],
    history: Sequence[str],
    spectra: Sequence[str],
    eigenvalues: Sequence[str],
    predictions: Sequence[str],
    figures: Sequence[str],
    animations: Sequence[str],
    tables: Sequence[str],
    verdicts: str,
    published: str,
    index: str,
    template: str,
    scale: str,
    missing: Mapping[str, str],
    output: str,
) -> None:
    """Write the page. ``figures`` (PNG), ``animations`` (GIF) and ``tables`` (CSV) are named after their artifacts."""
    from replication.report.report import Sources, render
    from replication.settings.artifacts import read_index
    from replication.statistics.cells import read_runs, read_stacked, read_table
    from replication.statistics.published import read_published

    sources = Sources(
        scale=scale,
        runs=read_runs(runs),
        layers=read_stacked(layers),
        spectra=read_stacked(spectra),
        history=read_stacked(history),
        published=read_published(published),
        verdicts=read_table(verdicts),
        figures={Path(path).stem: Path(path) for path in figures},
        tables=[Path(path).stem for path in tables],
        eigenvalues=[Path(path) for path in eigenvalues],
        missing=missing,
        animations={Path(path).stem: Path(path) for path in animations},
        predictions=[Path(path) for path in predictions],
    )
    page = render(read_index(index), sources, Path(template))
    Path(output).write_text(page, encoding="utf-8")


if "snakemake" in globals():
    # Left open: the error that ends the script is written last.
    sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)
    main(
        **{kind: snakemake.input[kind] for kind in ("runs", "layers", "history", "spectra", "eigenvalues")},
        **{kind: snakemake.input[kind] for kind in ("predictions", "figures", "animations", "tables", "verdicts")},
        **{kind: snakemake.input[kind] for kind in ("published", "index", "template")},
        scale=snakemake.params.scale,
        missing=snakemake.params.missing,
        output=snakemake.output[0],
    )
