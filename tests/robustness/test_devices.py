"""The device allocator, with invented GPUs; the test marked ``gpu`` needs real ones."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from replication.errors import InputError
from replication.runs import devices
from replication.runs.devices import acquire_device


@pytest.fixture
def gpus(monkeypatch):
    """Invents GPUs: ``gpus("0", "1")``."""

    def invent(*names: str) -> None:
        monkeypatch.setattr(devices, "visible_gpus", lambda: list(names))

    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv(devices.VISIBLE, "before")
    return invent


def take(stack: ExitStack, folder: Path, jobs: int = 1) -> str:
    assert stack.enter_context(acquire_device("auto", folder, jobs_per_device=jobs)) == "cuda:0"
    return os.environ[devices.VISIBLE]


def test_jobs_spread_over_the_devices(gpus, tmp_path):
    gpus("0", "1", "GPU-3f2a/x")
    with ExitStack() as stack:
        assert [take(stack, tmp_path) for _ in range(3)] == ["0", "1", "GPU-3f2a/x"]
    assert os.environ[devices.VISIBLE] == "before"


def test_several_small_jobs_share_a_device_and_the_least_used_comes_first(gpus, tmp_path):
    gpus("0", "1")
    with ExitStack() as stack:
        assert [take(stack, tmp_path, jobs=2) for _ in range(4)] == ["0", "1", "0", "1"]
    with ExitStack() as outer:
        take(outer, tmp_path, jobs=3)
        with ExitStack() as inner:
            assert [take(inner, tmp_path, jobs=3) for _ in range(2)] == ["1", "0"]
        assert take(outer, tmp_path, jobs=3) == "1"  # what ended has made room


def test_a_full_machine_makes_a_job_wait_until_one_ends(gpus, tmp_path, monkeypatch, capsys):
    gpus("0")
    held = ExitStack()
    take(held, tmp_path)
    monkeypatch.setattr(devices.time, "sleep", lambda _: held.close())
    with acquire_device("cuda", tmp_path) as device:
        assert device == "cuda:0"
    assert "waiting: 1 job(s) on each of 1 GPU(s)" in capsys.readouterr().err


def test_the_lock_of_a_killed_job_is_gone(gpus, tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from replication.runs import devices\n"
        "devices.visible_gpus = lambda: ['0']\n"
        "with devices.acquire_device('auto', Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    env = {key: value for key, value in os.environ.items() if key != devices.VISIBLE}
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, env=env) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert devices._take_slot(["0"], tmp_path, 1) is None
        process.kill()
        process.wait()
    gpus("0")
    started = time.monotonic()
    with acquire_device("auto", tmp_path):
        assert time.monotonic() - started < 1


def test_within_a_slurm_job_the_locks_are_the_jobs_own(gpus, tmp_path, monkeypatch):
    gpus("0")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "node"))
    with ExitStack() as stack:
        monkeypatch.setenv("SLURM_JOB_ID", "7")
        take(stack, tmp_path / "locks")
        monkeypatch.setenv("SLURM_JOB_ID", "8")
        assert take(stack, tmp_path / "locks") == "0"  # another physical device under the same number
    assert not (tmp_path / "locks").exists()  # nothing is left on the network disk


def test_no_gpu_means_the_processor_and_hides_devices_from_libraries(gpus, tmp_path):
    gpus()
    for device in ("auto", "cpu"):
        with acquire_device(device, tmp_path / "locks") as chosen:
            assert chosen == "cpu"
            assert os.environ[devices.VISIBLE] == ""
    assert not (tmp_path / "locks").exists()
    assert os.environ[devices.VISIBLE] == "before"


def test_a_processor_is_taken_where_one_is_asked_for_although_there_are_gpus(gpus, tmp_path):
    gpus("0")
    with acquire_device("cpu", tmp_path) as chosen:
        assert chosen == "cpu"


def test_a_missing_gpu_that_is_demanded_is_one_clear_sentence(gpus, tmp_path):
    gpus()
    with (
        pytest.raises(InputError, match=r"device 'cuda' was asked for, but .*; set device to auto or cpu"),
        acquire_device("cuda", tmp_path),
    ):
        pass


@pytest.mark.parametrize(("device", "jobs"), [("gpu", 1), ("cuda:1", 1), ("", 1), ("auto", 0), ("cpu", -1)])
def test_bad_arguments(device, jobs, tmp_path):
    with pytest.raises(InputError, match="expected"), acquire_device(device, tmp_path, jobs_per_device=jobs):
        pass


@pytest.mark.parametrize(
    ("named", "count", "expected"),
    [("", 8, []), (None, 0, []), (None, 2, ["0", "1"]), ("3,5", 2, ["3", "5"]), ("3,-1,5", 1, ["3"]), ("-1", 0, [])],
)
def test_visible_gpus_follows_the_environment(named, count, expected, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    if named is None:
        monkeypatch.delenv(devices.VISIBLE, raising=False)
    else:
        monkeypatch.setenv(devices.VISIBLE, named)
    assert devices.visible_gpus() == expected


def test_torch_is_not_imported_for_the_processor(tmp_path):
    code = (
        "import sys; from pathlib import Path; from replication.runs.devices import acquire_device\n"
        "with acquire_device('cpu', Path('.')): print('torch' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], cwd=tmp_path, text=True) == "False\n"


@pytest.mark.gpu
def test_on_a_real_gpu_the_block_sees_one_device(tmp_path):
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no GPU on this machine")
    code = (
        "from pathlib import Path; from replication.runs.devices import acquire_device\n"
        "with acquire_device('cuda', Path('.')) as device:\n"
        "    import torch; print(torch.ones(2, device=device).sum().item(), torch.cuda.device_count())"
    )
    assert subprocess.check_output([sys.executable, "-c", code], cwd=tmp_path, text=True) == "2.0 1\n"
