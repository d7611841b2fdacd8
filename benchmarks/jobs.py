"""Seconds of jobs that finished workflows took, side by side, from Snakemake's logs (which are exact to a second).

Below them the seconds from a workflow's first event to its last one.

    python benchmarks/jobs.py FOLDER [FOLDER ...]

A folder is where snakemake ran: a checkout after `make figures`, or what `--directory` named. The first is the
reference. Run the workflows on one machine with the same `--cores`; retries and resumed calls are added up.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from datetime import datetime
from pathlib import Path

import pandas as pd

EVENT = re.compile(
    r"^\[(?P<at>.+)\]\n(?:Job (?P<begun>\d+):|Finished jobid: (?P<ended>\d+) \(Rule: (?P<rule>\w+)\))", re.M
)


def time_of(event: re.Match[str]) -> datetime:
    """When it was written."""
    return datetime.strptime(event["at"], "%a %b %d %H:%M:%S %Y")


def job_seconds(log: str) -> Counter[str]:
    """Seconds by rule of the jobs that one log says were finished; a training's seeds are not told apart."""
    begun, seconds = {}, Counter()
    for event in EVENT.finditer(log):
        at = time_of(event)
        if event["begun"]:
            begun[event["begun"]] = at
        else:
            rule = re.sub(r"(_\d+)+$", "", event["rule"])
            seconds[rule] += (at - begun[event["ended"]]).total_seconds()
    return seconds


def wall_seconds(log: str) -> float:
    """Seconds from the first event of one log to its last one."""
    times = [time_of(event) for event in EVENT.finditer(log)]
    return (max(times) - min(times)).total_seconds() if times else 0.0


def main(folders: list[str]) -> None:
    sums, wall = {}, {}
    for folder in folders:
        logs = sorted(Path(folder, ".snakemake/log").glob("*.snakemake.log"))
        if not logs:
            sys.exit(f"error: {folder}: no logs of Snakemake there")
        texts = [log.read_text(encoding="utf-8") for log in logs]
        sums[folder], wall[folder] = sum(map(job_seconds, texts), Counter()), sum(map(wall_seconds, texts))
    table = pd.DataFrame(sums).fillna(0).sort_values(folders[0], ascending=False)
    table.loc["all jobs"] = table.sum()
    table.loc["wall clock"] = pd.Series(wall)
    print(table.astype(int).to_string())
    for row in ("all jobs", "wall clock"):
        print(f"{row}, of the first:", *(f"{share:.3f}" for share in table.loc[row] / table.loc[row, folders[0]]))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1:])
