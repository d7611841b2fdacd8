"""Judge every claim of the paper (CSV, Markdown and LaTeX), and list gains, measured scores and estimates (CSV)."""

import sys
from pathlib import Path

# Left open: the error that ends the script is written last.
sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)

from replication.report.render import to_latex, to_markdown
from replication.report.verdicts import as_table, with_evidence
from replication.runs.seals import seal
from replication.settings.artifacts import Artifact
from replication.statistics.cells import read_runs
from replication.statistics.estimates import estimate_table
from replication.statistics.overview import gain_table, measured_table
from replication.statistics.published import read_published
from replication.statistics.verdicts import verdict_table

runs, paper, outputs = read_runs(snakemake.input.runs), read_published(snakemake.input.published), snakemake.output
artifacts = [Artifact(**fields) for fields in snakemake.params.artifacts]
makers = {"gains": gain_table, "measured": measured_table, "estimates": estimate_table, "csv": verdict_table}
tables = {name: make(runs, paper, artifacts) for name, make in makers.items()}
for name, table in tables.items():
    table.to_csv(outputs[name], index=False)
verdicts = tables["csv"]
Path(outputs.md).write_text(to_markdown(with_evidence(verdicts)), encoding="utf-8")
Path(outputs.tex).write_text(to_latex(as_table(verdicts)), encoding="utf-8")
seal(*outputs)
