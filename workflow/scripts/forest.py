"""Draw the forest plot of every cell's gain as PDF and PNG."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def main(gains: str, *, style: Mapping[str, object], outputs: Sequence[str]) -> None:
    """Write the plot of ``gains`` (CSV) to every output, in the format of its suffix."""
    from replication.figures.forest import draw_forest
    from replication.figures.style import save
    from replication.figures.style import style as styled
    from replication.statistics.overview import read_gains

    table = read_gains(gains)
    with styled(style):
        save(draw_forest(table), *map(Path, outputs))


if "snakemake" in globals():
    # Left open: the error that ends the script is written last.
    sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)
    main(snakemake.input.gains, style=snakemake.params.style, outputs=list(snakemake.output))
