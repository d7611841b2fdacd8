"""Draw an animation of sample predictions as a GIF."""

import sys
from pathlib import Path

# Left open: the error that ends the script is written last.
sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)

from replication.figures.data import FigureData
from replication.figures.registry import ANIMATIONS
from replication.figures.style import style
from replication.runs.seals import seal
from replication.settings.artifacts import Artifact

artifact = Artifact(**snakemake.params.artifact)
paths = {kind: [Path(path) for path in snakemake.input[kind]] for kind in ("runs", "predictions")}
data = FigureData.read(artifact, **paths)
with style(snakemake.params.style):
    ANIMATIONS[data.artifact.layout](data).save(Path(snakemake.output[0]))
seal(*snakemake.output)
