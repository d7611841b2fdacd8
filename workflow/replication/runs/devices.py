"""Assign each training job a CPU or GPU when several jobs share one machine."""

from __future__ import annotations

import os
import re
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from replication.errors import InputError

if TYPE_CHECKING:
    from filelock import BaseFileLock

CHOICES = ("auto", "cpu", "cuda")
VISIBLE = "CUDA_VISIBLE_DEVICES"
WAIT_S = 1.0
REPORT_EVERY_S = 60.0


def visible_gpus() -> list[str]:
    """The GPUs this process may use, as ``CUDA_VISIBLE_DEVICES`` names them: numbers or UUIDs.

    torch counts them without initialising CUDA, so that ``CUDA_VISIBLE_DEVICES`` can still be set afterwards.
    """
    named = os.environ.get(VISIBLE)
    if named is not None and not named.strip():
        return []
    import torch

    count = torch.cuda.device_count()
    return [str(number) for number in range(count)] if named is None else [n.strip() for n in named.split(",")][:count]


@contextmanager
def acquire_device(device: str, lock_dir: Path, *, jobs_per_device: int = 1) -> Iterator[str]:
    """Context that holds a torch device: ``cpu`` or ``cuda:0``.

    The block sees only the least used GPU (``CUDA_VISIBLE_DEVICES``), so nothing that it calls can use another one.
    Locks in ``lock_dir`` count the jobs on each device; the system releases them when a job dies. The call waits while
    every device is full.

    Args:
        device: ``auto`` (a GPU when there is one), ``cpu`` or ``cuda``.
        lock_dir: folder of the locks, common to all jobs of a machine.
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
    with ExitStack() as stack:
        if gpus:
            gpu, lock = _wait_for_slot(gpus, _lock_folder(lock_dir), jobs_per_device)
            stack.callback(lock.release)
            stack.enter_context(_environment(VISIBLE, gpu))
        else:
            stack.enter_context(_environment(VISIBLE, ""))
        yield "cuda:0" if gpus else "cpu"


def _why_no_gpu() -> str:
    import torch

    if not torch.backends.cuda.is_built():
        return f"the installed torch {torch.__version__} is a build without CUDA"
    if (named := os.environ.get(VISIBLE)) is not None:
        return f"torch sees no GPU ({VISIBLE} is '{named}')"
    return "torch sees no GPU (no device, or no working driver)"


def _wait_for_slot(gpus: Sequence[str], lock_dir: Path, jobs_per_device: int) -> tuple[str, BaseFileLock]:
    told = -REPORT_EVERY_S
    while True:
        taken = _take_slot(gpus, lock_dir, jobs_per_device)
        if taken is not None:
            return taken
        if time.monotonic() - told >= REPORT_EVERY_S:
            print(f"waiting: {jobs_per_device} job(s) on each of {len(gpus)} GPU(s)", file=sys.stderr, flush=True)
            told = time.monotonic()
        time.sleep(WAIT_S)


def _take_slot(gpus: Sequence[str], lock_dir: Path, jobs_per_device: int) -> tuple[str, BaseFileLock] | None:
    """A free slot on the GPU with the most free slots, locked; None where every slot is taken."""
    from filelock import FileLock

    lock_dir.mkdir(parents=True, exist_ok=True)
    machine = _plain(socket.gethostname())
    with FileLock(lock_dir / f"{machine}.lock"):  # one chooser at a time
        free = {gpu: _free_slots(lock_dir, f"{machine}-gpu-{_plain(gpu)}", jobs_per_device) for gpu in gpus}
        best = max(gpus, key=lambda gpu: len(free[gpu]))  # the first of equals
        for gpu, locks in free.items():
            for lock in locks[1:] if gpu == best else locks:
                lock.release()
    return (best, free[best][0]) if free[best] else None


def _free_slots(lock_dir: Path, name: str, slots: int) -> list[BaseFileLock]:
    """The locks of a device's free slots, all held now."""
    from filelock import FileLock, Timeout

    held: list[BaseFileLock] = []
    for slot in range(slots):
        lock = FileLock(lock_dir / f"{name}-{slot}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        held.append(lock)
    return held


def _lock_folder(lock_dir: Path) -> Path:
    """Where the locks lie; within a Slurm job on the node's own disk, for that job alone.

    A scheduler may number each job's devices from 0 again, so the locks of two jobs must not meet.
    """
    job = os.environ.get("SLURM_JOB_ID", "")
    return Path(tempfile.gettempdir()) / f"tempbalance-{os.getuid()}-job-{_plain(job)}" if job else lock_dir


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]", "_", name)


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before
