"""Draw an animation of sample predictions as a GIF."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def main(
    artifact: str,
    *,
    runs: Sequence[str],
    predictions: Sequence[str],
    index: str,
    style: Mapping[str, object],
    output: str,
) -> None:
    """Write the artifact's GIF from its experiments' runs (CSV) and the rollouts of the runs that it shows."""
    from replication.figures.data import FigureData
    from replication.figures.registry import ANIMATIONS
    from replication.figures.style import style as styled
    from replication.settings.artifacts import read_index

    paths = {"runs": [Path(path) for path in runs], "predictions": [Path(path) for path in predictions]}
    data = FigureData.read(read_index(index).artifacts[artifact], **paths)
    with styled(style):
        ANIMATIONS[data.artifact.layout](data).save(Path(output))


if "snakemake" in globals():
    # Left open: the error that ends the script is written last.
    sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)
    main(
        snakemake.wildcards.animation,
        runs=snakemake.input.runs,
        predictions=snakemake.input.predictions,
        index=snakemake.input.index,
        style=snakemake.params.style,
        output=snakemake.output[0],
    )
