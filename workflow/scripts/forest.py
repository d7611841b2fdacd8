"""Draw the forest plot of every cell's gain, and published against measured scores, as PDF and PNG."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def main(gains: str, measured: str, *, style: Mapping[str, object], outputs: Sequence[str]) -> None:
    """Write the plots of ``gains`` and ``measured`` (CSVs) to forest.* and agreement.*, by their suffixes."""
    from replication.figures.agreement import draw_agreement
    from replication.figures.forest import draw_forest
    from replication.figures.style import save
    from replication.figures.style import style as styled
    from replication.statistics.overview import read_overview

    with styled(style):
        for stem, draw, table in (("forest", draw_forest, gains), ("agreement", draw_agreement, measured)):
            save(draw(read_overview(table)), *(Path(path) for path in outputs if Path(path).stem == stem))


if "snakemake" in globals():
    # Left open: the error that ends the script is written last.
    sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)
    main(snakemake.input.gains, snakemake.input.measured, style=snakemake.params.style, outputs=list(snakemake.output))
