"""kill -9 of snakemake, and of everything at once, in the middle of the pipeline (long; `make test-slow`)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import DIFFERS, SAME, wait_for

#: One experiment of the smoke scale: simulation, subsets, trainings, spectra and tables.
TARGET = "results/table23_darcy/runs.csv"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]


def start(root: Path, folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    folder.mkdir(exist_ok=True)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["snakemake", "--snakefile", str(root / "Snakefile"), "--directory", str(folder), "--cores", "2"]
    with (folder / "log.txt").open("ab") as log:
        return subprocess.Popen(
            [*command, TARGET, *arguments, "--config", "scale=smoke", "device=cpu"],
            stdout=log, stderr=log, env={**os.environ, "PATH": path}, start_new_session=True,
        )  # fmt: skip


def results(folder: Path) -> dict[str, Any]:
    found = {}
    for path in sorted((folder / "results/runs").rglob("metrics.json")):
        record = {key: value for key, value in json.loads(path.read_text()).items() if key not in DIFFERS}
        files = {name: (path.parent / name).read_bytes() for name in SAME}
        found[str(path.relative_to(folder))] = {"record": record, **files}
    return found


@pytest.fixture(scope="module")
def undisturbed(root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("undisturbed")
    assert start(root, folder).wait() == 0, (folder / "log.txt").read_text()[-5000:]
    return results(folder)


@pytest.mark.parametrize("what", ["snakemake", "everything"])
def test_the_same_command_ends_with_the_same_bytes(what, root, undisturbed, tmp_path):
    process = start(root, tmp_path)
    wait_for(lambda: len(list((tmp_path / "results/runs").rglob("heartbeat.json"))) >= 1, seconds=300)
    if what == "snakemake":
        os.kill(process.pid, signal.SIGKILL)
    else:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    # A training of the killed snakemake may still be running; a second writer would be refused, so it may end first.
    # Snakemake's own lock of the folder is taken away as its message says.
    assert start(root, tmp_path, "--unlock").wait() == 0
    code = start(root, tmp_path).wait()
    if code != 0 and what == "snakemake":
        code = start(root, tmp_path).wait()
    log = (tmp_path / "log.txt").read_text()
    assert code == 0, log[-5000:]
    assert "Traceback" not in log
    assert results(tmp_path) == undisturbed
    assert start(root, tmp_path).wait() == 0
    assert "Nothing to be done" in (tmp_path / "log.txt").read_text()
