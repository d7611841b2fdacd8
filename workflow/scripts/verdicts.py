"""Judge every claim of the paper (CSV, Markdown and LaTeX), and list gains, measured scores and estimates (CSV)."""

import sys
from collections.abc import Sequence
from pathlib import Path


def main(*, runs: Sequence[str], published: str, index: str, scale: str, outputs: dict[str, str]) -> None:
    """Write ``csv``, ``md`` and ``tex`` of the verdicts on all runs given, and the tables of overview."""
    from replication.report.render import to_latex, to_markdown
    from replication.report.verdicts import as_table, with_evidence
    from replication.settings.artifacts import read_index
    from replication.statistics.cells import read_runs
    from replication.statistics.estimates import estimate_table
    from replication.statistics.overview import gain_table, measured_table
    from replication.statistics.published import read_published
    from replication.statistics.verdicts import verdict_table

    table = read_runs(runs)
    plan = read_index(index).plan(sorted(set(table["experiment"])), scale=scale)
    artifacts, paper = [*plan.figures.values(), *plan.tables.values()], read_published(published)
    for name, make in {"gains": gain_table, "measured": measured_table, "estimates": estimate_table}.items():
        make(table, paper, artifacts).to_csv(outputs[name], index=False)
    verdicts = verdict_table(table, paper, artifacts)
    verdicts.to_csv(outputs["csv"], index=False)
    Path(outputs["md"]).write_text(to_markdown(with_evidence(verdicts)), encoding="utf-8")
    Path(outputs["tex"]).write_text(to_latex(as_table(verdicts)), encoding="utf-8")


if "snakemake" in globals():
    # Left open: the error that ends the script is written last.
    sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)
    main(
        runs=snakemake.input.runs,
        published=snakemake.input.published,
        index=snakemake.input.index,
        scale=snakemake.params.scale,
        outputs=dict(snakemake.output.items()),
    )
