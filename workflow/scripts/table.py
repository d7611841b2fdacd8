"""Make one of the paper's tables: tidy CSV, Markdown, LaTeX and HTML."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def main(artifact: Mapping[str, Any], *, runs: Sequence[str], published: str, outputs: dict[str, str]) -> None:
    """Write ``csv``, ``md``, ``tex`` and ``html`` of the artifact (its fields) whose experiments' runs are given."""
    from replication.report.render import to_html, to_latex, to_markdown
    from replication.report.tables import build_table
    from replication.settings.artifacts import Artifact
    from replication.statistics.cells import read_runs
    from replication.statistics.published import read_published

    table, tidy = build_table(Artifact(**artifact), read_runs(runs), read_published(published))
    tidy.to_csv(outputs["csv"], index=False)
    Path(outputs["md"]).write_text(to_markdown(table), encoding="utf-8")
    Path(outputs["tex"]).write_text(to_latex(table), encoding="utf-8")
    Path(outputs["html"]).write_text(to_html(table), encoding="utf-8")


if "snakemake" in globals():
    # Left open: the error that ends the script is written last.
    sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)
    main(
        snakemake.params.artifact,
        runs=snakemake.input.runs,
        published=snakemake.input.published,
        outputs=dict(snakemake.output.items()),
    )
