"""Draw an animation of sample predictions as a GIF."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def main(
    artifact: Mapping[str, Any],
    *,
    runs: Sequence[str],
    predictions: Sequence[str],
    style: Mapping[str, object],
    output: str,
) -> None:
    """Write the GIF of an artifact (its fields) from its experiments' runs (CSV) and rollouts of those it shows."""
    from replication.figures.data import FigureData
    from replication.figures.registry import ANIMATIONS
    from replication.figures.style import style as styled
    from replication.settings.artifacts import Artifact

    paths = {"runs": [Path(path) for path in runs], "predictions": [Path(path) for path in predictions]}
    data = FigureData.read(Artifact(**artifact), **paths)
    with styled(style):
        ANIMATIONS[data.artifact.layout](data).save(Path(output))


if "snakemake" in globals():
    # Left open: the error that ends the script is written last.
    sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)
    main(
        snakemake.params.artifact,
        runs=snakemake.input.runs,
        predictions=snakemake.input.predictions,
        style=snakemake.params.style,
        output=snakemake.output[0],
    )
