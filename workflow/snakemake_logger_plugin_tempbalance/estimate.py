"""The jobs of a workflow while it runs, and an estimate of the time left. All times are in seconds."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from math import isfinite, nan
from pathlib import Path
from statistics import fmean, linear_regression

#: Rules that begin so take most of the time. No estimate is shown while nothing is known about one of them.
LONG = "train", "pretrain"
#: Assumed duration of any other job until one of its rule is done.
SHORT_S = 4.0
#: Assumed part of a job's duration that does not grow with its work.
START_UP_S = 3.0

#: A job's group, whose name begins with the rule (``train_sciml fno 1dcfd``), and its work. Jobs of a group differ in
#: their work alone; works are comparable between jobs of a rule.
Kind = tuple[str, float]
#: Duration and work of jobs.
Known = list[tuple[float, float]]


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


def costs_of(alike: Known, others: Known) -> tuple[float, float]:
    """Seconds of start-up, and seconds per work, of a group's jobs.

    Args:
        alike: jobs of the group. If their work differs, both costs are fitted.
        others: jobs of its rule, for a group without known jobs.
    """
    seconds, works = zip(*(alike or others), strict=True)
    mean, mean_work = fmean(seconds), fmean(works)
    if alike and len(set(works)) > 1:
        rate = max(linear_regression(works, seconds).slope, 0.0)
        start_up = max(mean - rate * mean_work, 0.0)
    else:
        start_up = min(START_UP_S, *seconds)
    return start_up, (mean - start_up) / mean_work


@dataclass
class Jobs:
    """What is planned, running, done and failed.

    Attributes:
        earlier: rule -> seconds of a job, from earlier calls.
        kinds: job id -> kind; jobs that are not in it are of their rule, with the work 1.
        known: kind and seconds of the jobs that are done.
    """

    earlier: Mapping[str, float] = field(default_factory=dict)
    kinds: Mapping[int, Kind] = field(default_factory=dict)
    total: int = 0
    done: int = 0
    waiting: Counter[Kind] = field(default_factory=Counter)
    jobs: dict[int, Job] = field(default_factory=dict)
    running: dict[int, Job] = field(default_factory=dict)
    failed: dict[int, Job] = field(default_factory=dict)
    retried: set[int] = field(default_factory=set)
    known: list[tuple[Kind, float]] = field(default_factory=list)

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
            self.known.append((self._kind(job), now - job.started))
        return job

    def elapsed(self, now: float) -> float:
        """Time since the first job was started."""
        return now - min((job.started for job in self.jobs.values()), default=now)

    def time_left(self, now: float, shares: Mapping[int, float]) -> float | None:
        """Seconds left; None while too little is known.

        The duration of a job is estimated from others of its group, finished or judged by their heartbeats
        (:func:`costs_of`), else from others of its rule, in this call or in earlier ones. The sum is divided by the
        mean number of jobs at work.

        Args:
            now: the present time.
            shares: job id -> finished share of the job, if it has heartbeats.
        """
        spent = {job.id: now - job.started for job in self.running.values()}
        judged = [(self._kind(self.jobs[n]), spent[n] / share) for n, share in shares.items() if n in spent]
        groups: dict[str, Known] = defaultdict(list)
        rules: dict[str, Known] = defaultdict(list)
        for (group, work), seconds in [*self.known, *judged]:
            groups[group].append((seconds, work))
            rules[group.split()[0]].append((seconds, work))

        @cache
        def costs(group: str) -> tuple[float, float]:
            rule = group.split()[0]
            if rule in rules:
                return costs_of(groups[group], rules[rule])
            return self.earlier.get(rule, nan if rule.startswith(LONG) else SHORT_S), 0.0

        def expected(kind: Kind) -> float:
            start_up, per_work = costs(kind[0])
            return start_up + per_work * kind[1]

        busy = sum(seconds for _, seconds in self.known)
        left = [(kind[0], expected(kind), count) for kind, count in (+self.waiting).items()]
        for job in self.running.values():
            whole = expected(self._kind(job))
            if job.id in shares:
                busy, whole = busy + spent[job.id], spent[job.id] / shares[job.id]
            # Without a heartbeat an overdue job counts as one that is still in a cluster's queue.
            left.append((job.rule, whole - spent[job.id] if whole >= spent[job.id] else whole, 1))
        at_work = max(busy / max(self.elapsed(now), 1.0), 1.0)
        long = sum(seconds * count for rule, seconds, count in left if rule.startswith(LONG))
        short = sum(seconds * count for rule, seconds, count in left if not rule.startswith(LONG))
        # Most short jobs come after the trainings.
        whole = max(long / at_work, *(seconds for _, seconds, _ in left), 0.0) + short / at_work
        return whole if isfinite(whole) else None

    def _kind(self, job: Job) -> Kind:
        return self.kinds.get(job.id, (job.rule, 1.0))
