"""Checkpoints that survive a kill, a torn write and a full disk.

A checkpoint is a folder. It is written under a temporary name, flushed to disk, sealed by a manifest (SHA-256 of every
file and the run's hash), then renamed. The last two are kept, in case the newest is damaged.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

MANIFEST = "manifest.json"
KEPT = 2


def fsync(path: Path) -> None:
    """Flush one file or folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str:
    """SHA-256 of a file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(path: Path) -> dict[str, int | str]:
    """Size and SHA-256 of a file."""
    return {"bytes": path.stat().st_size, "sha256": sha256(path)}


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file; a reader sees the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        fsync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def link_or_copy(source: Path, target: Path) -> None:
    """Hard-link a file atomically (it may be gigabytes); copy it if that is not possible."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        shutil.copyfile(source, temporary)
    temporary.replace(target)


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one run: in ``folder``, and ignored if they were saved with another ``run_hash``."""

    folder: Path
    run_hash: str

    def save(self, step: int, write: Callable[[Path], None]) -> None:
        """Save a checkpoint; ``write`` fills the empty folder that it receives.

        Raises OSError if the disk is full; the earlier checkpoints are then untouched.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.folder / f".tmp-{step}-{os.getpid()}"
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            temporary.mkdir()
            write(temporary)
            files = sorted(path for path in temporary.rglob("*") if path.is_file())
            for path in files:
                fsync(path)
            manifest = {
                "run_hash": self.run_hash,
                "step": step,
                "files": {str(path.relative_to(temporary)): sha256(path) for path in files},
            }
            write_atomically(temporary / MANIFEST, json.dumps(manifest, indent=1))
            final = self.folder / f"step-{step:09d}"
            shutil.rmtree(final, ignore_errors=True)
            temporary.rename(final)
            fsync(self.folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        for old in self._newest_first()[KEPT:]:
            shutil.rmtree(old, ignore_errors=True)

    def latest(self) -> Path | None:
        """The newest checkpoint whose hash and checksums are right, or None."""
        for folder in self._newest_first():
            if not (problem := self._problem(folder)):
                return folder
            log.warning("checkpoint %s is skipped: %s", folder.name, problem)
        return None

    def clear(self) -> None:
        """Remove all of them (the run is finished)."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _newest_first(self) -> list[Path]:
        return sorted(self.folder.glob("step-*"), reverse=True)

    def _problem(self, folder: Path) -> str:
        try:
            manifest = json.loads((folder / MANIFEST).read_text())
            if manifest["run_hash"] != self.run_hash:
                return "it belongs to another configuration"
            for name, expected in manifest["files"].items():
                if sha256(folder / name) != expected:
                    return f"{name} is damaged"
        except (OSError, ValueError, KeyError, TypeError) as error:
            return f"it cannot be read ({error})"
        return ""
