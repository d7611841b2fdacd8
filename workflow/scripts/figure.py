"""Draw one of the figures as PDF and PNG, and write its numbers as CSV."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def main(
    artifact: Mapping[str, Any],
    *,
    tables: Mapping[str, Sequence[str]],
    published: str,
    style: Mapping[str, object],
    csv: str,
    outputs: Sequence[str],
) -> None:
    """Write the numbers of an artifact (its fields) to ``csv``, and its figure to every output, by the suffix's format.

    ``tables`` maps ``runs``, ``layers``, ``spectra`` (CSVs of its experiments), ``eigenvalues`` and ``predictions`` (of
    the runs it shows) to files.
    """
    from replication.figures.data import FigureData
    from replication.figures.registry import draw
    from replication.figures.style import save
    from replication.figures.style import style as styled
    from replication.settings.artifacts import Artifact

    paths = {kind: [Path(path) for path in files] for kind, files in tables.items()}
    data = FigureData.read(Artifact(**artifact), published=Path(published), **paths)
    data.table().to_csv(csv, index=False)
    with styled(style):
        save(draw(data), *map(Path, outputs))


if "snakemake" in globals():
    # Left open: the error that ends the script is written last.
    sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)
    main(
        snakemake.params.artifact,
        tables={
            kind: snakemake.input.get(kind) for kind in ("runs", "layers", "spectra", "eigenvalues", "predictions")
        },
        published=snakemake.input.published,
        style=snakemake.params.style,
        csv=snakemake.output.csv,
        outputs=[snakemake.output.pdf, snakemake.output.png],
    )
