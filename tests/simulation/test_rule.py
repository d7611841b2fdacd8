"""The rule that simulates uses the cores that it may, first of all jobs; data for pretraining are simulated too."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from replication.settings.yamlfile import read_yaml


@pytest.mark.parametrize("cores", [2, 64])
def test_a_simulation_gets_as_many_workers_as_the_table_and_the_cores_allow(root, tmp_path, cores):
    command = [Path(sys.executable).parent / "snakemake", "--snakefile", root / "Snakefile", "--directory", tmp_path]
    arguments = ["--dry-run", "--printshellcmds", "--config", "scale=demo", "--cores", str(cores)]
    target = "results/data/1dcfd-sim64/data.h5"
    planned = subprocess.run([*command, *arguments, "--", target], capture_output=True, text=True, timeout=300)
    threads = read_yaml(root / "profiles/resources.yaml")["rules"]["simulate"]["demo"]["threads"]
    assert 2 < threads < 64
    assert f"--workers {min(cores, threads)} " in planned.stdout + planned.stderr


def test_simulations_that_need_every_core_do_not_wait_for_other_jobs(root, tmp_path):
    command = [Path(sys.executable).parent / "snakemake", "--snakefile", root / "Snakefile", "--directory", tmp_path]
    flow, darcy = "results/data/1dcfd-sim64/data.h5", "results/data/darcy-sim30/data.h5"
    subsets = [f"results/subsets/1dcfd-sim64/ratio={ratio}.json" for ratio in ("0.25", "0.5", "1")]
    targets = [flow, *subsets, "results/data/rotten-tomatoes/raw", darcy]
    done = subprocess.run([*command, "--cores", "2", "--", *targets], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (log,) = tmp_path.glob(".snakemake/log/*.log")
    begun = re.findall(r"^Job \d+: (\w+)", log.read_text(encoding="utf-8"), re.M)
    assert begun[:2] == ["Simulate", "Simulate"], begun
    assert sorted(begun[2:]) == ["Choose", "Choose", "Choose", "Fetch"]


def test_fine_tuning_waits_for_its_pretraining(root, tmp_path):
    command = [Path(sys.executable).parent / "snakemake", "--snakefile", root / "Snakefile", "--directory", tmp_path]
    arguments = ["--dry-run", "--cores", "1", "--config", 'experiments=["table2_dpot"]', "only={ratio: [1.0]}"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=300)
    planned = done.stdout + done.stderr
    assert re.search(r"^simulate +2$", planned, re.M)
    assert re.search(r"^pretrain +1$", planned, re.M)
    # A run without weights does not wait.
    waiting = re.findall(
        r"Train dpot-mini on 2dcfd-dpot32, ratio 1, (\S+), .*\n.*pretraining/\w+/seed=0/model", planned
    )
    assert sorted(waiting) == ["baseline", "tb", "zero-shot"]
