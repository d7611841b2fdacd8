"""PDE files that are not simulated: the user's own, or PDEBench's, downloaded or from a folder."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from replication.errors import ConfigError, DataError
from replication.runs.checkpoint import link_or_copy, sha256, write_atomically
from replication.simulation.data import PDEFile

BLOCK = 1 << 20
REPORT_EVERY_S = 5.0
TIMEOUT_S = 60


def _source(options: Mapping[str, Any]) -> tuple[str, str, str]:
    try:
        name, url, md5 = (str(options[key]) for key in ("file", "url", "md5"))
    except KeyError as error:
        raise ConfigError(f"data set option {error} is missing, expected file, url and md5") from None
    if not url.startswith("https://"):
        raise ConfigError(f"data set option 'url' is {url!r}, expected an https address")
    if Path(name).name != name:
        raise ConfigError(f"data set option 'file' is {name!r}, expected a plain file name")
    return name, url, md5


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        # The publisher's checksum: it detects damage, not manipulation.
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def download(url: str, target: Path, md5: str) -> None:
    """Download a file, or resume from ``<target>.partial`` after an interruption.

    Raises DataError if the server cannot be reached or refuses, or if the file has another checksum.
    """
    import requests

    part = target.with_name(target.name + ".partial")
    part.parent.mkdir(parents=True, exist_ok=True)
    start = part.stat().st_size if part.is_file() else 0
    headers = {"Range": f"bytes={start}-"} if start else {}
    try:
        with requests.get(url, stream=True, timeout=TIMEOUT_S, headers=headers) as response:
            if response.status_code in (200, 206):
                # A server that ignores the range sends the whole file.
                _receive(response, part, start if response.status_code == 206 else 0)
            elif response.status_code != 416:  # the partial file is complete; the checksum decides
                raise DataError(f"{url}: the server answered {response.status_code}; try again later")
    except requests.RequestException as error:
        raise DataError(
            f"{url}: cannot be downloaded ({type(error).__name__}); without a connection, put the published file into "
            "a folder and name the folder under data_folders in config.yaml"
        ) from None
    found = _md5(part)
    if found != md5:
        part.unlink()
        raise DataError(f"{url}: the downloaded file has md5 {found}, expected {md5}; it was deleted, so run again")
    part.replace(target)


def _receive(response: Any, part: Path, start: int) -> None:
    length = response.headers.get("Content-Length")
    total = start + int(length) if length else None
    done, reported = start, time.monotonic()
    with part.open("ab" if start else "wb") as file:
        for block in response.iter_content(BLOCK):
            file.write(block)
            done += len(block)
            if time.monotonic() - reported > REPORT_EVERY_S:
                reported = time.monotonic()
                share = f" of {total / 2**30:.2f}" if total else ""
                print(f"{part.name}  {done / 2**30:.2f}{share} GiB", file=sys.stderr, flush=True)
    if total is not None and done != total:
        raise DataError(f"{part}: {done} of {total} bytes received; run again to resume")


def fetch(options: Mapping[str, Any], out: Path, *, folder: Path | None = None) -> None:
    """Store a published file, or the user's own, as ``out``, check it, and write its manifest ``<out>.json``.

    ``options`` are ``file``, ``url`` and ``md5`` of the published file, or ``source: file`` and the user's ``file``. If
    ``folder`` has a copy of the published file, it is not downloaded.

    Raises DataError for a file that is missing, damaged or not in PDEBench's layout.
    """
    manifest = out.with_name(out.name + ".json")
    out.parent.mkdir(parents=True, exist_ok=True)
    manifest.unlink(missing_ok=True)  # it describes the file that is replaced
    if options.get("source") == "file":
        own = Path(str(options.get("file", ""))).expanduser()
        if not own.is_file():
            raise DataError(f"{own}: no such file; data set option 'file' names it, relative to the working directory")
        # Copied, not linked: the user may change the file, but the data of finished runs must not change.
        part = out.with_name(out.name + ".partial")
        shutil.copyfile(own, part)
        part.replace(out)
    else:
        name, url, md5 = _source(options)
        if folder is None:
            download(url, out, md5)
        else:
            own = folder.expanduser() / name
            if not own.is_file():
                raise DataError(f"{own}: no such file; put the published {name} there (data_folders names this folder)")
            if (found := _md5(own)) != md5:
                raise DataError(f"{own}: md5 is {found}, expected {md5}; the file is damaged or not the published file")
            link_or_copy(own, out)
    with PDEFile(out) as file:
        rows = file.rows
    write_atomically(manifest, json.dumps({"sha256": sha256(out), "rows": rows, "options": dict(options)}))
