"""The page of failed jobs says what the workflow and Snakemake's log file know, whichever logger showed the jobs."""

from __future__ import annotations

import os

import pytest

from replication.report.incomplete import clear_incomplete_report, describe_failure, tail

RUNS = ["r/seed=1/metrics.json", "r/seed=2/metrics.json", "r/seed=1/history.csv"]
SAID = """\
RuleException:
CalledProcessError in file x, line 1:
Command 'export A="$A"; train r --spec '{"a": 1}' 2> a.log' {ended}
[Wed Nov 25 19:25:53 2026]
Error in rule train:
    message: {message}
    jobid: 2
    output: r/seed=1/metrics.json
    log: a.log, slurm.log (check log file(s) for error details)
    shell:
        train r
    Error in rule train:
        message: another one
        jobid: 22
"""


@pytest.mark.parametrize(
    ("ended", "message", "reason"),
    [
        ("returned non-zero exit status 2.", "None", "exit status 2"),
        ("died with <Signals.SIGKILL: 9>.", "None", "killed by SIGKILL"),
        ("is running", "SLURM job failed: TIMEOUT", "SLURM job failed: TIMEOUT"),
        ("is running", "None", ""),
    ],
)
def test_the_reason_and_all_logs_come_from_snakemakes_log_file(ended, message, reason):
    said = SAID.replace("{ended}", ended).replace("{message}", message)
    command = """train r --spec '{"a": 1}' 2> a.log"""
    job = describe_failure("train", 2, RUNS, logs=["a.log"], command=command, said=said)
    assert job.reason == reason
    assert list(job.logs) == ["a.log", "slurm.log"]
    assert job.label == "r/seed=1, r/seed=2"


def test_a_job_of_which_snakemake_said_nothing_keeps_its_own_log(tmp_path):
    log = tmp_path / "a.log"
    log.write_bytes(b"start\n\n10%\r\x1b[31m20%\n")
    job = describe_failure("figure", 1, ["f.pdf"], logs=[str(log)], command=None, said="")
    assert (job.label, job.reason, job.logs) == ("f.pdf", "", {str(log): ["start", "20%"]})


def test_the_end_of_a_log_is_short(tmp_path):
    log = tmp_path / "a.log"
    log.write_bytes(b"x" * 200_000 + b"\n" + b"".join(b"line %d\n" % i for i in range(100)))
    assert tail(str(log)) == [f"line {i}" for i in range(85, 100)]
    assert tail(str(tmp_path)) == []


def test_only_the_page_of_failed_jobs_is_cleared(tmp_path):
    report = tmp_path / "report.html"
    clear_incomplete_report(report)
    report.touch()
    clear_incomplete_report(report)
    assert report.exists()
    os.utime(report, (1, 1))
    clear_incomplete_report(report)
    assert not report.exists()
