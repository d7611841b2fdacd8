"""The benchmarks run at their smallest size, and what becomes of their rows."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


@pytest.fixture
def benchmarks(root, monkeypatch):
    """The folder, on the import path."""
    folder = root / "benchmarks"
    monkeypatch.syspath_prepend(str(folder))
    return folder


def run(script, *arguments):
    return subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, timeout=500)


def test_every_benchmark_runs_and_its_rows_reach_the_page(benchmarks, tmp_path):
    (tmp_path / "performance.md").write_text("# Performance\n\nWritten by hand.\n")
    done = run(benchmarks / "run.py", "--quick", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "performance.json").read_text())
    assert set(record) >= {"date", "machine", "git_commit", "packages"}
    found = {path.stem for path in benchmarks.glob("*.py") if "\ndef measure(" in path.read_text()}
    assert set(record["benchmarks"]) == found
    page = (tmp_path / "performance.md").read_text()
    assert page.startswith("# Performance\n\nWritten by hand.\n")
    for benchmark in record["benchmarks"].values():
        assert benchmark["title"] in page
        assert all(row["name"] in page for row in benchmark["rows"])
    assert record["benchmarks"]["simulation"]["rows"]
    run(benchmarks / "run.py", "--quick", "--only", "simulation", "--out", tmp_path)
    again = (tmp_path / "performance.md").read_text()
    assert again.count("Measured on") == 1, "the measured part is replaced, not repeated"
    assert (tmp_path / "images/performance.png").stat().st_size > 10_000


def test_a_benchmark_that_fails_is_named_and_stops_no_other(root, tmp_path):
    (tmp_path / "run.py").write_text((root / "benchmarks/run.py").read_text())
    (tmp_path / "bad.py").write_text("def measure(quick):\n    raise ValueError('no machine')\n")
    (tmp_path / "good.py").write_text(
        '"""Good."""\ndef measure(quick):\n    return [{"name": "thing", "size": 2, "seconds": 0.5, "ratio": 1.5}]\n'
    )
    done = run(tmp_path / "run.py", "--out", tmp_path / "out")
    assert done.returncode == 1
    assert "failed: bad" in done.stdout
    page = (tmp_path / "out/performance.md").read_text()
    assert "ValueError: no machine" in page
    assert [cell.strip() for cell in page.splitlines()[-1].split("|")] == ["", "2", "0.5", "1.5", ""]


def test_ratios_are_taken_round_by_round(benchmarks):
    from timing import rows

    reference, other = rows("b", "n", 4, {"old": [1.0, 2.0, 4.0], "new": [0.5, 1.0, 2.0]})
    assert (reference["variant"], reference["seconds"], reference["ratio"]) == ("old", 2.0, 1.0)
    assert reference["spread"] == [0.75, 1.5]
    assert other["ratio"] == 0.5
    assert other["spread"] == [0.5, 0.5], "load that hits both variants of a round alike cancels out"


LOG = """\
[Wed Nov 25 19:03:56 2026]
Job 3: Simulate a flow
Reason: Missing output files: data.h5
[Wed Nov 25 19:04:06 2026]
Job 4: Train
[Wed Nov 25 19:04:{simulated} 2026]
Finished jobid: 3 (Rule: simulate)
1 of 2 steps (50%) done
[Wed Nov 25 19:05:06 2026]
Finished jobid: 4 (Rule: train_nlp_13_37)
"""


def test_job_seconds_are_added_up_by_rule(benchmarks, tmp_path):
    for name, simulated in (("before", 16), ("after", 26)):
        folder = tmp_path / name / ".snakemake/log"
        folder.mkdir(parents=True)
        (folder / "2026.snakemake.log").write_text(LOG.format(simulated=simulated))
    done = run(benchmarks / "jobs.py", tmp_path / "before", tmp_path / "after")
    lines = {line.split("  ")[0]: line.split()[-2:] for line in done.stdout.splitlines()[1:]}
    assert lines["train_nlp"] == ["60", "60"]
    assert lines["simulate"] == ["20", "30"]
    assert lines["all jobs"] == ["80", "90"]
    assert lines["wall clock"] == ["70", "70"]
    assert "all jobs, of the first: 1.000 1.125\nwall clock, of the first: 1.000 1.000" in done.stdout
    assert run(benchmarks / "jobs.py", tmp_path).returncode == 1
