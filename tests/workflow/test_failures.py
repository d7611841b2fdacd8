"""Where a job fails, a page in the report's place says which and why, until the workflow goes through."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from replication.report.incomplete import FailedJob, Progress, write_incomplete_report
from replication.runs.seals import seal_of

#: The smallest chain that ends with a report: one training.
CHAIN = ("--config", "scale=smoke", "experiments=[table24_ablation_sciml]")
SUBSET = "results/subsets/1dcfd-smoke/ratio=1.json"


#: The repository's own display, and Snakemake's.
@pytest.mark.parametrize("logger", [(), ("--workflow-profile", "none")])
def test_a_failed_training_is_in_the_report_until_it_goes_through(logger, snakemake, tmp_path):
    report = tmp_path / "results/report.html"
    assert snakemake(tmp_path, SUBSET, *CHAIN).returncode == 0
    assert not report.exists(), "the report was not asked for"
    whole = (tmp_path / SUBSET).read_bytes()
    (tmp_path / SUBSET).write_bytes(whole[: len(whole) // 2])
    Path(seal_of(tmp_path / SUBSET)).unlink()  # or it would be made again

    failed = snakemake(tmp_path, *CHAIN, *logger)
    assert failed.returncode != 0
    page = report.read_text()
    assert "Incomplete: 1 job failed" in page
    assert re.search("train_sciml: results/runs/fno/1dcfd-smoke/ratio=1/tb-linear/[0-9a-f]+/seed=2022<", page)
    assert "exit status 2" in page
    (log,) = (tmp_path / "results/logs/train").glob("**/*.log")
    assert str(log.relative_to(tmp_path)) in page
    assert log.read_text().splitlines()[-1].split(":")[0] in page, "the log's last line is the reason"
    assert "results/report.html" in failed.stdout + failed.stderr

    (tmp_path / SUBSET).write_bytes(whole)
    planned = snakemake(tmp_path, "-n", *CHAIN)
    assert planned.returncode == 0
    assert "Incomplete" in report.read_text(), "a plan changes nothing"
    assert snakemake(tmp_path, *CHAIN).returncode == 0
    assert "Incomplete" not in report.read_text()
    assert "table24_ablation_sciml" in report.read_text()


def test_a_mistake_in_the_configuration_leaves_no_page(snakemake, tmp_path):
    assert snakemake(tmp_path, "--config", "scale=smoke", "experiments=[no_such_thing]").returncode != 0
    assert not (tmp_path / "results").exists()


def test_logs_are_shown_as_text(tmp_path, root):
    page = tmp_path / "results/report.html"
    page.parent.mkdir()
    failed = [
        FailedJob("train_nlp", "a/<b>/seed=1", "", {"a.log": ["<script>alert(1)</script>"], "empty.log": []}),
        FailedJob("figure", "fig1.pdf", "killed by SIGKILL", {}),
    ]
    rows = [Progress("fig1", "A & B", 3, 4)]
    template = root / "workflow/report/incomplete.html.j2"
    write_incomplete_report(page, failed=failed, waiting=7, rows=rows, template=template)
    text = page.read_text()
    assert "Incomplete: 2 jobs failed" in text
    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "a/&lt;b&gt;/seed=1" in text
    assert "killed by SIGKILL" in text
    assert "empty.log</code> is empty or missing" in text
    assert "The rule has no log file." in text
    assert "A &amp; B" in text
    assert page.stat().st_mtime < Path(template).stat().st_mtime, "so that the workflow replaces it"
