"""docs/layout.md says which files an addition touches: a text data set and a figure need no other."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

import pytest
import yaml
from planning import planned, trained

NAME = "own_reviews"
FIGURE = f"figures/{NAME}.png"
EXPERIMENT = {
    "title": "Own reviews", "family": "nlp", "artifact": NAME,
    "scales": {
        "smoke": {
            "stand_in": "a test",
            "seeds": [1],
            "grid": [
                {
                    "models": ["minilm"], "datasets": ["own-reviews"], "ratios": [0.5, 1.0], "methods": ["ft", "tb"],
                    "hyper": {"epochs": 1, "batch_size": 16, "lr": 1e-4, "scheduler": "constant"},
                }
            ],
        }
    },
}  # fmt: skip
DRAWN = {
    "kind": "figure", "title": "Own reviews", "family": "nlp", "layout": "fig3_glue_ratio", "shows": [NAME],
    "pairs": [["ft", "tb"]], "needs": "own reviews",
}  # fmt: skip


def named_file(page: str, addition: str) -> str:
    """The YAML file in which the page puts an addition."""
    (paragraph,) = re.findall(rf"^\*\*{addition}\*\*: an entry (.*?)(?:\n\n|\Z)", page, re.M | re.S)
    (path,) = {name for name in re.findall(r"`([\w./-]+\.\w+)`", paragraph) if name.endswith(".yaml")}
    return path


def hashes(folder: Path) -> dict[str, str]:
    """File below a folder -> hash, without what a call of the workflow leaves."""
    left = {"results", "figures", ".snakemake", "__pycache__"}
    files = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return {
        str(path): hashlib.sha256((folder / path).read_bytes()).hexdigest()
        for path in files
        if not left & set(path.parts)
    }


@pytest.fixture
def study(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the repository with a text data set and a figure more, each in the file that the page names."""
    copy = tmp_path / "copy"
    for name in ("workflow", "catalog", "profiles", "envs", "experiments"):
        shutil.copytree(root / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(root / name, copy)
    # The packages are installed in place: a clone of one's own imports its own.
    monkeypatch.setenv("PYTHONPATH", str(copy / "workflow"))
    before = hashes(copy)
    page = (root / "docs/layout.md").read_text()
    rows = "".join(f"film {n} is {'good' if n % 2 else 'bad'},{n % 2}\n" for n in range(80))
    (tmp_path / "reviews.csv").write_text("text,label\n" + rows)
    dataset = {
        "family": "nlp", "source": {"file": str(tmp_path / "reviews.csv")}, "labels": ["0", "1"], "max_length": 16,
        "splits": {"test": {"rows": 20}, "validation": {"rows": 20}},
    }  # fmt: skip
    data_file, figure_file = named_file(page, "A text data set"), named_file(page, "A figure")
    for path, section, entry in (
        (data_file, "datasets", {"own-reviews": dataset}),
        (figure_file, "artifacts", {NAME: DRAWN}),
    ):
        content = yaml.safe_load((copy / path).read_text())
        content[section] |= entry
        (copy / path).write_text(yaml.safe_dump(content))
    assert "in a file in `experiments/`" in page
    (copy / f"experiments/{NAME}.yaml").write_text(yaml.safe_dump(EXPERIMENT))
    after = hashes(copy)
    touched = {path for path in after if before.get(path) != after[path]}
    assert touched == {data_file, figure_file, f"experiments/{NAME}.yaml"}
    return copy


def call(snakemake, study: Path, *arguments: str) -> str:
    config = ("--config", "scale=smoke", f"experiments=[{NAME}]", "device=cpu")
    done = snakemake(study, "--snakefile", str(study / "Snakefile"), *config, *arguments, "--", FIGURE)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


def test_a_data_set_and_a_figure_are_planned(study, snakemake):
    jobs = planned(call(snakemake, study, "-n", "--quiet", "rules"))
    assert jobs["fetch_text"] == jobs["prepare_text"] == jobs["tokenize"] == jobs["figure"] == 1
    assert sum(trained(jobs).values()) == 4


@pytest.mark.slow
def test_the_figure_is_drawn_and_no_other_file_has_changed(study, snakemake):
    before = hashes(study)
    call(snakemake, study)
    assert (study / FIGURE).read_bytes().startswith(b"\x89PNG")
    assert hashes(study) == before
