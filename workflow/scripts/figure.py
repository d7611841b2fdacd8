"""Draw one of the figures as PDF and PNG, and write its numbers as CSV."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def main(
    artifact: str,
    *,
    tables: Mapping[str, Sequence[str]],
    published: str,
    index: str,
    style: Mapping[str, object],
    csv: str,
    outputs: Sequence[str],
) -> None:
    """Write the artifact's numbers to ``csv``, and its figure to every output in the format of its suffix.

    ``tables`` maps ``runs``, ``layers``, ``spectra`` (CSVs of its experiments), ``eigenvalues`` and ``predictions`` (of
    the runs it shows) to files.
    """
    from replication.figures.data import FigureData
    from replication.figures.registry import draw
    from replication.figures.style import save
    from replication.figures.style import style as styled
    from replication.settings.artifacts import read_index

    paths = {kind: [Path(path) for path in files] for kind, files in tables.items()}
    data = FigureData.read(read_index(index).artifacts[artifact], published=Path(published), **paths)
    data.table().to_csv(csv, index=False)
    with styled(style):
        save(draw(data), *map(Path, outputs))


if "snakemake" in globals():
    # Left open: the error that ends the script is written last.
    sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)
    main(
        snakemake.wildcards.figure,
        tables={
            kind: snakemake.input.get(kind) for kind in ("runs", "layers", "spectra", "eigenvalues", "predictions")
        },
        published=snakemake.input.published,
        index=snakemake.input.index,
        style=snakemake.params.style,
        csv=snakemake.output.csv,
        outputs=[snakemake.output.pdf, snakemake.output.png],
    )
