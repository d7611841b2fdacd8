"""The index of artifacts covers the paper, and names only what exists."""

from __future__ import annotations

import re

import pytest
import yaml

from replication.errors import ConfigError
from replication.report.tables import LAYOUTS
from replication.runs.predictions import FLOW_DIMENSIONS, esd_runs, example_runs, flow_dimensions
from replication.settings.artifacts import read_index
from replication.settings.config import Config
from replication.settings.grid import load_grid
from replication.settings.paths import RunPath
from replication.settings.yamlfile import read_yaml
from replication.simulation.simulation import PDES, STORED_AS_FLOW
from replication.statistics.published import read_published
from synthetic_tables import shipped_index


@pytest.fixture(scope="module")
def index(root):
    return shipped_index(root)


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


@pytest.mark.parametrize(
    ("name", "number"),
    [("fig3_glue_ratio", "Figure 3: "), ("table17_glue", "Table 17: "), ("gain_map", ""), ("table2_ratio", "")],
)
def test_a_heading_names_the_paper_s_number(index, name, number) -> None:
    artifact = index.artifacts[name]
    assert artifact.heading == number + artifact.title
    assert artifact.ours != bool(number)


def test_layouts_exist(index) -> None:
    from replication.figures.registry import ANIMATIONS, REGISTRY

    known = {"figure": REGISTRY, "table": LAYOUTS, "animation": ANIMATIONS}
    for artifact in index.artifacts.values():
        assert artifact.layout in known[artifact.kind], artifact.name


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


def test_a_plan_says_why_everything_else_is_left_out(index) -> None:
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
    assert [RunPath.of(f"runs/{path}/eigenvalues.npz").method for path in paths] == ["ft", "tb"]
    assert all(f"ratio={smallest:g}/" in path for path in paths)
    assert esd_runs(index.artifacts["fig3_glue_ratio"], grid.experiments) == []


def demo(root, scale="demo", **settings):
    return load_grid(root, Config.from_mapping({"scale": scale, "experiments": ["fig4_cfd_ratio"], **settings}, root))


@pytest.mark.parametrize("scale", ["smoke", "paper"])
@pytest.mark.parametrize("dimension", [1, 2])
def test_sample_predictions_are_of_one_run_of_each_method_at_the_smallest_ratio(index, root, scale, dimension) -> None:
    grid = demo(root, scale)
    plan = index.plan(grid.experiments, scale=scale, flows=flow_dimensions(grid.experiments))
    paths = example_runs(plan.figures[f"predictions_{dimension}d"], grid.experiments)
    runs = [grid.runs[path] for path in paths]
    # At paper scale both are searched, so files of all trials are needed.
    trials = 1 if scale == "smoke" else len({run.id for run in runs if run.method == "baseline"})
    assert [run.method for run in runs][: trials + 1] == ["baseline"] * trials + ["tb"]
    assert {run.method for run in runs} == {"baseline", "tb"}
    assert {run.dataset_options["pde"] for run in runs} == {f"cfd{dimension}d"}
    assert {run.model_options["kind"] for run in runs} == {"fno"}
    assert {run.seed for run in runs} == {next(iter(grid.runs.values())).seed}
    same = [run for run in grid.runs.values() if (run.model, run.dataset) == (runs[0].model, runs[0].dataset)]
    assert {run.ratio for run in runs} == {max(run.ratio for run in same)}
    assert example_runs(index.artifacts["fig4_cfd_ratio"], grid.experiments) == []


def test_without_a_2d_flow_its_pictures_are_missing_with_the_reason(index) -> None:
    plan = index.plan(["fig4_cfd_ratio"], scale="demo", flows={"fig4_cfd_ratio": {1}})
    assert "predictions_1d" in plan.figures
    assert not plan.animations
    for name in ("predictions_2d", "rollout_2d"):
        assert plan.missing[name].startswith("experiment fig4_cfd_ratio has no 2-D flow at scale demo; ")
    both = index.plan(["fig4_cfd_ratio"], scale="demo", flows={"fig4_cfd_ratio": {1, 2}})
    assert set(both.animations) == {"rollout_2d"}
    assert index.artifacts["predictions_2d"].ours


def test_every_pde_that_is_simulated_and_flows_has_its_dimension() -> None:
    # The other PDEs of a mixture are only for pretraining, and not shown.
    assert set(FLOW_DIMENSIONS) == {*PDES} - {"darcy", "mixture"} - ({*STORED_AS_FLOW} - {"cfd2d"})


def test_every_operators_data_set_names_its_equation(root) -> None:
    for name, options in read_yaml(root / "catalog/datasets-sciml.yaml")["datasets"].items():
        assert options.get("pde") in PDES, name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "poster"}, "kind"),
        ({"claims": ["wins"]}, "claims"),
        ({"claims_of": "fig99"}, "which is no artifact"),
        ({"shows": []}, "shows nothing and gives no reason"),
    ],
)
def test_a_bad_index_is_refused(tmp_path, change, message) -> None:
    entry = {
        "kind": "table", "title": "T", "family": "nlp", "layout": "by_method", "needs": "nothing",
        "shows": ["a"], **change,
    }  # fmt: skip
    path = tmp_path / "artifacts.yaml"
    path.write_text(yaml.safe_dump({"artifacts": {"t": entry}}))
    with pytest.raises(ConfigError, match=message):
        read_index(path)
