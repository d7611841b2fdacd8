"""What is noticed of a finished file that was damaged or changed afterwards, and what it costs to notice."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from replication.errors import DataError
from replication.runs import records, seals
from replication.runs.seals import check_manifest, check_seal, find_damage, seal

LATER = (time.time() + 3600,) * 2


@pytest.fixture
def outputs(tmp_path: Path) -> list[str]:
    """Files of a finished job, the second of them a folder."""
    (tmp_path / "prepared").mkdir()
    for name in ("figure.png", "prepared/train.parquet"):
        (tmp_path / name).write_bytes(b"as it was written")
    paths = [str(tmp_path / name) for name in ("figure.png", "prepared")]
    seal(*paths)
    return paths


def files(outputs: list[str]) -> list[Path]:
    return [Path(outputs[0]), Path(outputs[1], "train.parquet")]


def test_finished_files_are_not_read_to_plan(outputs, monkeypatch):
    monkeypatch.setattr(records, "sha256", lambda path: pytest.fail(f"{path} was read"))
    assert find_damage(outputs) is None


@pytest.mark.parametrize("which", [0, 1])
def test_another_size_is_noticed_whatever_the_time(outputs, which):
    path = files(outputs)[which]
    before = path.stat()
    path.write_bytes(path.read_bytes()[:-1])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert find_damage(outputs) == (
        f"{path}: has 16 bytes, 17 were written, so it was damaged or changed; snakemake makes it again"
    )


@pytest.mark.parametrize("which", [0, 1])
def test_other_content_of_the_same_size_is_noticed_by_its_time_or_when_it_is_read(outputs, which):
    path = files(outputs)[which]
    path.write_bytes(b"as it was changed")
    with pytest.raises(DataError, match="was damaged or changed after it had been written"):
        check_seal(path)
    os.utime(path, LATER)
    assert find_damage(outputs) == f"{path}: was damaged or changed after it had been written; snakemake makes it again"


def test_a_touched_file_is_read_once(outputs, monkeypatch):
    path = files(outputs)[0]
    os.utime(path, LATER)
    assert find_damage(outputs) is None
    monkeypatch.setattr(records, "sha256", lambda path: pytest.fail(f"{path} was read again"))
    assert find_damage(outputs) is None


def test_one_touched_file_of_a_job_gets_the_time_of_the_other(tmp_path):
    first, second = tmp_path / "figure.png", tmp_path / "figure.pdf"
    for path in (first, second):
        path.write_bytes(b"as it was written")
    seal(first, second)
    before = first.stat().st_mtime
    os.utime(first, LATER)
    assert find_damage([str(first), str(second)]) is None
    assert first.stat().st_mtime < before + 60


def test_a_file_renewed_long_after_its_seal_keeps_its_time(tmp_path, monkeypatch):
    """As in a group of jobs on a cluster: with its seal's time it would be older than its job's inputs."""
    subset = tmp_path / "ratio=1.json"
    subset.write_bytes(b"rows")
    seal(subset)
    os.utime(subset, LATER)
    assert find_damage([str(subset)]) is None
    assert subset.stat().st_mtime == pytest.approx(LATER[0])
    monkeypatch.setattr(records, "sha256", lambda path: pytest.fail(f"{path} was read again"))
    assert find_damage([str(subset)]) is None


@pytest.mark.parametrize("removed", ["figure.png", ".figure.png.seal"])
def test_without_file_or_seal_nothing_is_compared(outputs, removed):
    path = files(outputs)[0]
    os.utime(path, LATER)
    path.write_bytes(b"other")
    path.with_name(removed).unlink()
    assert find_damage(outputs) is None


def test_a_file_of_the_user_s_own_is_compared_with_its_manifest_where_times_lie_apart(tmp_path, monkeypatch):
    data = tmp_path / "data.h5"
    data.write_bytes(b"fetched")
    (tmp_path / "data.h5.json").write_text(json.dumps({"sha256": seals.sha256(data)}))
    check_manifest(data)
    os.utime(data, LATER)
    check_manifest(data)
    data.write_bytes(b"changed")
    os.utime(data, LATER)
    assert find_damage([str(data), f"{data}.json"]) is None, "what the workflow did not make is not made again"
    with pytest.raises(DataError, match=r"data\.h5: was damaged or changed after it had been written; delete it"):
        check_manifest(data)
