"""From Snakemake's log records to bars at the bottom of a terminal, or to plain lines anywhere else."""

from __future__ import annotations

import logging
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase

from snakemake_logger_plugin_tempbalance.estimate import Job, Jobs, earlier_seconds
from snakemake_logger_plugin_tempbalance.heartbeats import has_diverged, read_beat

#: Messages that Snakemake prints at every start, and those that the display or the summary replaces.
NOISE = re.compile(
    r"$|None$|Assuming unrestricted|Using shell:|Select jobs|Execute \d+ jobs|Group jobs: inact|Conda environments: ign"
    r"|Singularity containers: ign|Elapsed time:|Exiting because a job|WorkflowError:\nAt least one job did not compl"
)
EXIT = re.compile(r"non-zero (exit status \d+)|died with <Signals\.(SIG\w+)")
SHOWN_JOBS = 8


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
        from snakemake.logging import ColorizingTextHandler, DefaultFilter, DefaultFormatter, is_quiet_about

        common = self.common_settings
        stream = sys.stdout if common.stdout else sys.stderr
        formatter = DefaultFormatter(common.quiet, common.show_failed_logs)
        shown = DefaultFilter(common.quiet, common.debug_dag, common.verbose, common.dryrun, common.printshellcmds)
        self.plain = ColorizingTextHandler(common.nocolor, stream, formatter=formatter, filter=shown)
        # A dry run and a request for details get Snakemake's own output.
        self.is_plain = bool(common.dryrun or common.verbose or common.debug_dag)
        self.is_quiet = is_quiet_about(common.quiet or (), "progress")
        self.console = Console(file=stream, no_color=common.nocolor, highlight=False, markup=False)
        self.live = Live(console=self.console, transient=True, auto_refresh=False)
        self.interval = getattr(self.settings, "interval", None) or 15
        self.jobs = Jobs()
        self.beats: dict[int, tuple[float, str]] = {}
        self.reasons: dict[str, str] = {}
        self.diverged, self.written = 0, time.monotonic()
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
            self._hide()
            if self.jobs.total and not self.is_plain and (self.jobs.failed or not self.is_quiet):
                self._print(self._summary(), "bold red" if self.jobs.failed else "bold")
            self.jobs = Jobs()
        super().close()

    def _take(self, record: logging.LogRecord) -> None:
        event, values = getattr(record, "event", None), record.__dict__
        if self.is_plain or event == LogEvent.DEBUG_DAG:
            self._show_plainly(record)
        elif event == LogEvent.RUN_INFO:
            counts = Counter({rule: count for rule, count in values["stats"].items() if rule != "total"})
            waiting = Counter({(rule, 1.0): count for rule, count in counts.items()})
            self.jobs = Jobs(earlier_seconds(), total=counts.total(), waiting=waiting)
            self._say(f"{counts.total()} jobs to do: " + ", ".join(f"{n} {rule}" for rule, n in counts.items()))
            if not (self.is_quiet or self.ticker.is_alive()):
                self.ticker.start()
        elif "kinds" in values:
            self.jobs.kinds, self.jobs.waiting = values["kinds"], Counter(values["kinds"].values())
        elif event == LogEvent.JOB_INFO:
            self.jobs.start(_job(record))
        elif event == LogEvent.JOB_FINISHED:
            job = self.jobs.finish(int(values["job_id"]), record.created)
            self.diverged += sum(map(has_diverged, job.runs if job else ()))
            if job and not self.console.is_terminal:
                self._say(f"{self._counts()}  |  done: {job}  {_clock(record.created - job.started)}")
        elif event == LogEvent.JOB_ERROR:
            failed = _job(record)
            job = self.jobs.failed[failed.id] = self.jobs.running.pop(failed.id, failed)
            self._show_failure(job, [*job.log, *failed.log])  # a cluster adds a log of its own
        elif event in (None, LogEvent.ERROR, LogEvent.GROUP_ERROR):
            self._pass_on(record)

    def _show_failure(self, job: Job, logs: Sequence[str]) -> None:
        from replication.report.incomplete import tail

        self._print(f"FAILED  {self._named(job)}", "red")
        for log in dict.fromkeys(logs):
            end = tail(log)
            lines = [f"  log: {log}" if end else f"  log: {log}  (empty or missing)", *(f"  | {line}" for line in end)]
            self._print("\n".join(lines), "red")

    def _pass_on(self, record: logging.LogRecord) -> None:
        message, is_error = record.getMessage(), record.levelno >= logging.ERROR
        if message.startswith("RuleException") and (found := EXIT.search(message)):
            # The record of the failed job comes next and lacks only this.
            commands = [job.command for job in self.jobs.running.values() if job.command and job.command in message]
            self.reasons |= dict.fromkeys(commands, found[1] or f"killed by {found[2]}")
        elif not NOISE.match(self.plain.format(record)) and (is_error or self.plain.filter(record)):
            self._print(self.plain.format(record), "red" if is_error else "")

    # ---- display -------------------------------------------------------------------------------------

    def _tick(self) -> None:
        pause = shortest = 1.0 if self.console.is_terminal else min(5.0, self.interval)
        while not self.ended.wait(pause):
            start = time.monotonic()
            try:
                with self.state:
                    self._refresh()
            except Exception as error:
                self._give_up(error)
                return
            pause = max(shortest, 50 * (time.monotonic() - start))  # reading heartbeats from a network disk may be slow

    def _refresh(self) -> None:
        jobs = self.jobs
        self.beats = {job.id: beat for job in jobs.running.values() if (beat := read_beat(job))[0]}
        if self.ended.is_set() or jobs.done >= jobs.total:
            self._hide()
        elif self.console.is_terminal:
            bars = Table.grid(padding=(0, 1))
            for text, share in [(self._counts(), jobs.done / jobs.total), *self._running()]:
                bars.add_row(ProgressBar(1.0, share, width=24), Text(text, no_wrap=True, overflow="ellipsis"))
            self.live.start()
            self.live.update(bars, refresh=True)
        elif time.monotonic() - self.written >= self.interval:
            self._say(f"{self._counts()}  |  running: {'; '.join(text for text, _ in self._running())}")

    def _hide(self) -> None:
        if self.live.is_started:  # rich ends with an empty line otherwise
            self.live.stop()

    def _counts(self) -> str:
        """``34/85 jobs  elapsed 2:13  left ~5:40  1 FAILED``."""
        jobs, now = self.jobs, time.time()
        left = jobs.time_left(now, {number: share for number, (share, _) in self.beats.items()})
        parts = [f"{jobs.done}/{jobs.total} jobs", f"elapsed {_clock(jobs.elapsed(now))}"]
        parts.append("left ?" if left is None else f"left ~{_clock(left)}")
        return "  ".join(parts + [f"{len(jobs.failed)} FAILED"] * bool(jobs.failed))

    def _running(self) -> list[tuple[str, float]]:
        """Text and finished share of the running jobs, those with a heartbeat first."""
        jobs = sorted(self.jobs.running.values(), key=lambda job: (job.id not in self.beats, job.started))
        shown = []
        for job in jobs[:SHOWN_JOBS]:
            share, text = self.beats.get(job.id, (0.0, ""))
            shown.append(("  ".join(filter(None, [str(job), text, _clock(time.time() - job.started)])), share))
        return shown + [(f"and {len(jobs) - SHOWN_JOBS} more", 0.0)] * (len(jobs) > SHOWN_JOBS)

    def _summary(self) -> str:
        jobs = self.jobs
        lines = [f"{jobs.done} of {jobs.total} jobs done in {_clock(jobs.elapsed(time.time()))}."]
        lines += [f"Jobs that needed more than one attempt: {len(jobs.retried)}."] * bool(jobs.retried)
        lines += [f"Diverged runs, recorded as such: {self.diverged}."] * bool(self.diverged)
        lines += [f"{len(jobs.failed)} FAILED:"] * bool(jobs.failed)
        lines += [f"  {self._named(job)}  log: {', '.join(job.log) or 'none'}" for job in jobs.failed.values()]
        if jobs.done < jobs.total:
            lines.append("What is finished is kept: the same command goes on from here.")
        return "\n".join(lines)

    def _named(self, job: Job) -> str:
        return f"{job}  ({self.reasons[job.command]})" if job.command in self.reasons else str(job)

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
        self._hide()
        self.plain.stream.write(f"The progress display is off ({type(error).__name__}: {error}).\n")


def _clock(seconds: float) -> str:
    """``0:07``, ``12:05`` or ``3:04:05``."""
    minutes, rest = divmod(max(int(seconds), 0), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


def _job(record: logging.LogRecord) -> Job:
    values = record.__dict__
    output, log, command = (values.get(name) or () for name in ("output", "log", "shellcmd"))
    return Job(int(values["jobid"]), values["rule_name"], output, log, record.created, str(command or "").strip())
