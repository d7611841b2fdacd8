"""What Snakemake's own process costs while a large grid runs: its share of a core, by scheduler settings.

    python benchmarks/scheduler.py [--quick] [--json FILE]

A generated workflow has thousands of jobs with the inputs, outputs and resources of a training, all ready at once, on
two cores. The first of them are run, as empty jobs and as jobs of two seconds. Counted is the processor time of
Snakemake's process without its jobs, from the first finished job on. The profiles are those of this repository.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
#: As in workflow/rules/hooks.smk.
NO_LIMIT = "onstart:\n    workflow.scheduler.job_rate_limiter = None\n"
GRID = """
rule all:
    input: expand("runs/{{i}}/metrics.json", i=range({jobs}))

rule subset:
    output: "subset/a.json"
    shell: "echo 1 > {{output}}"

rule train:
    input: "subset/a.json"
    output: "runs/{{i}}/metrics.json", "runs/{{i}}/history.csv", "runs/{{i}}/layers.csv"
    log: "logs/{{i}}.log"
    params: spec=lambda wildcards: wildcards.i * 200, device="cpu"
    resources:
        mem_mb=lambda wildcards, attempt: 1500 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
        gpu=0,
    shell: "sleep {seconds}; touch {{output}} 2> {{log}}"
"""
GREEDY = ["--scheduler", "greedy", "--scheduler-subsample", "200"]
#: Name -> arguments, and whether the workflow switches the rate limiter off.
SETTINGS: dict[str, tuple[list[str], bool]] = {
    "Snakemake's defaults": ([], False),
    "greedy, subsample": (GREEDY, False),
    "greedy, subsample, span of 5 s": ([*GREEDY, "--max-jobs-per-timespan", "500/5s"], False),
    "profiles/default": (["--workflow-profile", str(ROOT / "profiles/default")], True),
    "profiles/slurm, run locally": (
        ["--workflow-profile", str(ROOT / "profiles/slurm"), "--executor", "local", "--jobs", "2"],
        True,
    ),
}


def run_grid(
    arguments: list[str], *, head: str, jobs: int, seconds: float, window_s: float
) -> tuple[int, float, float]:
    """Start the grid and stop it after a while.

    Returns: finished jobs, processor seconds and wall seconds since the first finished job.
    """
    with tempfile.TemporaryDirectory(prefix="scheduler-") as name:
        folder = Path(name)
        (folder / "Snakefile").write_text(head + GRID.format(jobs=jobs, seconds=seconds))
        command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
        environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow"), "TERM": "dumb"}
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        watched = psutil.Process(process.pid)

        def look() -> tuple[int, float, float]:
            cpu = watched.cpu_times()
            return len(list(folder.glob("runs/*/layers.csv"))), cpu.user + cpu.system, time.monotonic()

        try:
            while process.poll() is None and not any(folder.glob("runs/*/layers.csv")):
                time.sleep(0.1)
            first = last = look()
            while process.poll() is None and last[0] < jobs and last[2] - first[2] < window_s:
                time.sleep(0.5)
                last = look()
        except psutil.Error:
            raise RuntimeError(
                f"snakemake {' '.join(arguments)} ended: {(folder / 'log').read_text()[-2000:]}"
            ) from None
        finally:
            process.kill()
            process.wait()
        return last[0] - first[0], last[1] - first[1], last[2] - first[2]


def measure(quick: bool) -> list[dict]:
    """One row for each kind of jobs and each setting.

    A row holds name, setting, jobs that were done, cpu_s and wall_s (seconds) and share (of a core).

    Args:
        quick: 300 jobs instead of 3,000, for some seconds, with two of the settings.
    """
    jobs, empty_s, busy_s = (300, 2.0, 6.0) if quick else (3000, 8.0, 30.0)
    settings = ["Snakemake's defaults", "profiles/default"] if quick else list(SETTINGS)

    def row(setting: str, seconds: int, window_s: float) -> dict:
        arguments, unlimited = SETTINGS[setting]
        head = NO_LIMIT if unlimited else ""
        done, cpu_s, wall_s = run_grid(arguments, head=head, jobs=jobs, seconds=seconds, window_s=window_s)
        numbers = {"jobs": done, "cpu_s": round(cpu_s, 2), "wall_s": round(wall_s, 1)}
        name = f"First of {jobs} jobs of {seconds} s, all ready at once"
        return {"name": name, "setting": setting, **numbers, "share": round(cpu_s / wall_s, 4)}

    rows = [row(setting, 0, empty_s) for setting in settings]
    with ThreadPoolExecutor() as pool:  # side by side: these mostly wait
        rows += pool.map(lambda setting: row(setting, 2, busy_s), settings)
    return rows


def main() -> None:
    """Print the rows as a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = measure(options.quick)
    for row in rows:
        each = 1000 * row["cpu_s"] / max(row["jobs"], 1)
        print(
            f"{row['name']:46} {row['setting']:32} {row['jobs']:5} jobs in {row['wall_s']:5.1f} s  "
            f"{row['share']:6.1%} of a core  {each:6.1f} ms a job"
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
