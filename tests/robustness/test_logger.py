"""The Snakemake logger plugin: what it shows, and that it never gets in the way."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("snakemake")
from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_tempbalance import LogHandler, LogHandlerSettings
from snakemake_logger_plugin_tempbalance import text as words
from snakemake_logger_plugin_tempbalance.grid import Failure, Grid, Job
from snakemake_logger_plugin_tempbalance.heartbeats import look

TOY = """
rule all:
    input: expand("results/a/ratio={r}/seed={s}/metrics.json", r=[0.5, 1], s=[1, 2])
rule train:
    output: "results/a/ratio={r}/seed={s}/metrics.json"
    log: "logs/train/r{r}-s{s}.log"
    shell:
        "(D=results/.store/{wildcards.r}{wildcards.s}; mkdir -p $D; "
        "echo '{{\\"run\\": \\"a/ratio={wildcards.r}/seed={wildcards.s}\\", "
        "\\"epoch\\": 3, \\"epochs\\": 7, \\"loss\\": 0.125}}' > $D/heartbeat.json; sleep 2.5; "
        "if [ {wildcards.s} = 2 ] && [ {wildcards.r} = 1 ]; then "
        "printf '50%%\\\\r100%% the end is boom\\\\n'; exit 3; fi; "
        "echo '{{\\"status\\": \\"diverged\\"}}' > {output}) 2> {log} >&2"
