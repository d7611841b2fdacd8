"""The rule that simulates uses the cores that it may, and data for pretraining are simulated too."""

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
