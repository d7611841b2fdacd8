"""From Snakemake's log records to bars at the bottom of a terminal, or to plain lines anywhere else."""

from __future__ import annotations

import logging
import re
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column
from rich.text import Text
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase

from snakemake_logger_plugin_tempbalance.estimate import Job, Jobs, earlier_seconds
from snakemake_logger_plugin_tempbalance.heartbeats import Beats

#: What Snakemake says at every start, and what the display or the summary says better.
NOISE = re.compile(
    r"$|None$|Assuming unrestricted|Using shell:|Select jobs|Execute \d+ jobs|Group jobs: inact|Conda environments: ign"
    r"|Singularity containers: ign|Elapsed time:|Exiting because a job|WorkflowError:\nAt least one job did not complete"
)
EXIT = re.compile(r"returned non-zero (exit status \d+)|died with <Signals\.(SIG\w+)")
LOG_LINES, LOG_BYTES, SHOWN_JOBS = 15, 64_000, 8


@dataclass
class LogHandlerSettings(LogHandlerSettingsBase):
    """Options of the plugin."""

    interval: int | None = field(
        default=15, metadata={"help": "Seconds between two lines of progress outside a terminal", "type": int}
    )


class LogHandler(LogHandlerBase):
    """The plugin's entry. Whatever goes wrong here, the workflow goes on with Snakemake's own messages."""

    writes_to_stream = has_filter = has_formatter = True
    writes_to_file = needs_rulegraph = False

    def __post_init__(self) -> None:
        """Called by the constructor of the interface."""
        from snakemake.logging import ColorizingTextHandler, DefaultFilter, DefaultFormatter

        common = self.common_settings
        stream = sys.stdout if common.stdout else sys.stderr
        formatter = DefaultFormatter(common.quiet, common.show_failed_logs)
        shown = DefaultFilter(common.quiet, common.debug_dag, common.verbose, common.dryrun, common.printshellcmds)
        self.plain = ColorizingTextHandler(common.nocolor, stream, formatter=formatter, filter=shown)
        # A dry run and a request for details get Snakemake's own output.
        self.is_plain = bool(common.dryrun or common.verbose or common.debug_dag)
        self.is_quiet = any(str(kind).lower().endswith(("all", "progress")) for kind in common.quiet or ())
        self.console = Console(file=stream, no_color=common.nocolor, highlight=False, markup=False)
        column = TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis"))
        self.bars = Progress(BarColumn(24), column, console=self.console, transient=True, auto_refresh=False)
        self.interval = getattr(self.settings, "interval", None) or 15
        self.jobs, self.beats = Jobs(), Beats()
        self.reasons: dict[str, str] = {}
        self.written = time.monotonic()
        self.state, self.ended = threading.RLock(), threading.Event()
        self.ticker = threading.Thread(target=self._tick, name="progress", daemon=True)

    def emit(self, record: logging.LogRecord) -> None:
        """Take in one record."""
        try:
            with self.state:
                self._take(record)
        except Exception as error:  # a display must never end a night's work
            self._give_up(error)
            self._show_plainly(record)

    def close(self) -> None:
        """The end of the workflow: the summary. Snakemake closes a handler more than once."""
        self.ended.set()
        with self.state:
            self.bars.stop()
            if self.jobs.total and not self.is_plain and (self.jobs.failed or not self.is_quiet):
                self._print(self._summary(), "bold red" if self.jobs.failed else "bold")
            self.jobs = Jobs()
        super().close()

    # ---- records -------------------------------------------------------------------------------------

    def _take(self, record: logging.LogRecord) -> None:
        event, values = getattr(record, "event", None), record.__dict__
        if self.is_plain or event == LogEvent.DEBUG_DAG:
            self._show_plainly(record)
        elif event == LogEvent.RUN_INFO:
            counts = {rule: count for rule, count in values["stats"].items() if rule != "total"}
            self.jobs = Jobs(earlier_seconds())
            self.jobs.plan(counts)
            self._say(f"{self.jobs.total} jobs to do: " + ", ".join(f"{n} {rule}" for rule, n in counts.items()))
            if not self.is_quiet and not self.ticker.is_alive():
                self.ticker.start()
        elif event == LogEvent.JOB_INFO:
            self.jobs.start(_job(record))
        elif event == LogEvent.JOB_FINISHED:
            job = self.jobs.finish(int(values["job_id"]), record.created)
            if not self.console.is_terminal:
                self._say(f"{self._counts()}  |  done: {job}  {_clock(record.created - job.started)}")
        elif event == LogEvent.JOB_ERROR:
            job = self.jobs.jobs.get(int(values["jobid"])) or _job(record)
            self.jobs.fail(job)
            if not values.get("indent"):  # a member of a group, which was shown
                # The executor adds its own log to the rule's.
                self._show_failure(self._named(job), dict.fromkeys([*job.log, *values["log"]]))
        elif event == LogEvent.GROUP_ERROR:
            members = [self.jobs.jobs[int(info["jobid"])] for info in values["job_error_info"]]
            logs = [path for job in members for path in job.log if _tail(path)]
            self._show_failure(f"one or more of {'; '.join(map(str, members))}", logs + values["aux_logs"])
        elif "kinds" in values:
            self.jobs.plan_kinds(values["kinds"])
        elif event in (None, LogEvent.ERROR):
            self._pass_on(record)

    def _pass_on(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if message.startswith("RuleException") and (exit := EXIT.search(message)):
            # The record of the failed job comes next and lacks only this.
            for job in self.jobs.running.values():
                if job.command and job.command in message:
                    self.reasons[job.command] = exit[1] or f"killed by {exit[2]}"
        elif not NOISE.match(message) and (record.levelno >= logging.ERROR or self.plain.filter(record)):
            self._print(self.plain.format(record), "red" if record.levelno >= logging.ERROR else "")

    # ---- display -------------------------------------------------------------------------------------

    def _tick(self) -> None:
        while not self.ended.wait(1.0):
            try:
                with self.state:
                    self._refresh()
            except Exception as error:
                self._give_up(error)
                return

    def _refresh(self) -> None:
        if self.ended.is_set() or self.jobs.done >= self.jobs.total:
            self.bars.stop()
        elif self.console.is_terminal:
            for task in self.bars.task_ids:
                self.bars.remove_task(task)
            self.bars.add_task(self._counts(), total=self.jobs.total, completed=self.jobs.done)
            for text, share in self._running():
                self.bars.add_task(text, total=1.0, completed=share)
            self.bars.start()
            self.bars.refresh()
        elif time.monotonic() - self.written >= self.interval:
            self._say(f"{self._counts()}  |  running: {'; '.join(text for text, _ in self._running())}")

    def _counts(self) -> str:
        """``34/85 jobs  61.5/123 runs  elapsed 2:13  left ~5:40  1 FAILED``."""
        now = time.time()
        shares = {id: beat.share for id, beat in self.beats.of(self.jobs.running.values()).items()}
        left = self.jobs.time_left(now, shares)
        done, runs = self.jobs.runs(shares)
        parts = [
            f"{self.jobs.done}/{self.jobs.total} jobs", f"{done:.1f}/{runs} runs" * bool(runs),
            f"elapsed {_clock(self.jobs.elapsed(now))}", "left ?" if left is None else f"left ~{_clock(left)}",
            f"{len(self.jobs.failed)} FAILED" * bool(self.jobs.failed),
        ]  # fmt: skip
        return "  ".join(filter(None, parts))

    def _running(self) -> list[tuple[str, float]]:
        """Text and finished share of the running jobs, those with a heartbeat first."""
        beats, now = self.beats.of(self.jobs.running.values()), time.time()
        jobs = sorted(self.jobs.running.values(), key=lambda job: (job.id not in beats, job.started))
        shown = [
            (f"{job}  " + (f"{beats[job.id].text}  " if job.id in beats else "") + _clock(now - job.started),
             beats[job.id].share if job.id in beats else 0.0)
            for job in jobs[:SHOWN_JOBS]
        ]  # fmt: skip
        return shown + [(f"and {len(jobs) - SHOWN_JOBS} more", 0.0)] * (len(jobs) > SHOWN_JOBS)

    def _summary(self) -> str:
        jobs = self.jobs
        lines = [f"{jobs.done} of {jobs.total} jobs done in {_clock(jobs.elapsed(time.time()))}."]
        if jobs.failed:
            lines.append(f"{len(jobs.failed)} FAILED:")
            lines += [f"  {self._named(job)}  log: {', '.join(job.log) or 'none'}" for job in jobs.failed.values()]
        if jobs.done < jobs.total:
            lines.append("What is finished is kept: the same command goes on from here.")
        return "\n".join(lines)

    def _named(self, job: Job) -> str:
        return f"{job}  ({self.reasons[job.command]})" if job.command in self.reasons else str(job)

    def _show_failure(self, name: str, logs: Iterable[str]) -> None:
        lines = [f"FAILED  {name}"]
        for path in logs:
            tail = _tail(path)
            lines += [f"  log: {path}" + ("" if tail else "  (empty or missing)"), *(f"  | {line}" for line in tail)]
        self._print("\n".join(lines), "red")

    def _say(self, message: str) -> None:
        if not self.is_quiet:
            self._print(message if self.console.is_terminal else f"[{time.strftime('%H:%M:%S')}] {message}")
            self.written = time.monotonic()

    def _print(self, message: str, style: str = "") -> None:
        self.console.print(Text(message, style=style), soft_wrap=True)

    def _show_plainly(self, record: logging.LogRecord) -> None:
        if self.plain.filter(record):
            self.plain.emit(record)

    def _give_up(self, error: Exception) -> None:
        self.is_plain = True
        self.bars.stop()
        self.plain.stream.write(f"The progress display is off ({type(error).__name__}: {error}).\n")


def _clock(seconds: float) -> str:
    """``0:07``, ``12:05`` or ``3:04:05``."""
    minutes, rest = divmod(max(int(seconds), 0), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


def _tail(path: str) -> list[str]:
    """The last lines of a log as text; a bar that overwrites its line is shown as it ended."""
    try:
        end = Path(path).read_bytes()[-LOG_BYTES:].decode(errors="replace")
    except OSError:
        return []
    lines = [Text.from_ansi(line.rsplit("\r", 1)[-1]).plain for line in end.splitlines()]
    return [line for line in lines if line.strip()][-LOG_LINES:]


def _job(record: logging.LogRecord) -> Job:
    values = record.__dict__
    command = str(values.get("shellcmd") or "").strip()
    return Job(int(values["jobid"]), values["rule_name"], values["output"], values["log"], record.created, command)
