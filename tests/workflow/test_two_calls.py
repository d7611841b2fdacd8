"""Two calls in one folder, and a lock that a killed call left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

DATA = "results/data/1dcfd-smoke/data.h5"
CALL = (DATA, "--config", "scale=smoke", "device=cpu")


def start(root: Path, folder: Path) -> subprocess.Popen[bytes]:
    """The call in a process group of its own, stopped while it holds the folder's lock."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["snakemake", "--snakefile", str(root / "Snakefile"), "--directory", str(folder), "--cores", "1", *CALL]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "PATH": path},
        start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not list(folder.glob(".snakemake/locks/*")):
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