"""


def job(number: int, rule: str = "train", started: float = 0.0, folder: str = "r/a/seed=1") -> Job:
    return Job(number, rule, [f"{folder}/metrics.json"], ["logs/a.log"], started)


def record(event: LogEvent | None, message: str | None = None, level: int = logging.INFO, **fields: object):
    made = logging.LogRecord("snakemake", level, "", 0, message, None, None)
    made.__dict__.update(fields | ({"event": event} if event else {}))
    return made


def handler(monkeypatch, quiet=(), dryrun=False) -> tuple[LogHandler, io.StringIO]:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr("sys.stdout", stream)
    common = SimpleNamespace(
        printshellcmds=False, nocolor=True, quiet=quiet, debug_dag=False, verbose=False,
        show_failed_logs=False, stdout=dryrun, dryrun=dryrun,
    )  # fmt: skip
    return LogHandler(common, LogHandlerSettings()), stream


def started(number: int, folder: str = "results/a", **fields: object):
    return record(
        LogEvent.JOB_INFO, "", jobid=number, rule_name="train", output=[f"{folder}/metrics.json"],
        log=fields.pop("log", []), shellcmd=f"run {folder}", **fields,
    )  # fmt: skip


# ---- the estimate --------------------------------------------------------------------------------------


def test_time_left_comes_from_the_durations_so_far_and_the_jobs_at_once():
    grid = Grid()
    grid.plan({"train": 10, "total": 10})
    assert grid.total == 10
    for number in range(4):
        grid.start(job(number, started=0.0))
    assert grid.time_left(5.0, {}) is None  # nothing is known yet, and nothing is claimed
    for number in range(4):
        grid.finish(number, 20.0)
    for number in range(4, 8):
        grid.start(job(number, started=20.0))
    # 4 running with 10 s to go, 2 waiting of 20 s, 4 at once: (40 + 40) / 4.
    assert grid.time_left(30.0, {}) == pytest.approx(20.0)


def test_a_heartbeat_gives_an_estimate_before_any_job_has_finished():
    grid = Grid()
    grid.plan({"train": 3})
    grid.start(job(0, started=0.0))
    # A quarter in 10 s: 30 s to go in this one, 40 s for each of the two that wait.
    assert grid.time_left(10.0, {0: 0.25}) == pytest.approx(110.0)


def test_no_estimate_while_most_of_the_work_is_of_an_unknown_kind():
    grid = Grid()
    grid.plan({"simulate": 1, "train": 9})
    grid.start(job(0, "simulate"))
    grid.finish(0, 1.0)
    assert grid.time_left(1.0, {}) is None


def test_jobs_that_wait_in_a_queue_count_by_the_pace():
    grid = Grid()
    grid.plan({"train": 16})
    for number in range(16):  # all are submitted, two at once run, 10 s each
        grid.start(job(number, started=0.0))
    for number in range(8):
        grid.finish(number, 10.0 * (1 + number // 2))
    assert grid.time_left(40.0, {}) == pytest.approx(40.0)


def test_a_failure_that_is_tried_again_is_none():
    grid = Grid()
    grid.plan({"train": 1})
    grid.start(job(0))
    grid.fail(Failure(job(0), "", []))
    assert "1 FAILED" in words.counts(grid, 1.0, None)
    grid.retry(0)
    grid.start(job(0))
    grid.finish(0, 2.0)
    summary = words.summary_text(grid, 2.0)
    assert "FAILED" not in summary
    assert "1 job needed more than one attempt" in summary


# ---- heartbeats and logs -------------------------------------------------------------------------------


def beat(results: Path, name: str, content: str) -> None:
    folder = results / ".store" / name
    folder.mkdir(parents=True)
    (folder / "heartbeat.json").write_text(content)


def test_a_heartbeat_belongs_to_the_job_whose_output_it_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    good = {"run": "e/fno/seed=1", "epoch": 3, "epochs": 12, "elapsed_s": 1, "time": 2, "pid": 3, "loss": 0.25}
    beat(tmp_path / "results", "1", json.dumps(good))
    beat(tmp_path / "results", "2", json.dumps(good | {"run": "other/e/fno/seed=1", "epoch": 9}))
    for number, bad in enumerate(("", "{", "[]", "{}", '{"run": 1, "epoch": "x", "epochs": null}', "\x00")):
        beat(tmp_path / "results", f"bad{number}", bad)
    jobs = [job(1, folder="results/e/fno/seed=1"), job(2, folder="results/e/fno/seed=2")]
    beats = look(jobs)
    assert list(beats) == [1]
    assert str(beats[1]) == "epoch 3/12  loss 0.25"
    assert beats[1].fraction == 0.25


def test_a_heartbeat_from_before_the_job_is_not_its_own(tmp_path):
    beat(tmp_path, "1", json.dumps({"run": "e/seed=1", "epoch": 3, "epochs": 12}))
    os.utime(tmp_path / ".store/1/heartbeat.json", (1.0, 1.0))
    assert look([job(1, started=time.time(), folder=f"{tmp_path}/e/seed=1")]) == {}


def test_the_tail_of_a_log_is_short_and_harmless(tmp_path):
    path = tmp_path / "a.log"
    path.write_bytes(
        b"x" * 200_000 + b"\n" + b"".join(b"line %d\n" % i for i in range(100)) + b"10%\r\x1b[31m20%\xff\n"
    )
    end = words.tail(str(path))
    assert len(end) == words.TAIL_LINES
    assert end[-2:] == ["line 99", "20%\ufffd"]
    assert words.tail(str(tmp_path / "none.log")) == []
    assert words.tail(str(tmp_path)) == []


# ---- records -------------------------------------------------------------------------------------------


def test_a_failed_job_is_shown_with_exit_status_log_and_reason(tmp_path, monkeypatch):
    (tmp_path / "a.log").write_text("DataError: the file is short\n")
    log = str(tmp_path / "a.log")
    made, stream = handler(monkeypatch)
    made.emit(record(LogEvent.RUN_INFO, "", stats={"train": 2, "total": 2}))
    made.emit(started(1, log=[log]))
    message = "RuleException:\nCalledProcessError in file x, line 1:\nCommand 'set -e; run results/a' "
    message += "returned non-zero exit status 7."
    made.emit(record(LogEvent.ERROR, message, logging.ERROR))
    fields = {
        "jobid": 1,
        "rule_name": "train",
        "rule_msg": None,
        "shellcmd": "run results/a",
        "log": [log, "slurm.log"],
    }
    made.emit(record(LogEvent.JOB_ERROR, "", logging.ERROR, **fields))
    made.close()
    shown = stream.getvalue()
    assert "FAILED  train  results/a  (exit status 7)" in shown
    assert f"log: {log}\n  | DataError: the file is short" in shown
    assert "log: slurm.log  (empty or missing)" in shown
    assert "0 of 2 jobs done" in shown
    assert "1 job FAILED:" in shown
    assert "1 job did not run" in shown
    assert shown.count("1 job FAILED:") == 1  # closed twice or not
    made.close()
    assert stream.getvalue() == shown


def test_a_failed_group_is_shown_once_with_its_members_and_the_schedulers_log(tmp_path, monkeypatch):
    (tmp_path / "train.log").write_text("epoch 3\n")
    (tmp_path / "slurm.log").write_text("slurmstepd: error: *** CANCELLED DUE TO TIME LIMIT ***\n")
    made, stream = handler(monkeypatch)
    made.emit(record(LogEvent.RUN_INFO, "", stats={"train": 2}))
    for number, log in ((1, "train.log"), (2, "none.log")):
        made.emit(started(number, f"results/{number}", log=[str(tmp_path / log)]))
    infos = [{"jobid": 1, "rule_name": "train"}, {"jobid": 2, "rule_name": "train"}]
    logs = [str(tmp_path / "slurm.log")]
    made.emit(record(LogEvent.GROUP_ERROR, "", logging.ERROR, groupid="run", job_error_info=infos, aux_logs=logs))
    for info in infos:
        made.emit(record(LogEvent.JOB_ERROR, "", logging.ERROR, indent=True, **info))
    shown = stream.getvalue()
    assert "FAILED  group run: one or more of\n  train  results/1\n  train  results/2\n" in shown
    assert "| epoch 3\n" in shown
    assert "DUE TO TIME LIMIT" in shown
    assert shown.count("FAILED") == 1
    made.emit(started(1, "results/1"))
    made.emit(record(LogEvent.JOB_FINISHED, "", job_id=1))
    made.close()
    assert "1 job needed more than one attempt" in stream.getvalue()
    assert "1 job FAILED:\n  train  results/2" in stream.getvalue()


@pytest.mark.parametrize("event", [*LogEvent, None])
@pytest.mark.parametrize("fields", [{}, {"jobid": "x", "stats": 3, "done": None, "total": {}, "job_id": [], "log": 1}])
def test_no_record_whatever_it_holds_ends_the_workflow(event, fields, monkeypatch):
    made, stream = handler(monkeypatch)
    for message in ("text", None):
        made.emit(record(event, message, logging.ERROR, **fields))
    made.emit(record(None, "the next message", logging.WARNING))
    made.close()
    assert "the next message" in stream.getvalue()


def test_quiet_hides_progress_and_never_errors(monkeypatch):
    from snakemake.settings.enums import Quietness

    made, stream = handler(monkeypatch, quiet={Quietness.ALL})
    made.emit(record(LogEvent.RUN_INFO, "", stats={"train": 1}))
    made.emit(started(1))
    made.emit(record(LogEvent.JOB_FINISHED, "", job_id=1))
    made.emit(record(None, "some news"))
    assert stream.getvalue() == ""
    made.emit(record(None, "MissingInputException", logging.ERROR))
    assert stream.getvalue() == "MissingInputException\n"
    made.close()


# ---- with Snakemake ------------------------------------------------------------------------------------


@pytest.fixture
def snakemake(tmp_path, monkeypatch, capfd):
    """Runs Snakemake in this process (2 s less a start) in a folder with the toy workflow."""
    from snakemake.cli import main

    (tmp_path / "Snakefile").write_text(TOY)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> SimpleNamespace:
        with pytest.raises(SystemExit) as ended:
            main([*arguments])
        out, err = capfd.readouterr()
        return SimpleNamespace(code=ended.value.code, out=out, err=err)

    return run


def test_a_workflow_with_a_failure(snakemake, tmp_path):
    options = ("--cores", "4", "--logger", "tempbalance", "--keep-going", "--logger-tempbalance-interval", "1")
    ran = snakemake(*options)
    assert ran.code == 1
    assert "5 jobs to do: 4 train, 1 all" in ran.err
    assert re.search(r"0/5 jobs  0%  elapsed 0:0\d  left ~0:0\d  \|  running: .*epoch 3/7  loss 0.125", ran.err)
    assert re.search(r"3/5 jobs  60% .*\|  done: train  results/a/ratio=", ran.err)
    assert "FAILED  train  results/a/ratio=1/seed=2  (exit status 3)" in ran.err
    assert "log: logs/train/r1-s2.log\n  | 100% the end is boom\n" in ran.err
    assert "3 of 5 jobs done in 0:0" in ran.err
    assert "3 of the runs diverged" in ran.err
    assert ran.err.index("1 job FAILED:") > ran.err.index("3 of 5 jobs done")
    assert "RuleException" not in ran.err
    assert "Traceback" not in ran.err


def test_every_other_command_of_snakemake_behaves_as_without(snakemake, tmp_path):
    for arguments in (("--dry-run",), ("--unlock",), ("--lint",)):
        without = snakemake("--cores", "1", *arguments)
        ran = snakemake("--cores", "1", "--logger", "tempbalance", *arguments)
        times = re.compile(r"\[\w{3} .* \d{4}\]|20\d\d-.*|ID: .*|Command: .*")
        assert ran.code == without.code
        # Snakemake does not always list the jobs of a dry run in the same order.
        assert sorted(times.sub("", ran.out).split("\n")) == sorted(times.sub("", without.out).split("\n"))
        assert ran.err == without.err or not without.err.strip()
    (tmp_path / "Snakefile").write_text("rule a:\n    input: 'missing'\n    output: 'x'\n    shell: 'touch x'\n")
    ran = snakemake("--cores", "1", "--logger", "tempbalance")
    assert ran.code == 1
    assert "MissingInputException" in ran.err
    (tmp_path / "Snakefile").write_text("rule a:\n    output: report('x.txt')\n    shell: 'touch x.txt'\n")
    assert snakemake("--cores", "1", "--logger", "tempbalance").code == 0
    again = snakemake("--cores", "1", "--logger", "tempbalance")
    assert again.code == 0
    assert "Nothing to be done" in again.err
    ran = snakemake("--cores", "1", "--logger", "tempbalance", "--report", "report.html")
    assert ran.code == 0, ran.err
    assert (tmp_path / "report.html").is_file()


def test_on_a_terminal_a_live_display_stays_at_the_bottom(tmp_path):
    import pty
    import subprocess
    import sys

    (tmp_path / "Snakefile").write_text(TOY)
    control, terminal = pty.openpty()
    command = [sys.executable, "-m", "snakemake", "--cores", "4", "--keep-going", "--logger", "tempbalance"]
    env = os.environ | {"TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
    process = subprocess.Popen(command, cwd=tmp_path, stderr=terminal, stdout=terminal, env=env)
    os.close(terminal)
    shown = b""
    try:
        while part := os.read(control, 65536):
            shown += part
    except OSError:  # Linux says so when the other end is closed
        pass
    assert process.wait() == 1
    text = shown.decode()
    assert "━" in text
    assert "epoch 3/7" in text
    assert "\x1b[1A" in text  # it goes up and draws over itself
    assert "FAILED  train  results/a/ratio=1/seed=2" in text
    assert text.rindex("1 job FAILED:") > text.rindex("━")


def test_a_script_that_fails_leaves_its_reason_in_its_log(snakemake, tmp_path, root):
    rules = "".join(
        f"rule {path.stem}:\n    output: '{path.stem}.out'\n    log: '{path.stem}.log'\n    script: '{path}'\n"
        for path in sorted((root / "workflow/scripts").glob("*.py"))
    )
    names = re.findall(r"rule (\w+)", rules)
    wanted = ", ".join(f"'{name}.out'" for name in names)
    (tmp_path / "Snakefile").write_text(f"rule all:\n    input: {wanted}\n{rules}")
    ran = snakemake("--cores", "2", "--logger", "tempbalance", "--keep-going")
    assert ran.code == 1
    for name in names:
        assert "Error" in (tmp_path / f"{name}.log").read_text(), name
        assert f"FAILED  {name}  {name}.out" in ran.err
        assert f"log: {name}.log\n  | " in ran.err
    assert "lost sys.stderr" not in ran.err
