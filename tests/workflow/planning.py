"""What a dry run plans, and what runs a results folder holds."""

from __future__ import annotations

import re
from pathlib import Path


def planned(output: str) -> dict[str, int]:
    """Rule -> number of jobs, from a dry run's table."""
    table = output.split("Job stats:")[1] if "Job stats:" in output else ""
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table.split("\n\n")[0], re.M)}


def trained(jobs: dict[str, int]) -> dict[str, int]:
    """The trainings among planned jobs; their rules are named after the seeds that share a job."""
    return {name: count for name, count in jobs.items() if name.startswith("train_")}


def records(folder: Path) -> list[Path]:
    """The records of all finished runs."""
    return sorted((folder / "results/runs").rglob("metrics.json"))
