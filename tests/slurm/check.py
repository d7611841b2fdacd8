"""What the smoke pipeline must have left behind on Slurm: ``python check.py FOLDER`` (see run.sh)."""

from __future__ import annotations

import csv
import json
import re
import sys
from pathlib import Path

work = Path(sys.argv[1])
checkout = work / "checkout"
results = checkout / "results"
log = (work / "snakemake.txt").read_text()

# Every planned run is there, finished, with a row in its experiment's table.
tables = sorted(results.glob("*/runs.csv"))
assert tables, "no results/<experiment>/runs.csv"
rows = [row for table in tables for row in csv.DictReader(table.open())]
records = list((results / "runs").rglob("metrics.json"))
assert len(rows) == len(records) > 0, (len(rows), len(records))
assert all(row["status"] in ("finished", "diverged") for row in rows)
assert (checkout / "figures").is_dir()

# Rules log to files, job by job, and so does Slurm for what failed.
logs = [path for path in (results / "logs").rglob("*.log") if "slurm" not in path.parts]
assert len([path for path in logs if "train" in path.parts]) == len(records)
assert list((results / "logs/slurm").rglob("*.log")), "the killed job left no log of Slurm's"

# One training was killed: it was shown, tried again with twice the memory and time, and went on to its end.
assert (work / "killed/heartbeat").read_text().strip(), "no training was killed"
assert re.search(r"FAILED  group run", log), "the failure was not shown"
assert "1 job needed more than one attempt" in log or "jobs needed more than one attempt" in log
assert re.search(r"(\d+) of \1 jobs done", log), "not all jobs were done"
jobs = [dict(item.split("=", 1) for item in line.split() if "=" in item) for line in (work / "jobs.txt").open()]
states = [job["JobState"] for job in jobs]
assert states.count("FAILED") == 1, states
assert set(states) == {"COMPLETED", "FAILED"}, states


def minutes(text: str) -> int:
    days, _, clock = text.rpartition("-")
    hours, mins, _ = (int(part) for part in clock.split(":"))
    return int(days or 0) * 1440 + hours * 60 + mins


def memory_mb(job: dict[str, str]) -> int:
    number, unit = re.fullmatch(r"([\d.]+)([MG])", job["MinMemoryNode"]).groups()
    return round(float(number) * (1024 if unit == "G" else 1))


trainings = [job for job in jobs if "gres/gpu" in job["TRES"] or "gpu" in job.get("TresPerJob", "")]
assert len(trainings) == len(records) + 1, "trainings did not ask for a GPU each"
failed = next(job for job in jobs if job["JobState"] == "FAILED")
same = [job for job in trainings if memory_mb(job) == memory_mb(failed) and job is not failed]
again = [job for job in trainings if memory_mb(job) == 2 * memory_mb(failed)]
assert len(again) == 1, "the second attempt did not ask for twice the memory"
assert same, "no other training asked for what the first attempt asked for"
assert minutes(again[0]["TimeLimit"]) == 2 * minutes(failed["TimeLimit"])

# Grouping keeps the number of Slurm jobs below the number of jobs.
total = int(re.search(r"(\d+) jobs to do", log).group(1))
assert len(jobs) < total, (len(jobs), total)
for path in records:
    json.loads(path.read_text())
assert not list((results / "runs").rglob("checkpoints/*")), "a finished run kept its checkpoints"
print(f"{len(records)} runs, {total} jobs in {len(jobs)} Slurm jobs, one killed and repeated: as expected")
