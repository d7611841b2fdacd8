"""A workflow's jobs on two cores without their work: rules, dependencies and seconds, in any order that these allow."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from snakemake_logger_plugin_tempbalance.estimate import Job, Jobs

SEEDS = "_13_37_43"
#: Seconds from the start of a training until its first heartbeat.
START_UP = 3.0


@dataclass(frozen=True)
class Task:
    """A job to come. ``after`` names what it needs; ``cell`` and ``work`` are of a training."""

    name: str
    rule: str
    seconds: float
    after: tuple[str, ...] = ()
    cell: str = ""
    work: float = 1.0


def demo(operators_s: float, text_s: float) -> list[Task]:
    """The demo's grid: 105 operator runs and 18 language runs, three seeds in a job, and all the jobs around them.

    Args:
        operators_s: seconds of all operator runs together.
        text_s: seconds of all language runs together.
    """
    tasks = [Task("fetch", "fetch_text", 6), Task("text", "prepare_text", 10, ("fetch",))]
    tasks += [Task("tokens", "tokenize", 12, ("text",))]
    tasks += [Task(data, "simulate", seconds) for data, seconds in (("1d", 25), ("2d", 70), ("darcy", 15))]
    # A run costs more the more data it has, and one in 2-D several times one in 1-D.
    trainings = [
        (f"{model} {data}", ratio, method, cost * (0.3 + ratio))
        for model, data, cost, ratios in (
            ("fno", "1d", 1.0, (0.125, 0.25, 0.5, 1)), ("unet", "1d", 1.2, (0.125, 0.25, 0.5, 1)),
            ("fno", "2d", 4.0, (0.5, 1)), ("unet", "2d", 3.0, (0.5, 1)), ("fno", "darcy", 1.0, (0.125, 0.25, 0.5, 1)),
        )
        for ratio in ratios
        for method in range(5 if (model, data, ratio) == ("fno", "1d", 0.125) else 2)
    ]  # fmt: skip
    shared = (operators_s - START_UP * len(trainings)) / sum(cost for *_, cost in trainings)
    for cell, ratio, method, cost in trainings:
        data = cell.split()[1]
        seconds = START_UP + shared * cost
        # The plan knows neither what a model costs nor what evaluations cost.
        work = ratio * (4 if data == "2d" else 1)
        tasks.append(Task(f"{cell} {ratio} {method}", f"train_sciml{SEEDS}", seconds, (f"{data} {ratio}",), cell, work))
    tasks += [
        Task(name, "subset", 2, (name.split()[0],)) for name in sorted({task.after[0] for task in tasks if task.cell})
    ]
    for ratio, cost in ((0.0088, 0.9), (0.0175, 1.0), (0.035, 1.1)):
        tasks.append(Task(f"text {ratio}", "subset", 2, ("text",)))
        for method in range(2):
            after = ("tokens", f"text {ratio}")
            tasks.append(Task(f"minilm {ratio} {method}", f"train_nlp{SEEDS}", text_s / 6 * cost, after, "minilm text"))
    runs = tuple(task.name for task in tasks if task.cell)
    tables = tuple(f"collect {n}" for n in range(4))
    tasks += [Task(name, "collect", 4, runs) for name in tables]
    tasks += [Task(f"spectra {n}", "spectra", 10, tables) for n in range(4)]
    tasks += [Task(f"figure {n}", "figure", 5, tables) for n in range(9)]
    tasks += [Task(f"table {n}", "table", 3, tables) for n in range(4)]
    tasks += [Task("animation", "animation", 9, runs), Task("verdicts", "verdicts", 3, tables)]
    tasks.append(Task("report", "report", 6, tuple(task.name for task in tasks)))
    return [*tasks, Task("all", "all", 0, ("report",))]


def planned(tasks: list[Task], earlier: dict[str, float] | None = None) -> Jobs:
    """The jobs before the first one is started."""
    kinds = {number: (f"{task.rule} {task.cell}".strip(), task.work) for number, task in enumerate(tasks)}
    return Jobs(earlier or {}, kinds, total=len(tasks), waiting=Counter(kinds.values()))


def run(
    tasks: list[Task], jobs: Jobs, *, seed: int, cores: int = 2, step: float = 5.0
) -> Iterator[tuple[float, float | None]]:
    """Let the tasks run, trainings last, else in random order; yields time and estimate every ``step`` seconds."""
    draw = random.Random(seed)
    waiting, done, now, shown = dict(enumerate(tasks)), set(), 0.0, 0.0
    ends: dict[int, float] = {}
    while waiting or ends:
        ready = [number for number, task in waiting.items() if done.issuperset(task.after)]
        draw.shuffle(ready)
        ready.sort(key=lambda number: bool(tasks[number].cell))  # as by the priority of the data's rules
        for number in ready[: cores - len(ends)]:
            ends[number] = now + waiting.pop(number).seconds
            jobs.start(Job(number, tasks[number].rule, started=now))
        first = min(ends, key=ends.__getitem__)
        while shown < ends[first]:
            shares = {
                number: (shown - job.started) / tasks[number].seconds
                for number, job in jobs.running.items()
                if tasks[number].cell and shown > job.started + START_UP
            }
            yield shown, jobs.time_left(shown, shares)
            shown += step
        now = ends.pop(first)
        done.add(tasks[first].name)
        jobs.finish(first, now)
