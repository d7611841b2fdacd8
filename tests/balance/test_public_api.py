"""The public API: its examples run, and the wheel has only the library and needs only what it declares."""

from __future__ import annotations

import doctest
import inspect
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest

import tempbalance

PUBLIC = sorted(name for name in tempbalance.__all__ if not inspect.ismodule(getattr(tempbalance, name)))
#: Packages that a training script with TempBalance must not need.
FOREIGN = ("snakemake", "transformers", "neuralop", "replication", "sklearn", "matplotlib")


def test_every_name_is_there():
    assert len(PUBLIC) == 6
    for name in tempbalance.__all__:
        value = getattr(tempbalance, name)
        for inner in getattr(value, "__all__", ()):
            getattr(value, inner)


@pytest.mark.parametrize("name", PUBLIC)
def test_examples(name):
    value = getattr(tempbalance, name)
    assert "Examples:" in value.__doc__
    example = doctest.DocTestParser().get_doctest(value.__doc__, {}, name, None, 0)
    report: list[str] = []
    results = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(example, out=report.append)
    assert results.attempted >= 2
    assert not results.failed, "".join(report)


# ---- the wheel ---------------------------------------------------------------------------------------------


def run(*command: str | Path, cwd: Path) -> str:
    # -I ignores PYTHONPATH and the working directory, so that only installed packages can be imported.
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def closure(requirements: list[str]) -> set[str]:
    """Names of the installed distributions that these requirements need, recursively, without extras."""
    from packaging.requirements import Requirement

    found: set[str] = set()
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        needed = waiting.pop()
        if (needed.marker and not needed.marker.evaluate({"extra": ""})) or needed.name in found:
            continue
        found.add(needed.name)
        waiting += [Requirement(text) for text in distribution(needed.name).requires or []]
    return found


def link(names: set[str], folder: Path) -> None:
    """Link the top-level files of distributions of this environment into another one."""
    for name in names:
        installed = distribution(name)
        for top in {path.parts[0] for path in installed.files or () if path.parts[0] not in ("..", "__pycache__")}:
            if not (folder / top).exists():
                (folder / top).symlink_to(installed.locate_file(top))


@pytest.fixture(scope="module")
def sources(root, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    # A copy, because setuptools leaves build folders beside the sources.
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, folder)
    shutil.copytree(root / "workflow", folder / "workflow", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    return folder


def build_wheel(project: Path) -> Path:
    # Without isolation, setuptools is that of this environment, not from an index.
    run(
        sys.executable, "-I", "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation", "--no-index", "-w", "out",
        cwd=project,
    )  # fmt: skip
    (path,) = (project / "out").iterdir()
    return path


@pytest.fixture(scope="module")
def wheel(sources) -> Path:
    return build_wheel(sources)


@pytest.fixture(scope="module")
def sdist(sources) -> Path:
    code = "from setuptools.build_meta import build_sdist; build_sdist('sdist')"
    run(sys.executable, "-I", "-c", code, cwd=sources)
    (path,) = (sources / "sdist").iterdir()
    return path


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory) -> Path:
    """A fresh virtual environment with the wheel and the distributions that its metadata requires.

    These are links into this environment, because torch is too large to copy. Nothing else can be imported.
    """
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    run(sys.executable, "-I", "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=folder)
    (packages,) = folder.glob("lib/python3*/site-packages")
    (metadata,) = packages.glob("tempbalance-*.dist-info/METADATA")
    required = re.findall(r"^Requires-Dist: (.*)$", metadata.read_text(), re.MULTILINE)
    link(closure(required), packages)
    return python


def test_the_wheel_has_only_the_library(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"tempbalance"}
    assert "tempbalance/py.typed" in names
    assert all(name.endswith((".py", ".typed")) for name in names if name.startswith("tempbalance/"))


def test_the_index_would_accept_wheel_and_sdist(wheel, sdist, tmp_path):
    pytest.importorskip("twine")
    shown = run(sys.executable, "-m", "twine", "check", "--strict", wheel, sdist, cwd=tmp_path)
    assert shown.count("PASSED") == 2


def test_the_sdist_builds_the_same_wheel(wheel, sdist, tmp_path):
    shutil.unpack_archive(sdist, tmp_path)
    (project,) = tmp_path.iterdir()
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(build_wheel(project)) as other:
        assert {entry.filename: entry.CRC for entry in one.infolist()} == {
            entry.filename: entry.CRC for entry in other.infolist()
        }


def test_the_plain_loop_runs_in_a_fresh_environment(root, environment, tmp_path):
    page = (root / "docs" / "balance-your-own-model.md").read_text()
    page = page[: page.index("## 4. The transformers Trainer")]
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL))
    assert "balancer.step()" in code
    (tmp_path / "loop.py").write_text(
        f"from importlib.util import find_spec\nassert not [name for name in {FOREIGN} if find_spec(name)]\n{code}"
    )
    shown = run(environment, "-I", "loop.py", cwd=tmp_path)
    assert re.findall(r"^(\d): alpha \S+, rate \S+$", shown, re.MULTILINE) == ["0", "2", "4"]
    assert str(environment.parents[1]) in run(
        environment, "-I", "-c", "import tempbalance; print(tempbalance.__file__)", cwd=tmp_path
    )


def test_the_command_needs_no_study(environment, tmp_path):
    import torch

    torch.save({f"encoder.layer.{n}.dense.weight": torch.randn(64, 64) for n in range(2)}, tmp_path / "model.pt")
    shown = run(environment.parent / "tempbalance", "spectrum", "model.pt", "--csv", "layers.csv", cwd=tmp_path)
    assert "encoder.layer.1" in shown
    assert (tmp_path / "layers.csv").read_text().count("\n") == 3
