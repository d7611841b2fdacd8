"""Draw the forest plot of every cell's gain as PDF and PNG."""

import sys
from pathlib import Path

# Left open: the error that ends the script is written last.
sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)

from replication.figures.forest import draw_forest
from replication.figures.style import save, style
from replication.statistics.overview import read_gains

table = read_gains(snakemake.input.gains)
with style(snakemake.params.style):
    save(draw_forest(table), *map(Path, snakemake.output))
