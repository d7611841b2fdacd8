"""Draw one of the figures as PDF and PNG, and write its numbers as CSV."""

import sys
from pathlib import Path

# Left open: the error that ends the script is written last.
sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)

from replication.figures.data import FigureData
from replication.figures.registry import draw
from replication.figures.style import save, style
from replication.runs.seals import seal
from replication.settings.artifacts import Artifact

kinds = "runs", "layers", "spectra", "eigenvalues", "predictions"
paths = {kind: [Path(path) for path in snakemake.input.get(kind)] for kind in kinds}
artifact = Artifact(**snakemake.params.artifact)
data = FigureData.read(artifact, published=Path(snakemake.input.published), **paths)
data.table().to_csv(snakemake.output.csv, index=False)
with style(snakemake.params.style):
    save(draw(data), Path(snakemake.output.pdf), Path(snakemake.output.png))
seal(*snakemake.output)
