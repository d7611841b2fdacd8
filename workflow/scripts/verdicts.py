"""Judge every claim of the paper (CSV, Markdown and LaTeX), and list every cell's gain (CSV)."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def main(
    artifacts: Sequence[Mapping[str, Any]], *, runs: Sequence[str], published: str, outputs: Mapping[str, str]
) -> None:
    """Write ``csv``, ``md`` and ``tex`` of the verdicts on all runs given, and every cell's ``gains``.

    ``artifacts`` are the fields of those that are built.
    """
    from replication.report.render import to_latex, to_markdown
    from replication.report.verdicts import as_table, with_evidence
    from replication.settings.artifacts import Artifact
    from replication.statistics.cells import read_runs
    from replication.statistics.overview import gain_table
    from replication.statistics.published import read_published
    from replication.statistics.verdicts import verdict_table

    table, paper, built = read_runs(runs), read_published(published), [Artifact(**fields) for fields in artifacts]
    gain_table(table, paper, built).to_csv(outputs["gains"], index=False)
    verdicts = verdict_table(table, paper, built)
    verdicts.to_csv(outputs["csv"], index=False)
    Path(outputs["md"]).write_text(to_markdown(with_evidence(verdicts)), encoding="utf-8")
    Path(outputs["tex"]).write_text(to_latex(as_table(verdicts)), encoding="utf-8")


if "snakemake" in globals():
    # Left open: the error that ends the script is written last.
    sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)
    main(
        snakemake.params.artifacts,
        runs=snakemake.input.runs,
        published=snakemake.input.published,
        outputs=dict(snakemake.output.items()),
    )
