"""The artifact index covers the paper and names only what exists."""

from __future__ import annotations

import re

import pytest
import yaml

from tempbalance.analysis.artifacts import esd_runs, read_index
from tempbalance.analysis.published import read_published
from tempbalance.analysis.tables import LAYOUTS
from tempbalance.errors import ConfigError
from tempbalance.experiments.config import Config
from tempbalance.experiments.grid import load_grid
from tempbalance.experiments.yamlfile import read_yaml


@pytest.fixture(scope="module")
def index(root):
    return read_index(root / "workflow/resources/artifacts.yaml")


def test_every_figure_and_table_of_the_paper_is_listed(index) -> None:
    numbers = {kind: set() for kind in ("fig", "table")}
    for name in index.artifacts:
        if match := re.match(r"(fig|table)(\d+)_", name):
            numbers[match[1]].add(int(match[2]))
    assert numbers["fig"] == set(range(1, 9))
    assert numbers["table"] == {*range(1, 6), *range(15, 25)}


def test_every_published_artifact_is_named_by_one(index, root) -> None:
    published = read_published(root / "workflow/resources/published_results.csv")
    assert {item.published for item in index.artifacts.values()} - {None} == set(published["artifact"])


def test_layouts_exist(index) -> None:
    from tempbalance.plots.registry import REGISTRY

    for artifact in index.artifacts.values():
        assert artifact.layout in (REGISTRY if artifact.kind == "figure" else LAYOUTS), artifact.name


def test_experiments_and_methods_exist(index, root) -> None:
    files = {path.stem for path in (root / "experiments").glob("*.yaml")}
    methods = {"nlp": set(), "sciml": set()}
    for path in (root / "catalog").glob("*.yaml"):
        for name, options in (read_yaml(path).get("methods") or {}).items():
            methods[options["family"]].add(name)
    for artifact in index.artifacts.values():
        assert set(artifact.sources) <= files, artifact.name
        assert {method for pair in artifact.pairs for method in pair} <= methods[artifact.family], artifact.name
        for name in artifact.sources:
            assert read_yaml(root / f"experiments/{name}.yaml")["family"] == artifact.family


def test_a_plan_says_of_everything_else_why_not(index) -> None:
    plan = index.plan(["fig3_glue_ratio"], scale="demo", skipped={"fig4_cfd_ratio": "it declares no demo scale"})
    assert {"fig3_glue_ratio", "fig7_alpha_std_tb_nlp"} <= set(plan.figures)
    assert set(plan.tables) == {"table17_glue"}
    assert {*plan.figures, *plan.tables, *plan.missing} == set(index.artifacts)
    assert plan.missing["fig4_cfd_ratio"].startswith("experiment fig4_cfd_ratio: it declares no demo scale; ")
    assert ". It needs" in plan.missing["fig4_cfd_ratio"]
    assert "no experiment" not in plan.missing["review_overhead"]
    assert plan.figures["fig3_glue_ratio"].sources == ("fig3_glue_ratio",)
    more = index.plan(["fig3_glue_ratio", "fig3_sst2"], scale="demo")
    assert more.figures["fig3_glue_ratio"].sources == ("fig3_glue_ratio", "fig3_sst2")
    alone = index.plan(["fig3_sst2"], scale="demo")
    assert alone.figures["fig3_glue_ratio"].sources == ("fig3_sst2",)
    assert set(alone.tables) == {"table17_glue"}


def test_figure_1_needs_one_run_of_each_method(index, root) -> None:
    grid = load_grid(root, Config.from_mapping({"scale": "demo", "experiments": ["fig3_glue_ratio"]}, root))
    paths = esd_runs(index.artifacts["fig1_esd"], grid.experiments)
    smallest = min(run.ratio for run in grid.runs.values())
    assert [path.split("/")[-2] for path in paths] == ["ft", "tb"]
    assert all(f"ratio={smallest:g}/" in path for path in paths)
    assert esd_runs(index.artifacts["fig3_glue_ratio"], grid.experiments) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "poster"}, "kind"),
        ({"claims": ["wins"]}, "claims"),
        ({"claims_of": "fig99"}, "which is no artifact"),
        ({"experiments": []}, "neither experiments nor a reason"),
    ],
)
def test_a_bad_index_is_refused(tmp_path, change, message) -> None:
    entry = {
        "kind": "table", "title": "T", "family": "nlp", "layout": "by_method", "needs": "nothing",
        "experiments": ["a"], **change,
    }  # fmt: skip
    path = tmp_path / "artifacts.yaml"
    path.write_text(yaml.safe_dump({"artifacts": {"t": entry}}))
    with pytest.raises(ConfigError, match=message):
        read_index(path)
