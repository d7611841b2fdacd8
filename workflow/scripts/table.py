"""Make one of the paper's tables: tidy CSV, Markdown, LaTeX and HTML."""

import sys
from pathlib import Path

# Left open: the error that ends the script is written last.
sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)

from replication.report.render import to_html, to_latex, to_markdown
from replication.report.tables import build_table
from replication.runs.seals import seal
from replication.settings.artifacts import Artifact
from replication.statistics.cells import read_runs
from replication.statistics.published import read_published

artifact = Artifact(**snakemake.params.artifact)
table, tidy = build_table(artifact, read_runs(snakemake.input.runs), read_published(snakemake.input.published))
tidy.to_csv(snakemake.output.csv, index=False)
for kind, text in (("md", to_markdown(table)), ("tex", to_latex(table)), ("html", to_html(table))):
    Path(snakemake.output[kind]).write_text(text, encoding="utf-8")
seal(*snakemake.output)
