"""The Snakemake logger plugin: what it shows, and that it never gets in the way."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import time
from types import SimpleNamespace

import pytest

pytest.importorskip("snakemake")
from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_tempbalance import LogHandler, LogHandlerSettings
from snakemake_logger_plugin_tempbalance.estimate import Job
from snakemake_logger_plugin_tempbalance.heartbeats import read_beat

TOY = """
rule all:
    input: expand("results/a/ratio={r}/seed={s}/metrics.json", r=[0.5, 1], s=[1, 2])
rule train:
    output: "results/a/ratio={r}/seed={s}/metrics.json"
    log: "logs/train/r{r}-s{s}.log"
    shell:
        "(echo '{{\\"epoch\\": 3, \\"epochs\\": 7, \\"loss\\": 0.125}}' "
        "> results/a/ratio={wildcards.r}/seed={wildcards.s}/heartbeat.json; sleep 2.5; "
        "if [ {wildcards.s} = 2 ] && [ {wildcards.r} = 1 ]; then "
        "printf '50%%\\\\r100%% the end is boom\\\\n'; exit 3; fi; "
        "echo '{{\\"status\\": \\"diverged\\"}}' > {output}) 2> {log} >&2"
"""


def record(event: LogEvent | None, message: str | None = None, level: int = logging.INFO, **fields: object):
    made = logging.LogRecord("snakemake", level, "", 0, message, None, None)
    made.__dict__.update(fields | ({"event": event} if event else {}))
    return made


def handler(monkeypatch, quiet=(), dryrun=False, show_failed_logs=False) -> tuple[LogHandler, io.StringIO]:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr("sys.stdout", stream)
    common = SimpleNamespace(
        printshellcmds=False, nocolor=True, quiet=quiet, debug_dag=False, verbose=False,
        show_failed_logs=show_failed_logs, stdout=dryrun, dryrun=dryrun,
    )  # fmt: skip
    return LogHandler(common, LogHandlerSettings()), stream


def started(number: int, folder: str = "results/a", **fields: object):
    return record(
        LogEvent.JOB_INFO, "", jobid=number, rule_name="train", output=[f"{folder}/metrics.json"],
        log=fields.pop("log", []), shellcmd=f"run {folder}", **fields,
    )  # fmt: skip


# ---- heartbeats ----------------------------------------------------------------------------------------


def test_heartbeats_give_the_share_of_a_job_over_all_its_runs(tmp_path):
    folders = [tmp_path / f"seed={seed}" for seed in range(4)]
    for folder in folders:
        folder.mkdir()
    job = Job(1, "train", [str(folder / name) for folder in folders for name in ("metrics.json", "history.csv")])
    assert read_beat(job) == (0.0, "")
    (folders[0] / "metrics.json").touch()
    (folders[1] / "finished").mkdir()
    (folders[1] / "finished/metrics.json").touch()
    beat = {"run": "a", "epoch": 3, "epochs": 12, "elapsed_s": 1, "time": 2, "pid": 3, "loss": 0.25}
    (folders[2] / "heartbeat.json").write_text(json.dumps(beat))
    assert read_beat(job) == (2.25 / 4, "epoch 3/12  loss 0.25")
    assert read_beat(Job(2, "subset", ["subset.json"])) == (0.0, "")


@pytest.mark.parametrize(
    "bad", ["", "{", "[]", "{}", '{"epoch": "x", "epochs": null}', '{"epoch": 1, "epochs": 0}', "\x00"]
)
def test_a_damaged_heartbeat_says_nothing(bad, tmp_path):
    (tmp_path / "heartbeat.json").write_text(bad)
    assert read_beat(Job(1, "train", [str(tmp_path / "metrics.json")])) == (0.0, "")


def test_a_heartbeat_from_before_the_job_is_not_its_own(tmp_path):
    (tmp_path / "heartbeat.json").write_text(json.dumps({"epoch": 3, "epochs": 12}))
    os.utime(tmp_path / "heartbeat.json", (1.0, 1.0))
    assert read_beat(Job(1, "train", [str(tmp_path / "metrics.json")], started=time.time())) == (0.0, "")


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
    assert f"1 FAILED:\n  train  results/a  (exit status 7)  log: {log}" in shown
    made.close()
    assert stream.getvalue() == shown


def test_a_failed_group_is_shown_with_its_members_and_the_clusters_log(tmp_path, monkeypatch):
    (tmp_path / "slurm.log").write_text("slurmstepd: error: *** CANCELLED DUE TO TIME LIMIT ***\n")
    made, stream = handler(monkeypatch, show_failed_logs=True)
    made.emit(record(LogEvent.RUN_INFO, "", stats={"train": 2}))
    infos = []
    for number in (1, 2):
        made.emit(started(number, f"results/{number}", log=["none.log"]))
        infos.append({"jobid": number, "rule_name": "train", "output": [f"results/{number}/metrics.json"], "log": []})
    logs = [str(tmp_path / "slurm.log")]
    made.emit(record(LogEvent.GROUP_ERROR, "", logging.ERROR, groupid="run", job_error_info=infos, aux_logs=logs))
    for info in infos:
        made.emit(record(LogEvent.JOB_ERROR, "", logging.ERROR, indent=True, **info))
    shown = stream.getvalue()
    assert "DUE TO TIME LIMIT" in shown
    assert "FAILED  train  results/1\n" in shown
    made.emit(started(1, "results/1"))  # another attempt
    made.emit(record(LogEvent.JOB_FINISHED, "", job_id=1))
    made.close()
    assert "more than one attempt: 1" in stream.getvalue()
    assert "1 of 2 jobs done" in stream.getvalue()
    assert "1 FAILED:\n  train  results/2" in stream.getvalue()


def test_a_long_log_is_cut_and_its_progress_bar_shown_as_it_ended(tmp_path, monkeypatch):
    log = tmp_path / "a.log"
    log.write_bytes(b"x" * 200_000 + b"\n" + b"".join(b"line %d\n" % i for i in range(100)) + b"10%\r\x1b[31m20%\xff\n")
    made, stream = handler(monkeypatch)
    made.emit(started(1, log=[str(log)]))
    made.emit(record(LogEvent.JOB_ERROR, "", logging.ERROR, jobid=1, rule_name="train", log=[]))
    assert stream.getvalue().endswith("  | line 98\n  | line 99\n  | 20%\ufffd\n")
    assert "line 80" not in stream.getvalue()


def test_the_kinds_that_the_workflow_tells_give_the_time_left(monkeypatch):
    made, _ = handler(monkeypatch)
    made.emit(record(LogEvent.RUN_INFO, "", stats={"train": 3}))
    made.emit(record(None, "", kinds={1: ("train 1d", 2.0), 2: ("train 2d", 2.0), 3: ("train 1d", 2.0)}))
    for number in (1, 2):
        made.emit(started(number, f"results/{number}", created=100.0))
    made.emit(record(LogEvent.JOB_FINISHED, "", job_id=1, created=110.0))
    assert made.jobs.time_left(110.0, {2: 0.5}) == pytest.approx((10 + 10) / 2)
    made.close()


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
    assert re.search(r"0/5 jobs  elapsed 0:0\d  left ~0:0\d  \|  running: .*epoch 3/7  loss 0.125", ran.err)
    assert re.search(r"3/5 jobs  .*\|  done: train  results/a/ratio=", ran.err)
    assert "FAILED  train  results/a/ratio=1/seed=2  (exit status 3)" in ran.err
    assert "log: logs/train/r1-s2.log\n  | 100% the end is boom\n" in ran.err
    assert "3 of 5 jobs done in 0:0" in ran.err
    assert "Diverged runs, recorded as such: 3" in ran.err
    assert ran.err.index("1 FAILED:") > ran.err.index("3 of 5 jobs done")
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
    assert text.rindex("1 FAILED:") > text.rindex("━")


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
