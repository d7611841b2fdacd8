"""The same seed gives the same bytes: one job or several at once, in any order, forked or in a fresh process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import Starter, TinyRun

SEEDS = (13, 37)


@pytest.fixture(scope="module")
def several(tiny) -> list[TinyRun]:
    return [tiny(name).with_(seed=seed, epochs=3) for name in ("text", "pde") for seed in SEEDS]


@pytest.fixture(scope="module")
def one_after_the_other(starter: Starter, several: list[TinyRun], tmp_path_factory) -> list[dict[str, Any]]:
    folder: Path = tmp_path_factory.mktemp("in-turn")
    for run in several:
        process = starter.start(run.arguments, folder)
        assert process.wait() == 0, process.output
    return [run.result(folder) for run in several]


def test_all_at_once_in_reverse_order(starter, several, one_after_the_other, tmp_path):
    processes = [starter.start(run.arguments, tmp_path) for run in reversed(several)]
    for process in processes:
        assert process.wait() == 0, process.output
    assert [run.result(tmp_path) for run in several] == one_after_the_other


def test_a_fresh_process_through_the_command(several, one_after_the_other, tmp_path):
    command = Path(sys.executable).with_name("replication")
    env = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONHASHSEED": "7"}
    for run, expected in zip(several[:: len(SEEDS)], one_after_the_other[:: len(SEEDS)], strict=True):
        done = subprocess.run([command, *run.arguments], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert run.result(tmp_path) == expected


def test_seeds_differ(several, one_after_the_other):
    """Otherwise the tests above would show nothing."""
    weights = [result["model.safetensors"] for result in one_after_the_other]
    assert len(set(weights)) == len(several)
