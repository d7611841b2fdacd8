"""The rule that simulates uses the cores it may."""

from __future__ import annotations

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
