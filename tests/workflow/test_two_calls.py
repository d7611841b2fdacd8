"""Two calls in one folder, two clones with one results folder, and locks that a killed call left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

DATA = "results/data/1dcfd-smoke/data.h5"
CALL = (DATA, "--config", "scale=smoke", "device=cpu")


def start(root: Path, folder: Path, until: str = ".snakemake/locks/*") -> subprocess.Popen[bytes]:
    """The call in a process group of its own, stopped once a file is there; by default, its lock of the folder."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["snakemake", "--snakefile", str(root / "Snakefile"), "--directory", str(folder), "--cores", "1", *CALL]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "PATH": path},
        start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not list(folder.glob(until)):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGSTOP)
    return process


def is_refused(done: subprocess.CompletedProcess[str]) -> bool:
    text = done.stdout + done.stderr
    return done.returncode != 0 and "Directory cannot be locked" in text and "Traceback" not in text


def test_the_second_call_is_refused_and_the_first_is_not_disturbed(root, snakemake, tmp_path):
    first = start(root, tmp_path)
    try:
        assert not (tmp_path / DATA).exists()
        assert is_refused(snakemake(tmp_path, *CALL))
        os.killpg(first.pid, signal.SIGCONT)
        assert first.wait(timeout=300) == 0
    finally:
        if first.poll() is None:
            os.killpg(first.pid, signal.SIGKILL)
    assert (tmp_path / DATA).is_file()


def test_after_kill_9_the_lock_is_removed_as_the_message_says_and_the_same_call_goes_on(root, snakemake, tmp_path):
    killed = start(root, tmp_path)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert is_refused(snakemake(tmp_path, *CALL))
    assert snakemake(tmp_path, "--unlock", "--config", "scale=smoke").returncode == 0
    assert snakemake(tmp_path, *CALL).returncode == 0
    assert (tmp_path / DATA).is_file()


def test_of_two_clones_with_one_results_folder_the_second_is_told_and_goes_on_after_kill_9(root, snakemake, tmp_path):
    (tmp_path / "shared").mkdir()
    clones = [tmp_path / "one", tmp_path / "two"]
    for clone in clones:
        clone.mkdir()
        (clone / "results").symlink_to(tmp_path / "shared")

    def told(folder: Path) -> bool:
        done = snakemake(clones[1], *CALL)
        text = done.stdout + done.stderr
        return done.returncode != 0 and f"another process is writing {folder} (lock" in text and "Traceback" not in text

    first = start(root, clones[0], f"{DATA}.parts-*")
    try:
        assert told(tmp_path / "shared")
        first.kill()
        first.wait()
        assert told(tmp_path / "shared/data/1dcfd-smoke"), "the killed call's job lives on"
    finally:
        os.killpg(first.pid, signal.SIGKILL)
    assert snakemake(clones[1], *CALL).returncode == 0
    assert (tmp_path / "shared/data/1dcfd-smoke/data.h5.json").is_file()
