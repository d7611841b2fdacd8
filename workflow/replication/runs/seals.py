"""Seals: how damage to finished files is noticed.

A run's record holds the size and hash of each of its files, and its own hash. For any other file, a hidden file beside
it holds them, the seal. Whatever reads a file compares its content. When the workflow plans, it compares sizes and
times: the files of a job have the same time, because Snakemake renews them together. If times differ, content is
compared too. A file never gets the time of its seal: on a cluster Snakemake renews the files of a whole group when the
group is done, long after the seals were written, so the file would be older than its job's inputs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from replication.errors import DataError
from replication.runs.checkpoint import fingerprint, sha256, write_atomically
from replication.runs.records import RECORD, check_file, damaged, read_record

#: Times of one job's files differ by no more.
TOGETHER_NS = 2 * 10**9


def seal_of(path: Path | str) -> str:
    """The hidden file beside a file that holds its size and hash."""
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}.seal")  # noqa: PTH118 of thousands of files, which pathlib makes slow


def seal(*paths: Path | str) -> None:
    """Write the seal of each file; of a folder, the seals of the files in it."""
    for file in _files(str(path) for path in paths):
        path = Path(file)
        content = {"again": "snakemake makes it again", "files": {path.name: fingerprint(path)}}
        write_atomically(Path(seal_of(file)), json.dumps(content))


def check_seal(path: Path, *, content: bool = True) -> None:
    """Compare a file with its seal, else like :func:`replication.runs.records.check_file`. Raises DataError."""
    if path.name == RECORD:
        read_record(path)
        return
    record = None
    with suppress(OSError, ValueError):
        record = json.loads(Path(seal_of(path)).read_text(encoding="utf-8"))
    check_file(path, record, content=content)


def check_manifest(data: Path) -> None:
    """Compare a data file with the hash in its manifest ``<data>.json`` if their times differ. Raises DataError."""
    manifest = data.with_name(data.name + ".json")
    try:
        written = json.loads(manifest.read_text(encoding="utf-8"))["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if _apart(times := _times([os.fspath(data), os.fspath(manifest)])):
        if sha256(data) != written:
            raise damaged(data, "was damaged or changed after it had been written; delete it, and it is made again")
        _set_times(times, min(times.values()))


def find_damage(outputs: Iterable[str]) -> str | None:
    """What is wrong with a job's finished files; None if nothing is, or if they have no seal and no record.

    If times differ but the content is as it was written, all get the time of the oldest output.
    """
    outputs = list(outputs)
    files, seals = list(_files(outputs)), []
    if not any(file.endswith(RECORD) for file in files):
        files = [file for file in files if os.path.exists(seal_of(file))]  # noqa: PTH110
        seals = [seal_of(file) for file in files]
    times = _times([*files, *seals])
    apart = _apart(times)
    try:
        for file in files if apart or seals else ():
            check_seal(Path(file), content=apart)
    except DataError as error:
        return str(error)
    if apart:
        # Of a folder, Snakemake looks at a time stamp of its own, not at the files in it.
        _set_times(times, min((times[path] for path in outputs if path in times), default=min(times.values())))
    return None


def _files(paths: Iterable[str]) -> Iterator[str]:
    """Files that exist; of a folder, those in it."""
    for path in paths:
        if os.path.isdir(path):  # noqa: PTH112
            yield from sorted(entry.path for entry in os.scandir(path) if entry.is_file() and entry.name[0] != ".")
        elif os.path.exists(path):  # noqa: PTH110
            yield path


def _times(files: Iterable[str]) -> dict[str, int]:
    """Times of the files that exist, in nanoseconds."""
    times = {}
    for file in files:
        with suppress(OSError):
            times[file] = os.stat(file).st_mtime_ns  # noqa: PTH116
    return times


def _apart(times: dict[str, int]) -> bool:
    return bool(times) and max(times.values()) - min(times.values()) > TOGETHER_NS


def _set_times(files: Iterable[str], time_ns: int) -> None:
    with suppress(OSError):  # not ours, or on a disk that cannot be written
        for file in files:
            os.utime(file, ns=(time_ns, time_ns))
