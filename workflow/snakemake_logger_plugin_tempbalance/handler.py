"""From Snakemake's log records to the grid's state and its display."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase

from snakemake_logger_plugin_tempbalance import text
from snakemake_logger_plugin_tempbalance.grid import Failure, Grid, Job
from snakemake_logger_plugin_tempbalance.heartbeats import Heartbeats
from snakemake_logger_plugin_tempbalance.hooks import said_at_end
from snakemake_logger_plugin_tempbalance.views import LineView, LiveView, View

#: What Snakemake says about itself at every start, and what the display or the final summary says better.
NOISE = re.compile(
    r"Assuming unrestricted shared filesystem|Using shell:|Select jobs to execute|Execute \d+ jobs|Group jobs: inactive"
    r"|Conda environments: ignored|Singularity containers: ignored|Job rate limit reached"
    r"|Exiting because a job execution failed|WorkflowError:\nAt least one job did not complete|Elapsed time:"
)
HIDDEN = {
    LogEvent.WORKFLOW_STARTED, LogEvent.JOB_STARTED, LogEvent.GROUP_INFO, LogEvent.RESOURCES_INFO, LogEvent.RULEGRAPH,
}  # fmt: skip
EXIT = re.compile(r"returned non-zero (exit status \d+)|died with (<Signals\.)?(?P<signal>SIG\w+)")
REFRESH_S = 1.0


@dataclass
class LogHandlerSettings(LogHandlerSettingsBase):
    """Options of the plugin."""

    interval: int | None = field(
        default=15,
        metadata={"help": "Seconds between two progress lines where the output is no terminal", "type": int},
    )


class LogHandler(LogHandlerBase):
    """The plugin's entry. Whatever goes wrong in here, the workflow goes on with Snakemake's plain messages."""

    def __post_init__(self) -> None:
        """Called by the interface's constructor."""
        from snakemake.logging import ColorizingTextHandler, DefaultFilter, DefaultFormatter

        common = self.common_settings
        stream = sys.stdout if common.stdout else sys.stderr
        self.plain = ColorizingTextHandler(
            nocolor=common.nocolor,
            stream=stream,
            formatter=DefaultFormatter(common.quiet, common.show_failed_logs),
            filter=DefaultFilter(common.quiet, common.debug_dag, common.verbose, common.dryrun, common.printshellcmds),
        )
        # A dry run and a request for Snakemake's own details get exactly Snakemake's own output.
        self.is_plain = bool(common.dryrun or common.verbose or common.debug_dag)
        quiet = {str(kind).rsplit(".", 1)[-1].lower() for kind in common.quiet or ()}
        self.is_quiet = bool(quiet & {"all", "progress"})
        self.grid = Grid()
        self.heartbeats = Heartbeats()
        self.exits: dict[str, str] = {}
        self.state_lock = threading.RLock()
        self.ended = threading.Event()
        self.ticker: threading.Thread | None = None
        settings = self.settings if isinstance(self.settings, LogHandlerSettings) else LogHandlerSettings()
        self.view = self._view(stream, settings.interval or 15)

    def _view(self, stream: Any, interval: float) -> View:
        if stream.isatty() and os.environ.get("TERM") != "dumb" and not self.is_plain:
            try:
                return LiveView(stream, color=not self.common_settings.nocolor)
            except ImportError:
                pass
        return LineView(stream, interval)

    # ---- what the interface asks -------------------------------------------------------------------

    @property
    def writes_to_stream(self) -> bool:
        """Yes: it takes the place of Snakemake's own output."""
        return True

    @property
    def writes_to_file(self) -> bool:
        """No: Snakemake's log file stays as it is."""
        return False

    @property
    def has_filter(self) -> bool:
        """Yes: errors are shown however quiet the rest is."""
        return True

    @property
    def has_formatter(self) -> bool:
        """Yes."""
        return True

    @property
    def needs_rulegraph(self) -> bool:
        """No."""
        return False

    def emit(self, record: logging.LogRecord) -> None:
        """Take in one record."""
        try:
            with self.state_lock:
                self._take(record)
        except Exception as error:  # a display must never end a night's work
            self._give_up(error)
            self._show_plainly(record)

    def close(self) -> None:
        """The end of the workflow, or of the process: the summary."""
        try:
            self.ended.set()
            with self.state_lock:
                self.view.close()
                if self.grid.total and not self.is_plain and not (self.is_quiet and not self.grid.failures):
                    style = "bold red" if self.grid.failures else "bold"
                    summary = [text.summary_text(self.grid, time.time()), *said_at_end(self.grid)]
                    self.view.message("\n".join(summary), style)
                self.grid = Grid()  # Snakemake closes a handler more than once
        except Exception as error:
            self._give_up(error)
        super().close()

    # ---- records -------------------------------------------------------------------------------------

    def _take(self, record: logging.LogRecord) -> None:
        event = getattr(record, "event", None)
        if self.is_plain or event == LogEvent.DEBUG_DAG:
            self._show_plainly(record)
        elif event == LogEvent.RUN_INFO:
            self.grid.plan(record.stats)  # type: ignore[attr-defined]
            self._say(text.plan_text(self.grid.planned))
            self._start_ticker()
        elif event == LogEvent.JOB_INFO:
            self.grid.start(_job(record))
        elif event == LogEvent.JOB_FINISHED:
            self._finish(record)
        elif event == LogEvent.PROGRESS:
            self.grid.progress(int(record.done), int(record.total))  # type: ignore[attr-defined]
        elif event == LogEvent.JOB_ERROR:
            self._fail(record)
        elif event == LogEvent.GROUP_ERROR:
            self._fail_group(record)
        elif event not in HIDDEN:
            self._pass_on(record)

    def _finish(self, record: logging.LogRecord) -> None:
        job = self.grid.finish(int(record.job_id), record.created)  # type: ignore[attr-defined]
        if job is None:
            return
        self.grid.diverged += [job.label for path in job.output if _diverged(path)]
        if not self.is_quiet:
            self.view.finished(job, self.grid, record.created - job.started, self._left())

    def _fail(self, record: logging.LogRecord) -> None:
        job = _job(record)
        job = self.grid.jobs.get(job.id, job)
        reason = self.exits.pop(job.command, "") or str(getattr(record, "rule_msg", None) or "")
        # An outside executor (Slurm) adds its own log file to the rule's.
        failure = Failure(job, reason, list(dict.fromkeys([*job.log, *_strings(record, "log")])))
        self.grid.fail(failure)
        if not getattr(record, "indent", False):  # a group's members were shown with the group
            self.view.message(text.failure_text(failure), "red")

    def _fail_group(self, record: logging.LogRecord) -> None:
        members = [dict(info) for info in getattr(record, "job_error_info", None) or []]
        jobs = [job for info in members if (job := self.grid.jobs.get(int(info["jobid"]))) is not None]
        self.view.message(text.group_text(str(record.groupid), jobs, _strings(record, "aux_logs")), "red")  # type: ignore[attr-defined]

    def _pass_on(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if retry := re.match(r"Trying to restart job (\d+)", message):
            self.grid.retry(int(retry.group(1)))
        found = EXIT.search(message)
        if message.startswith("RuleException") and "CalledProcessError" in message and found:
            # The record of the failed job comes next and is shown with its log; only the exit status is missing there.
            reason = found.group("signal") or found.group(1)
            for job in self.grid.running.values():
                if job.command and job.command in message:
                    self.exits[job.command] = f"killed by {reason}" if found.group("signal") else reason
            return
        if record.levelno >= logging.ERROR and not NOISE.match(message):
            self.view.message(self.plain.format(record), "red")
        elif self.plain.filter(record) and not NOISE.match(message) and message not in ("", "None"):
            self._say(self.plain.format(record), "yellow" if record.levelno >= logging.WARNING else "")

    def _say(self, message: str, style: str = "") -> None:
        if not self.is_quiet:
            self.view.message(message, style)

    def _show_plainly(self, record: logging.LogRecord) -> None:
        if self.plain.filter(record):
            self.plain.emit(record)

    # ---- the clock -----------------------------------------------------------------------------------

    def _start_ticker(self) -> None:
        if self.ticker is None and not self.is_quiet:
            self.ticker = threading.Thread(target=self._tick, name="grid progress", daemon=True)
            self.ticker.start()

    def _tick(self) -> None:
        while not self.ended.wait(REFRESH_S):
            try:
                with self.state_lock:
                    if self.grid.total and not self.ended.is_set():
                        self._refresh()
            except Exception as error:
                self._give_up(error)
                return

    def _refresh(self) -> None:
        if self.grid.done < self.grid.total:
            self.view.refresh(self.grid, self.heartbeats.of(self.grid.running.values()), self._left())
        else:
            self.view.close()  # what comes now is the end; after a checkpoint the display comes back

    def _left(self) -> float | None:
        beats = self.heartbeats.of(self.grid.running.values())
        return self.grid.time_left(time.time(), {job_id: beat.fraction for job_id, beat in beats.items()})

    def _give_up(self, error: Exception) -> None:
        """Leave the display and go on with Snakemake's plain messages."""
        if self.is_plain:
            return
        self.is_plain = True
        try:
            self.view.close()
            self.plain.stream.write(f"The progress display is off ({type(error).__name__}: {error}).\n")
        except Exception:  # noqa: S110 - nothing is left to tell it to
            pass


def _strings(record: logging.LogRecord, name: str) -> list[str]:
    return [str(value) for value in getattr(record, name, None) or []]


def _job(record: logging.LogRecord) -> Job:
    return Job(
        id=int(record.jobid),  # type: ignore[attr-defined]
        rule=str(record.rule_name),  # type: ignore[attr-defined]
        output=_strings(record, "output"),
        log=_strings(record, "log"),
        started=record.created,
        command=str(getattr(record, "shellcmd", None) or "").strip(),
    )


def _diverged(path: str) -> bool:
    """Whether the file is the record of a run that diverged."""
    if Path(path).name != "metrics.json":
        return False
    try:
        return json.loads(Path(path).read_text()).get("status") == "diverged"
    except (OSError, ValueError, AttributeError):
        return False
