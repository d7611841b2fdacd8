"""Draw the forest plot of every cell's gain, and published against measured scores, as PDF and PNG."""

import sys
from pathlib import Path

# Left open: the error that ends the script is written last.
sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)

from replication.figures.agreement import draw_agreement
from replication.figures.forest import draw_forest
from replication.figures.style import save, style
from replication.runs.seals import seal
from replication.statistics.cells import read_table

inputs, outputs = snakemake.input, snakemake.output
with style(snakemake.params.style):
    save(draw_forest(read_table(inputs.gains)), Path(outputs.pdf), Path(outputs.png))
    save(draw_agreement(read_table(inputs.measured)), Path(outputs.agreement_pdf), Path(outputs.agreement_png))
seal(*outputs)
