"""The environment is locked, everywhere to the same versions."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import tomllib
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import yaml

from replication.runs.provenance import package_versions, version_differences


@pytest.fixture(scope="module")
def update(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("update", root / "envs/update.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pins(root: Path) -> dict[str, str]:
    lines = (root / "envs/constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_the_conda_environments_are_equal_to_the_constraints(kind, root, update, pins):
    text = (root / f"envs/{kind}.yaml").read_text()
    assert text == update.environment(kind, (root / "envs/constraints.txt").read_text()), "run python envs/update.py"
    *_, pip = yaml.safe_load(text)["dependencies"]
    assert dict(item.split("==") for item in pip["pip"]) == pins


def test_every_direct_dependency_is_pinned(root, pins):
    library, study = (
        tomllib.loads((root / path / "pyproject.toml").read_text())["project"] for path in (".", "workflow")
    )
    needed = [item for part in (library, study) for item in part["dependencies"]]
    needed += [item for part in (library, study) for extra in part["optional-dependencies"].values() for item in extra]
    names = {plain(re.match(r"[A-Za-z0-9_.-]+", item).group()) for item in needed}
    assert names - {plain(name) for name in pins} == {"tempbalance"}


def test_the_image_installs_the_pinned_versions(root, pins):
    """The image itself needs Docker and a connection to build; what its commands take from files is run here."""
    lines = (root / "envs/Dockerfile").read_text()
    torch, data = (
        subprocess.run(["sh", "-c", command], cwd=root, capture_output=True, text=True, check=True).stdout.split()
        for command in re.findall(r"\$\(((?:grep|sed) [^)]*)\)", lines)
    )
    assert torch == [f"torch=={pins['torch']}"]
    assert len(data) == 2
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+", package) for package in data)
    for source in re.findall(r"^COPY (\S+) ", lines, re.M):
        assert (root / source).exists()


def test_a_version_that_differs_is_named_at_the_start(tmp_path):
    versions = package_versions()
    path = tmp_path / "constraints.txt"
    path.write_text("# pins\n" + "".join(f"{name}=={version.split('+')[0]}\n" for name, version in versions.items()))
    assert version_differences(path) == []
    path.write_text("torch==1.0\nnumpy==" + versions["numpy"] + "\nnothing==3\n")
    assert version_differences(path) == [f"torch {versions['torch']} (pinned: 1.0)"]


def test_what_was_skipped_is_said_at_the_end_with_the_reason(root):
    spec = importlib.util.spec_from_file_location("top_conftest", root / "tests/conftest.py")
    top = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(top)
    reports = [SimpleNamespace(longrepr=("test_x.py", 1, f"Skipped: no {name}")) for name in ("a", "b", "b")]
    said = []
    top.pytest_terminal_summary(
        SimpleNamespace(stats={"skipped": reports}, section=said.append, write_line=said.append)
    )
    assert said == ["not tested here", "2 skipped: no b", "1 skipped: no a"]
