"""The jobs of a workflow while it runs, and an estimate of the time left. All times are in seconds."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite, nan
from pathlib import Path
from statistics import fmean

#: Rules of this name take most of the time. No time is shown while one is to come that nothing is known of.
LONG = "train"
#: What a job of any other rule is taken to last until the first one is done: start-up and little else.
SHORT_S = 5.0
#: What jobs that take about as long have in common (``train_sciml fno 1dcfd``), and how many runs each trains.
Kind = tuple[str, int]


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


def kind_of_rule(rule: str) -> Kind:
    """A rule's name without the seeds at its end, and their number: ``train_13_37`` trains two runs."""
    name = rule.rstrip("_0123456789")
    return name, max(rule.count("_", len(name)), 1)


def earlier_seconds(folder: Path = Path(".snakemake/metadata")) -> dict[str, float]:
    """Rule -> mean seconds of one run, from the records that Snakemake keeps of every output."""
    seconds = defaultdict(list)
    for path in folder.glob("**/*"):
        try:
            record = json.loads(path.read_text())
            name, runs = kind_of_rule(record["rule"])
            seconds[name].append((record["endtime"] - record["starttime"]) / runs)
        except (OSError, ValueError, KeyError, TypeError):
            continue  # a folder, or a record that is being written
    return {name: fmean(values) for name, values in seconds.items()}


@dataclass
class Jobs:
    """What is planned, running, done and failed.

    Attributes:
        earlier: rule -> seconds of one run, from earlier calls.
        kinds: job id -> its kind, where the workflow tells; otherwise the rule is the kind.
    """

    earlier: Mapping[str, float] = field(default_factory=dict)
    kinds: Mapping[int, Kind] = field(default_factory=dict)
    total: int = 0
    done: int = 0
    waiting: Counter[Kind] = field(default_factory=Counter)
    jobs: dict[int, Job] = field(default_factory=dict)
    running: dict[int, Job] = field(default_factory=dict)
    failed: dict[int, Job] = field(default_factory=dict)
    seconds: dict[Kind, list[float]] = field(default_factory=lambda: defaultdict(list))

    def plan(self, counts: Mapping[str, int]) -> None:
        """Take in the number of jobs of each rule."""
        self.total = sum(counts.values())
        for rule, count in counts.items():
            self.waiting[kind_of_rule(rule)] += count

    def plan_kinds(self, kinds: Mapping[int, Kind]) -> None:
        """Take in the kind of every job, before the first one is started."""
        self.kinds, self.waiting = kinds, Counter(kinds.values())

    def start(self, job: Job) -> None:
        """A job was started, perhaps again."""
        if job.id not in self.jobs:
            self.waiting[self._kind(job)] -= 1
        self.failed.pop(job.id, None)
        self.jobs[job.id] = self.running[job.id] = job

    def finish(self, job_id: int, now: float) -> Job:
        """A job is done."""
        job = self.running.pop(job_id)
        self.done += 1
        self.failed.pop(job_id, None)
        self.seconds[self._kind(job)].append(now - job.started)
        return job

    def fail(self, job: Job) -> None:
        """A job failed."""
        self.failed[job.id] = self.running.pop(job.id, job)

    def elapsed(self, now: float) -> float:
        """Time since the first job was started."""
        return now - min((job.started for job in self.jobs.values()), default=now)

    def runs(self, shares: Mapping[int, float]) -> tuple[float, int]:
        """How many training runs are done, unfinished ones by their share, and how many there are."""
        kinds = Counter({kind: len(values) for kind, values in self.seconds.items()})
        done = sum(count * kind[1] for kind, count in kinds.items() if kind[0].startswith(LONG))
        begun = [self._kind(job) for job in self.running.values()]
        total = done + sum(
            n * kind[1] for kind, n in (self.waiting + Counter(begun)).items() if kind[0].startswith(LONG)
        )
        return done + sum(share * self._kind(self.jobs[id])[1] for id, share in shares.items()), total

    def time_left(self, now: float, shares: Mapping[int, float]) -> float | None:
        """Seconds left; None as long as too little is known.

        A run takes as long as runs of its kind do in this call; else as long as those of its rule, in this call or in
        earlier ones; else a few seconds if the rule is no training. The sum is divided by the mean number of jobs at work.

        Args:
            now: the present time.
            shares: job id -> finished share of the job, where its heartbeats tell.
        """
        typical = defaultdict(list)
        by_share = [(self._kind(self.jobs[id]), (now - self.jobs[id].started) / share) for id, share in shares.items()]
        for (name, runs), seconds in [*((kind, one) for kind, all in self.seconds.items() for one in all), *by_share]:
            for group in {name, name.partition(" ")[0]}:
                typical[group].append(seconds / runs)
        known = {**self.earlier, **{name: fmean(values) for name, values in typical.items()}}

        def expected(kind: Kind) -> float:
            name, rule = kind[0], kind[0].partition(" ")[0]
            guess = nan if rule.startswith(LONG) else SHORT_S
            return kind[1] * known.get(name, known.get(rule, guess))

        # [short jobs, trainings]
        work, longest = [0.0, 0.0], 0.0
        for kind, count in (+self.waiting).items():
            work[kind[0].startswith(LONG)] += count * expected(kind)
        busy = sum(map(sum, self.seconds.values()))
        for id, job in self.running.items():
            spent, whole = now - job.started, expected(self._kind(job))
            if id in shares:
                busy, whole = busy + spent, spent / shares[id]
            # Without a heartbeat an overdue job counts as one that is still in a cluster's queue.
            left = whole - spent if whole >= spent else whole
            work[job.rule.startswith(LONG)] += left
            longest = max(longest, left)
        at_work = max(busy / max(self.elapsed(now), 1.0), 1.0)
        # What is short comes after the trainings for the most part.
        total = max(work[1] / at_work, longest) + work[0] / at_work
        return total if isfinite(total) else None

    def _kind(self, job: Job) -> Kind:
        return self.kinds.get(job.id) or kind_of_rule(job.rule)
