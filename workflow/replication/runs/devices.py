"""Assign each training job a CPU or GPU when several jobs share one machine."""

from __future__ import annotations

import os
import re
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from filelock import AcquireReturnProxy, FileLock, Timeout

from replication.errors import InputError

#: A GPU, and a context that releases it.
Slot = tuple[str, AbstractContextManager[Any]]

CHOICES = ("auto", "cpu", "cuda")
VISIBLE = "CUDA_VISIBLE_DEVICES"
WAIT_S = 1.0
WAITS_PER_REPORT = 60


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them: numbers or UUIDs."""
    named = os.environ.get(VISIBLE)
    if named is not None and not named.strip():
        return []
    import torch

    count = torch.cuda.device_count()  # does not initialise CUDA, so the variable can still be set afterwards
    return [str(number) for number in range(count)] if named is None else [n.strip() for n in named.split(",")][:count]


@contextmanager
def acquire_device(device: str, lock_dir: Path, *, jobs_per_device: int = 1) -> Iterator[str]:
    """Context that holds a torch device: ``cpu`` or ``cuda:0``.

    The block sees only the least used GPU (``CUDA_VISIBLE_DEVICES``), so nothing that it calls can use another one.
    Locks in ``lock_dir`` count the jobs of each GPU; the system releases them when a job dies. Waits while every GPU is
    full.

    Args:
        device: ``auto`` (a GPU when there is one), ``cpu`` or ``cuda``.
        lock_dir: folder of the locks, shared by all jobs.
        jobs_per_device: jobs that may share one GPU.

    Raises InputError for another ``device``, for ``cuda`` without a GPU, and for ``jobs_per_device`` below 1.
    """
    if device not in CHOICES:
        raise InputError(f"device is {device!r}, expected one of {', '.join(CHOICES)}")
    if jobs_per_device < 1:
        raise InputError(f"jobs per GPU is {jobs_per_device}, expected a whole number of at least 1")
    gpus = [] if device == "cpu" else visible_gpus()
    if device == "cuda" and not gpus:
        raise InputError(f"device 'cuda' was asked for, but {_why_no_gpu()}; set device to auto or cpu, or fix that")
    gpu, lock = _wait_for_slot(gpus, _lock_folder(lock_dir), jobs_per_device) if gpus else ("", nullcontext())
    before = os.environ.get(VISIBLE)
    with lock:
        os.environ[VISIBLE] = gpu
        try:
            yield "cuda:0" if gpus else "cpu"
        finally:
            os.environ.pop(VISIBLE, None)
            if before is not None:
                os.environ[VISIBLE] = before


def _why_no_gpu() -> str:
    import torch

    if not torch.backends.cuda.is_built():
        return f"the installed torch {torch.__version__} is a build without CUDA"
    if (named := os.environ.get(VISIBLE)) is not None:
        return f"torch sees no GPU ({VISIBLE} is '{named}')"
    return "torch sees no GPU (no device, or no working driver)"


def _wait_for_slot(gpus: Sequence[str], lock_dir: Path, jobs_per_device: int) -> Slot:
    waits = 0
    while (taken := _take_slot(gpus, lock_dir, jobs_per_device)) is None:
        if waits % WAITS_PER_REPORT == 0:
            print(f"waiting: {jobs_per_device} job(s) on each of {len(gpus)} GPU(s)", file=sys.stderr, flush=True)
        waits += 1
        time.sleep(WAIT_S)
    return taken


def _take_slot(gpus: Sequence[str], lock_dir: Path, jobs_per_device: int) -> Slot | None:
    """A free slot of the GPU with the most free slots, locked; None if every slot is taken."""
    lock_dir.mkdir(parents=True, exist_ok=True)
    machine = _plain(socket.gethostname())
    with FileLock(lock_dir / f"{machine}.lock"):  # one chooser at a time
        free = {gpu: _free_slots(lock_dir, f"{machine}-gpu-{_plain(gpu)}", jobs_per_device) for gpu in gpus}
        best = max(gpus, key=lambda gpu: len(free[gpu]))  # the first of equals
        for gpu, locks in free.items():
            for taken in locks[1:] if gpu == best else locks:
                taken.lock.release()
    return (best, free[best][0]) if free[best] else None


def _free_slots(lock_dir: Path, name: str, slots: int) -> list[AcquireReturnProxy]:
    """The locks of a device's free slots, all acquired."""
    held = []
    for slot in range(slots):
        with suppress(Timeout):
            held.append(FileLock(lock_dir / f"{name}-{slot}.lock").acquire(timeout=0))
    return held


def _lock_folder(lock_dir: Path) -> Path:
    """The folder of the locks. A Slurm job has its own on the node's disk: two jobs may both see a GPU 0."""
    job = os.environ.get("SLURM_JOB_ID", "")
    return Path(tempfile.gettempdir()) / f"tempbalance-{os.getuid()}-job-{_plain(job)}" if job else lock_dir


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]", "_", name)
