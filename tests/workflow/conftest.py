"""Snakemake as a user calls it, and one smoke run that every test of this folder reads."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def snakemake(root: Path) -> Run:
    """Call snakemake with this repository's Snakefile in another working directory."""

    def call(folder: Path, *arguments: str, timeout: float = 900) -> subprocess.CompletedProcess[str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            [
                "snakemake",
                "--snakefile",
                str(root / "Snakefile"),
                "--directory",
                str(folder),
                "--cores",
                "2",
                *arguments,
            ],
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**os.environ, "PATH": path, "PYTHONWARNINGS": "ignore", "COLUMNS": "200"},
        )

    return call


@pytest.fixture(scope="session")
def smoke(snakemake: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished smoke run: the whole chain at its smallest size."""
    folder = tmp_path_factory.mktemp("smoke")
    done = snakemake(folder, "--config", "scale=smoke")
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-10000:]
    return folder
