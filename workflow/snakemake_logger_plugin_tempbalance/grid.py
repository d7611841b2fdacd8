"""What is known of the grid while it runs: jobs, failures, and an estimate of the time left."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

#: Share of the remaining jobs whose duration must be known before a time left is shown.
KNOWN_SHARE = 0.5


@dataclass(frozen=True)
class Job:
    """A job that was started. ``started`` is a time stamp in seconds."""

    id: int
    rule: str
    output: Sequence[str]
    log: Sequence[str]
    started: float
    command: str = ""

    @property
    def label(self) -> str:
        """The run's folder for a training run, otherwise the first output."""
        first = self.output[0] if self.output else ""
        return first.removesuffix("/metrics.json")


@dataclass(frozen=True)
class Failure:
    """A job that failed: what it was, why as far as known, and its log files."""

    job: Job
    reason: str
    log: Sequence[str]


@dataclass
class Grid:
    """Counts over the whole workflow; fed by the handler, read by the views. Times in seconds."""

    total: int = 0
    done: int = 0
    started: float | None = None
    planned: dict[str, int] = field(default_factory=dict)
    jobs: dict[int, Job] = field(default_factory=dict)
    running: dict[int, Job] = field(default_factory=dict)
    failures: dict[int, Failure] = field(default_factory=dict)
    retried: set[int] = field(default_factory=set)
    diverged: list[str] = field(default_factory=list)
    _finished: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    _first_start: dict[str, float] = field(default_factory=dict)
    _last_finish: dict[str, float] = field(default_factory=dict)
    _width: int = 1

    def plan(self, counts: Mapping[str, int]) -> None:
        """Jobs a rule, as the workflow announces them before it starts."""
        self.planned = {rule: count for rule, count in counts.items() if rule != "total"}
        self.total = sum(self.planned.values())

    def start(self, job: Job) -> None:
        """A job was started (for the first time or again)."""
        if self.started is None:
            self.started = job.started
        self.jobs[job.id] = self.running[job.id] = job
        self.retry(job.id)
        self._first_start.setdefault(job.rule, job.started)
        self._width = len(self.running)

    def finish(self, job_id: int, now: float) -> Job | None:
        """A job ended well; returns it where its start was seen."""
        self._width = max(len(self.running), 1)
        self.failures.pop(job_id, None)
        self.done += 1
        job = self.running.pop(job_id, None)
        if job is not None:
            self._finished[job.rule].append(now - job.started)
            self._last_finish[job.rule] = now
        return job

    def fail(self, failure: Failure) -> None:
        """A job failed."""
        self.running.pop(failure.job.id, None)
        self.failures[failure.job.id] = failure

    def retry(self, job_id: int) -> None:
        """A failed job is tried again, so it is no failure yet."""
        if self.failures.pop(job_id, None) is not None:
            self.retried.add(job_id)

    def progress(self, done: int, total: int) -> None:
        """Snakemake's own count, which knows of jobs that a checkpoint added."""
        self.done, self.total = done, total

    def elapsed(self, now: float) -> float:
        """Seconds since the first job was started."""
        return 0.0 if self.started is None else now - self.started

    def time_left(self, now: float, fractions: Mapping[int, float]) -> float | None:
        """Seconds left, from the mean duration a rule so far and as many jobs at once as now; None: not known yet.

        Args:
            now: the present time.
            fractions: job id -> share of the job that is done, where its heartbeat tells.
        """
        typical = self._typical(now, fractions)
        waiting = self._waiting()
        known = sum(count for rule, count in waiting.items() if rule in typical)
        unknown = sum(waiting.values()) - known
        known += sum(job.rule in typical for job in self.running.values())
        running = [
            left for job in self.running.values() if (left := self._left(job, now, typical, fractions)) is not None
        ]
        if not typical or unknown > (1 - KNOWN_SHARE) * (known + unknown) or (self.running and not running):
            return None
        mean = sum(typical[rule] * len(times) for rule, times in self._finished.items())
        mean /= max(sum(len(times) for times in self._finished.values()), 1)
        mean = mean or sum(typical.values()) / len(typical)
        work = sum(running) + sum(count * typical.get(rule, mean) for rule, count in waiting.items())
        return max(
            work / max(len(self.running), self._width, 1), max(running, default=0.0), self._by_pace(now, waiting)
        )

    def _by_pace(self, now: float, waiting: Mapping[str, int]) -> float:
        """Seconds left at the pace at which a rule's jobs have ended so far; 0: not known.

        A cluster's queue makes jobs wait that count as running, so durations and the jobs at once alone promise too
        much there. A job that has outlived the mean duration counts as one that waits.
        """
        left = [0.0]
        for rule, times in self._finished.items():
            if len(times) > 1:
                pace = (self._last_finish[rule] - self._first_start[rule]) / len(times)
                mean = sum(times) / len(times)
                spent = [now - job.started for job in self.running.values() if job.rule == rule]
                begun = sum(1.0 if seconds >= mean else 1.0 - seconds / mean for seconds in spent)
                left.append(pace * (waiting.get(rule, 0) + begun))
        return max(left)

    def _typical(self, now: float, fractions: Mapping[int, float]) -> dict[str, float]:
        """Seconds a job of a rule takes: the mean of the finished ones, otherwise judged by the running ones."""
        seconds: dict[str, list[float]] = defaultdict(list)
        for job in self.running.values():
            if fractions.get(job.id, 0.0) > 0 and not self._finished.get(job.rule):
                seconds[job.rule].append((now - job.started) / fractions[job.id])
        seconds |= {rule: times for rule, times in self._finished.items() if times}
        return {rule: sum(times) / len(times) for rule, times in seconds.items()}

    def _waiting(self) -> dict[str, int]:
        """Jobs a rule that have not been started."""
        seen: dict[str, int] = defaultdict(int)
        for job in self.jobs.values():
            seen[job.rule] += 1
        return {rule: count - seen[rule] for rule, count in self.planned.items() if count > seen[rule]}

    @staticmethod
    def _left(job: Job, now: float, typical: Mapping[str, float], fractions: Mapping[int, float]) -> float | None:
        spent, fraction = now - job.started, fractions.get(job.id, 0.0)
        if fraction > 0:
            return spent / fraction - spent
        return max(typical[job.rule] - spent, 0.0) if job.rule in typical else None
