"""Finished files that were damaged or changed afterwards: who notices, and what is done again.

A run's record holds the hash of each of its files and of itself. A table has its hash beside it, in a hidden file. What
reads a file compares its content. The workflow compares times when it plans: Snakemake renews the times of a job's
files together, so it reads only files whose times lie apart.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from replication.errors import DataError
from replication.runs.checkpoint import sha256, write_atomically
from replication.runs.records import RECORD, check_file, damaged, read_record

if TYPE_CHECKING:
    import pandas as pd

FILES = ("history.csv", "spectra.csv", "layers.csv", "eigenvalues.npz", "predictions.npz", "model.safetensors")
#: Times that lie no further apart are those of one job.
TOGETHER_NS = 2 * 10**9


def _seal(table: Path) -> Path:
    return table.with_name(f".{table.name}.sha256")


def write_tables(tables: Mapping[str, pd.DataFrame]) -> None:
    """Write tables as CSV (path -> table), each with its hash beside it, as ``sha256sum --check`` takes it."""
    for name, table in tables.items():
        path = Path(name)
        _seal(path).unlink(missing_ok=True)
        table.to_csv(path, index=False)
        write_atomically(_seal(path), f"{sha256(path)}  {path.name}\n")


def check_table(path: Path) -> None:
    """Compare a table with its hash; without one nothing is compared.

    Raises DataError, naming the file, where it is another one.
    """
    with suppress(FileNotFoundError):
        if _seal(path).read_text(encoding="utf-8", errors="replace").split()[:1] != [sha256(path)]:
            raise damaged(path, "was damaged or changed after it had been written; snakemake makes it again")


def find_damage(path: Path) -> str | None:
    """What is wrong with a finished run, named by its record, or with a table; None where nothing is wrong or finished.

    Content is read only where times lie apart. Where it is what was written, the times are brought together again.
    """
    is_run = path.name == RECORD
    times = _times(path, FILES if is_run else (_seal(path).name,))
    if not times or max(times.values()) - min(times.values()) <= TOGETHER_NS:
        return None
    try:
        if is_run:
            record = read_record(path)
            for file in times:
                check_file(Path(file), record)
        else:
            check_table(path)
    except DataError as error:
        return str(error)
    oldest = min(times.values())
    for file in times:
        os.utime(file, ns=(oldest, oldest))
    return None


def _times(path: Path, beside: Iterable[str]) -> dict[str, int]:
    """Times of a file and of those beside it that exist, in nanoseconds; empty where the file itself does not exist."""
    found = {}
    folder = os.path.dirname(path)  # noqa: PTH120 of thousands of files, which pathlib makes slow
    for file in (os.fspath(path), *(os.path.join(folder, name) for name in beside)):  # noqa: PTH118
        try:
            found[file] = os.stat(file).st_mtime_ns  # noqa: PTH116
        except OSError:
            if not found:
                break
    return found
