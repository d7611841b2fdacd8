"""docs/walkthroughs.md is followed as it is written, in a copy of the repository."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SECTIONS = ("One curve of the paper", "My CSV", "My operator")
#: A file to write (named before the block) or commands to call.
STEP = re.compile(r"(?:Write\s+`([^`]+)`:\n\n)?```(\w+)\n(.*?)^```", re.S | re.M)
SHOWN = re.compile(r"`(my-\w+/[\w/]+\.\w+)`")


@pytest.fixture
def clone(root, tmp_path, monkeypatch) -> Path:
    """What git would clone, without its history; the packages of this environment are this copy's."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, check=True, text=True).stdout
    for name in listed.rstrip("\0").split("\0"):
        if not name.startswith(("tests/", "docs/")):
            (tmp_path / "clone" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, tmp_path / "clone" / name)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "clone/workflow"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return tmp_path / "clone"


def section(root: Path, title: str) -> str:
    page = (root / "docs/walkthroughs.md").read_text(encoding="utf-8")
    return re.split(r"^## .*\n", page, flags=re.M)[1 + re.findall(r"^## (.*)$", page, re.M).index(title)]


def follow(text: str, clone: Path, *, dry: bool) -> str:
    """Write the files and call the commands, in their order; what these printed."""
    printed = ""
    for path, language, content in STEP.findall(text):
        if language != "sh":
            assert path, f"a block of {language} without a file"
            (clone / path).write_text(content)
            continue
        commands = content.replace("snakemake --cores 2", "snakemake -n --quiet rules") if dry else content
        done = subprocess.run(["bash", "-ec", commands], cwd=clone, capture_output=True, text=True, timeout=1500)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-5000:]
        printed += done.stdout
    return printed


def test_the_page_has_the_sections(root):
    assert re.findall(r"^## (.*)$", (root / "docs/walkthroughs.md").read_text(), re.M) == list(SECTIONS)


@pytest.mark.parametrize(
    ("title", "trainings"),
    [(SECTIONS[0], r"^all +18 "), (SECTIONS[1], " 12 trainings "), (SECTIONS[2], " 12 trainings ")],
)
def test_a_walkthrough_is_planned(title, trainings, root, clone):
    printed = follow(section(root, title), clone, dry=True)
    assert re.search(trainings, printed, re.M)
    assert re.search(r"^train_\w+ +\d+$", printed, re.M)


@pytest.mark.slow
@pytest.mark.parametrize("title", SECTIONS)
def test_a_walkthrough_makes_what_it_says(title, root, clone):
    text = section(root, title)
    follow(text, clone, dry=False)
    made = [path for path in SHOWN.findall(text) if "/figures/" in path or "/tables/" in path]
    assert made
    for path in made:
        assert (clone / path).stat().st_size > 0, path
    assert (title == SECTIONS[0]) or (clone / SHOWN.findall(text)[-1]).read_text().startswith("<!")
