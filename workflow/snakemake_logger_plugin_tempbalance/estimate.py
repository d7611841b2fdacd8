"""The jobs of a workflow while it runs, and an estimate of the time left. All times are in seconds."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite, nan
from pathlib import Path
from statistics import fmean

#: Rules of this name take most of the time. No estimate is shown while such a job is planned of unknown duration.
LONG = "train"
#: Assumed duration of any other job until one of its kind is done: start-up and little else.
SHORT_S = 5.0


@dataclass(frozen=True)
class Job:
    """A job that was started. ``started`` is a time stamp."""

    id: int
    rule: str
    output: Sequence[str] = ()
    log: Sequence[str] = ()
    started: float = 0.0
    command: str = ""

    @property
    def runs(self) -> list[Path]:
        """The folders of the training runs that the job writes."""
        return [Path(path).parent for path in self.output if path.endswith("/metrics.json")]

    def __str__(self) -> str:
        first = next(iter(self.runs or self.output), "")
        return f"{self.rule}  {first}" + f" and {len(self.runs) - 1} more" * (len(self.runs) > 1)


def earlier_seconds(folder: Path = Path(".snakemake/metadata")) -> dict[str, float]:
    """Rule -> mean seconds of a job, from the records that Snakemake keeps of all outputs."""
    seconds = defaultdict(list)
    for path in folder.glob("**/*"):
        try:
            record = json.loads(path.read_text())
            lasted = record["endtime"] - record["starttime"]
            seconds[record["rule"]].append(lasted)
        except (OSError, ValueError, KeyError, TypeError):
            continue  # a folder, or a record that is being written
    return {name: fmean(values) for name, values in seconds.items()}


@dataclass
class Jobs:
    """What is planned, running, done and failed.

    Attributes:
        earlier: rule -> seconds of a job, from earlier calls.
        kinds: job id -> name of a group of jobs of similar duration, its rule first (``train_sciml fno 1dcfd``);
            the rule alone for jobs that are not in it.
    """

    earlier: Mapping[str, float] = field(default_factory=dict)
    kinds: Mapping[int, str] = field(default_factory=dict)
    total: int = 0
    done: int = 0
    waiting: Counter[str] = field(default_factory=Counter)
    jobs: dict[int, Job] = field(default_factory=dict)
    running: dict[int, Job] = field(default_factory=dict)
    failed: dict[int, Job] = field(default_factory=dict)
    retried: set[int] = field(default_factory=set)
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def start(self, job: Job) -> None:
        """A job was started, perhaps again."""
        if job.id not in self.jobs:
            self.waiting[self._kind(job)] -= 1
        if self.failed.pop(job.id, None):
            self.retried.add(job.id)
        self.jobs[job.id] = self.running[job.id] = job

    def finish(self, job_id: int, now: float) -> Job | None:
        """A job is done; returns it where its start was seen."""
        self.done += 1
        if job := self.running.pop(job_id, None):
            self.seconds[self._kind(job)].append(now - job.started)
        return job

    def elapsed(self, now: float) -> float:
        """Time since the first job was started."""
        return now - min((job.started for job in self.jobs.values()), default=now)

    def time_left(self, now: float, shares: Mapping[int, float]) -> float | None:
        """Seconds left; None as long as too little is known.

        A job is expected to take as long as others of its kind, finished or judged by their heartbeats; else as others
        of its rule, in this call or in earlier ones. The sum is divided by the mean number of jobs at work.

        Args:
            now: the present time.
            shares: job id -> finished share of the job, where its heartbeats tell.
        """
        groups: dict[str, list[float]] = defaultdict(list)
        begun = [(self._kind(self.jobs[n]), [(now - self.jobs[n].started) / share]) for n, share in shares.items()]
        for kind, values in [*self.seconds.items(), *begun]:
            for group in {kind, kind.split()[0]}:
                groups[group] += values
        known = {**self.earlier, **{group: fmean(values) for group, values in groups.items()}}

        def expected(kind: str) -> float:
            return known.get(kind, known.get(kind.split()[0], nan if kind.startswith(LONG) else SHORT_S))

        work, longest, busy = {True: 0.0, False: 0.0}, 0.0, sum(map(sum, self.seconds.values()))
        for kind, count in (+self.waiting).items():
            work[kind.startswith(LONG)] += count * expected(kind)
            longest = max(longest, expected(kind))
        for job in self.running.values():
            spent, whole = now - job.started, expected(self._kind(job))
            if job.id in shares:
                busy, whole = busy + spent, spent / shares[job.id]
            # Without a heartbeat an overdue job counts as one that is still in a cluster's queue.
            left = whole - spent if whole >= spent else whole
            work[job.rule.startswith(LONG)] += left
            longest = max(longest, left)
        at_work = max(busy / max(self.elapsed(now), 1.0), 1.0)
        # Most short jobs come after the trainings.
        seconds = max(work[True] / at_work, longest) + work[False] / at_work
        return seconds if isfinite(seconds) else None

    def _kind(self, job: Job) -> str:
        return self.kinds.get(job.id, job.rule)
