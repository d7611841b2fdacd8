"""Where a result comes from: versions, commit and device."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "tempbalance", "torch", "transformers", "neuraloperator", "numpy", "scipy", "pandas", "numba", "peft",
    "snakemake",
)  # fmt: skip


@cache
def package_versions() -> dict[str, str]:
    """Installed versions of the packages that results may depend on."""
    found = {}
    for name in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def version_differences(constraints: Path) -> list[str]:
    """Packages whose version is not the one in a pip constraints file, as ``torch 2.12.0 (pinned: 2.13.0)``.

    Only ``PACKAGES`` count; a build suffix (``+cpu``) does not.
    """
    pins = dict(line.split("==") for line in constraints.read_text().split() if line.count("==") == 1)
    return [
        f"{name} {version} (pinned: {pins[name]})"
        for name, version in package_versions().items()
        if name in pins and version.split("+")[0] != pins[name]
    ]


@cache
def git_commit() -> str:
    """The commit of the source tree, with ``+dirty`` behind it; ``unknown`` outside a git checkout."""
    # Without tags, `describe` gives the whole hash.
    command = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+dirty"]
    try:
        return subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return os.environ.get("TEMPBALANCE_COMMIT", "unknown")


def device_name(device: str) -> str:
    """The device and its GPU or processor architecture, as ``cpu (x86_64)``."""
    if device.startswith("cuda"):
        import torch

        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"cpu ({platform.machine()})"


def peak_memory_mb(device: str) -> float:
    """Peak resident memory of this process, or peak allocated GPU memory, in MiB."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.max_memory_allocated(device) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def provenance(device: str) -> dict[str, Any]:
    """Versions, commit and device, for a run's record."""
    return {
        "git_commit": git_commit(),
        "device": device_name(device),
        "python": platform.python_version(),
        "packages": package_versions(),
    }
