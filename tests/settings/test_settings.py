"""Settings in a grid: equal ones share a run, contradictory ones are refused, and generated files are fresh."""

from __future__ import annotations

import copy
import json
import random
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from replication.errors import ConfigError
from replication.settings.artifacts import own_pairs
from replication.settings.checks import validate
from replication.settings.config import CatalogFile, Config
from replication.settings.experiment import experiment_type
from replication.settings.options import generated
from replication.settings.yamlfile import as_read, read_yaml
from synthetic_tables import shipped_index


def runs_of(repository):
    return {path for path, run in repository.grid().runs.items() if run.method == "tb"}


@pytest.mark.parametrize("hyper", [{"s_min": 1, "s_max": 1}, {"s": 1, "tau": 10.0}, {}, {"s": 1, "weight_decay": 0}])
def test_experiments_that_write_equal_settings_differently_share_runs(repository, hyper):
    del repository.block["overrides"]
    repository.block["hyper"] = {"epochs": 2, "batch_size": 4, "lr": 0.001, "s": 1.0}
    before = runs_of(repository)
    repository.block["hyper"] = {"epochs": 2, "batch_size": 4, "lr": 0.001, **hyper}
    assert runs_of(repository) == before


def test_runs_that_two_experiments_share_have_one_specification(repository):
    del repository.block["overrides"]
    other = yaml.safe_load(yaml.safe_dump(repository.experiment))
    other["scales"]["demo"]["grid"][0]["hyper"] = {"epochs": 2, "batch_size": 4, "lr": 0.001, "s_min": 1, "s_max": 1}
    (repository.write() / "experiments/other.yaml").write_text(yaml.safe_dump(other))
    repository.config["experiments"] = ["study", "other"]
    grid = repository.grid()
    study, copied = (grid.experiments[name].runs for name in ("study", "other"))
    assert {path: run.to_json() for path, run in study.items()} == {path: run.to_json() for path, run in copied.items()}


@pytest.mark.parametrize(
    ("block", "override"),
    [
        ({"search": {"s": [0.5, 1.0], "s_max": [1.0]}}, {}),
        ({"search": {"s": [0.5, 1.0]}}, {"hyper": {"s_min": 1.0}}),
        ({}, {"hyper": {"s_min": 1.0, "s_max": 1.0}, "search": {"s": [0.5, 1.0]}}),
    ],
)
def test_a_searched_s_beside_a_side_of_its_own_is_refused(repository, block, override):
    repository.block.update(block)
    repository.block["overrides"] = [{"when": {"method": ["tb"]}, **override}]
    with pytest.raises(ConfigError, match=r"searches 's', which sets both sides, and also has 's_m.*' for the method"):
        repository.grid()


def test_an_s_that_overrides_sides_replaces_them(repository):
    repository.block["hyper"] |= {"s_min": 2.0, "s_max": 3.0}
    repository.block["overrides"][0]["when"] = {"method": ["tb"]}
    balance = [run.method_options["balance"] for run in repository.grid().runs.values() if run.method == "tb"]
    assert {(options["s_min"], options["s_max"]) for options in balance} == {(0.5, 0.5)}


def test_a_search_over_what_a_method_does_not_read_is_no_search(repository):
    repository.catalog["methods"]["tb"]["balance"] = {"schedule": "linear"}
    repository.block["search"] = {"s": [0.5, 1.0, 1.5]}
    assert len(runs_of(repository)) == 2 * 2


def test_a_hyper_parameter_that_is_neither_given_nor_searched_is_named(repository):
    del repository.block["hyper"]["lr"]
    with pytest.raises(ConfigError, match=r"study.yaml: key 'scales.demo.grid\[0\]': .* key 'lr' is missing"):
        repository.grid()
    repository.block["search"] = {"lr": [0.1]}
    assert {run.hyper["lr"] for run in repository.grid().runs.values()} == {0.1}


def test_hyper_parameters_of_the_other_family_are_refused_with_the_nearest_known_one(repository):
    repository.block["hyper"]["layer_decay"] = 0.9
    with pytest.raises(ConfigError, match=r"unknown key 'layer_decay' below key 'scales.demo.grid\[0\].hyper'"):
        repository.grid()


ODD: list[Any] = [
    None, True, 0, -1, 1.5, float("nan"), "", "x", "{a}", "a\nb", "all", [], {}, [1, 1], [[1]], ["{b}"], {"{c}": 1},
    {1: 2}, 10**40, {"family": "nlp"},
]  # fmt: skip


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every container of nested settings with each of its keys."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [pair for key, item in items for pair in ((value, key), *places(item))]


@pytest.mark.parametrize(
    ("kind", "file"),
    [
        (Config, "config.yaml"),
        (experiment_type(), "experiments/fig3_glue_ratio.yaml"),
        (experiment_type(), "experiments/fig4_cfd_ratio.yaml"),
        (CatalogFile, "catalog/methods-nlp.yaml"),
        (CatalogFile, "catalog/methods-sciml.yaml"),
    ],
    ids=str,
)
def test_any_value_anywhere_is_accepted_or_refused_in_one_sentence(root, kind, file):
    refused: list[str] = []
    draw = random.Random(0)
    whole = read_yaml(root / file)
    for _ in range(400):
        values = copy.deepcopy(whole)
        holder, key = draw.choice(places(values))
        other = draw.choice(["epocs", "{x}", "\n", "s"]) if isinstance(holder, dict) else key
        holder[draw.choice([key, other])] = draw.choice(ODD)
        try:
            validate(kind, values, file)
        except ConfigError as error:
            refused.append(str(error))
    assert len(refused) > 200
    assert [message for message in refused if len(message.splitlines()) != 1 or len(message) > 900] == []
    assert all(message.startswith(f"{file}: ") for message in refused)


def test_an_unknown_family_is_named_by_its_key(repository):
    repository.experiment["family"] = "vision"
    with pytest.raises(ConfigError, match=r"study.yaml: key 'family' is 'vision', expected one of nlp, sciml"):
        repository.grid()


@pytest.mark.parametrize(
    ("only", "runs"),
    [
        ({}, 8),
        ({"method": ["tb"]}, 4),
        ({"ratio": [0.5], "seed": [2]}, 2),
        ({"model": ["fno"], "dataset": ["pde"], "ratio": [0.5], "method": ["baseline"], "seed": [1]}, 1),
    ],
)
def test_a_slice_keeps_the_runs_that_match_and_says_that_it_is_one(repository, only, runs):
    whole = repository.grid()
    repository.config["only"] = only
    grid = repository.grid()
    assert len(grid.runs) == runs
    assert set(grid.runs) <= set(whole.runs)
    assert ("a part of the grid" in grid.experiments["study"].stand_in) == bool(only)


def test_the_command_line_gives_values_as_a_file_does():
    text = {"seeds": ["1", "2"], "only": {"ratio": ["1e-2", "0.5"], "model": ["fno"]}, "keep": "true", "style": "null"}
    read = {"seeds": [1, 2], "only": {"ratio": [0.01, 0.5], "model": ["fno"]}, "keep": True, "style": None}
    assert as_read(text) == read
    assert as_read(["2026-01-01", "[1", "{a: 1}", "*x", 3]) == ["2026-01-01", "[1", "{a: 1}", "*x", 3]


@pytest.mark.parametrize(
    ("only", "words"),
    [
        (
            {"model": ["fon"]},
            r"'only.model' names 'fon', .* \(did you mean 'fno'\?\); there are: fno",
        ),
        ({"ratio": ["0.5"]}, r"'only.ratio\[0\]' is '0.5', expected a number"),
        ({"ratio": [0.7]}, "'only.ratio' names 0.7, .* there are: 0.5, 1.0"),
        ({"models": ["fno"]}, "unknown key 'models' below key 'only'"),
        ({"ratio": [1.0], "dataset": ["text"]}, "'only.dataset' names 'text'"),
        ({"artifact": ["table1"]}, "'only.artifact' names 'table1', .* there are: fig4_cfd_ratio, "),
        ({"artifact": ["fig3_glue_ratio"]}, "'only.artifact' names 'fig3_glue_ratio'"),
        ({"ratio": [1.0], "method": ["tb"]}, "leaves no run: none has ratio 1.0; method tb"),
    ],
)
def test_a_slice_of_what_is_not_there_is_refused(repository, only, words):
    first = copy.deepcopy(repository.block)
    first.update(ratios=[1.0], methods=["baseline"], overrides=[])
    repository.block["ratios"] = [0.5]
    repository.experiment["scales"]["demo"]["grid"].append(first)
    repository.config["only"] = only
    with pytest.raises(ConfigError, match=words):
        repository.grid()
    repository.config["only"] = {"artifact": ["fig4_cfd_ratio"]}
    assert len(repository.grid().runs) == 6


def test_artifacts_that_a_slice_leaves_out_are_missing(root):
    index = shipped_index(root)
    plan = index.plan(["fig3_glue_ratio"], scale="demo", only=["fig1_esd"])
    assert list(plan.figures) == ["fig1_esd"]
    assert plan.missing["fig3_glue_ratio"] == "key 'only' in config.yaml leaves it out"


@pytest.mark.parametrize("path", list(generated()))
def test_generated_schemas_and_tables_are_fresh(root, path):
    assert (root / path).read_text(encoding="utf-8") == generated()[path], "run python -m replication.settings.options"


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("config", "config.yaml"),
        ("experiment", "experiments/*.yaml"),
        ("catalog", "catalog/*.yaml"),
        ("artifacts", "workflow/resources/artifacts.yaml"),
    ],
)
def test_the_editors_schemas_accept_the_repositorys_files_and_refuse_an_unknown_key(root, schema, files):
    content = json.loads((root / f"workflow/schemas/{schema}.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(content)
    for path in root.glob(files):
        values = read_yaml(path)
        assert [error.message for error in validator.iter_errors(values)] == [], path
        assert not validator.is_valid({**values, "colour": "red"})


def test_the_library_does_not_need_pydantic(root):
    library = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    assert not [name for name in library["dependencies"] if name.startswith("pydantic")]


# ---- experiments of one's own ---------------------------------------------------------------------------


def own_study(repository, tmp_path_factory) -> Path:
    """A folder outside the repository with the experiment ``own``, which declares no artifact."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "experiments").mkdir()
    experiment = {key: value for key, value in repository.experiment.items() if key != "artifact"}
    (folder / "experiments/own.yaml").write_text(yaml.safe_dump(experiment))
    repository.config |= {"study_dir": str(folder), "experiments": ["own"]}
    return folder


def test_an_experiment_outside_the_repository_has_figures_and_a_table_of_its_own(repository, tmp_path_factory):
    own_study(repository, tmp_path_factory)
    grid = repository.grid()
    plan = grid.index.plan(grid.experiments, scale="demo")
    assert set(plan.figures) == {"own_score", "own_alpha_std"}
    assert set(plan.tables) == {"own_table"}
    assert plan.tables["own_table"].pairs == (("baseline", "tb"),)
    assert "declares table19_fig4 as its artifact" in plan.missing["fig4_cfd_ratio"]


def test_a_catalogue_outside_the_repository_is_read(repository, tmp_path_factory):
    folder = own_study(repository, tmp_path_factory)
    (folder / "catalog").mkdir()
    (folder / "catalog/mine.yaml").write_text("models: {mine: {family: sciml, kind: fno}}")
    text = (folder / "experiments/own.yaml").read_text()
    (folder / "experiments/own.yaml").write_text(text.replace("- fno", "- mine"))
    assert set(repository.grid().models) == {"mine"}


def test_an_experiment_that_declares_an_artifact_of_the_paper_is_shown_there(repository, tmp_path_factory):
    folder = own_study(repository, tmp_path_factory)
    (folder / "experiments/own.yaml").write_text(yaml.safe_dump(repository.experiment))
    repository.config["experiments"] = ["study", "own"]
    grid = repository.grid()
    plan = grid.index.plan(grid.experiments, scale="demo")
    assert plan.figures["fig4_cfd_ratio"].sources == ("study", "own")
    assert plan.tables["table19_cfd"].published == "table19_fig4"


def test_a_slice_may_name_an_artifact_of_ones_own(repository, tmp_path_factory):
    own_study(repository, tmp_path_factory)
    repository.config |= {"experiments": ["study", "own"], "only": {"artifact": ["own_table"]}}
    assert set(repository.grid().experiments) == {"own"}


def test_what_is_said_of_ones_own_experiment_is_not_called_the_papers_setting(repository, tmp_path_factory):
    folder = own_study(repository, tmp_path_factory)
    text = (folder / "experiments/own.yaml").read_text()
    (folder / "experiments/own.yaml").write_text(text.replace("stand_in: a stand-in", "stand_in: ''"))
    assert repository.grid().experiments["own"].stand_in == "own models and data, not the paper's"


@pytest.mark.parametrize(
    ("methods", "pairs"),
    [
        ({"ft": {}, "tb": {"balance": {"tau": 1}}}, (("ft", "tb"),)),
        (
            {"ft": {}, "sam": {"rho": 1}, "sam+tb": {"rho": 1, "balance": {}}, "tb": {"balance": {"tau": 1}}},
            (("sam", "sam+tb"), ("ft", "tb")),
        ),
        ({"ft": {}, "sam": {"rho": 1}, "tb": {"x": 1, "balance": {"tau": 1}}}, (("ft", "tb"), ("sam", "tb"))),
        ({"tb": {"balance": {"tau": 1}}}, ()),
        ({"ft": {}, "sam": {"rho": 1}}, ()),
    ],
)
def test_a_method_that_balances_is_compared_with_its_like(methods, pairs):
    assert own_pairs(methods) == pairs


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"experiment": "table19"}, r"experiment study: key 'artifact' is 'table19' \(did you mean 'table1"),
        ({"study_dir": "/no/such/folder"}, "key 'study_dir' is '/no/such/folder', which has no experiments/"),
        ({"file": "study.yaml"}, "the repository has an experiment study too; rename yours"),
        ({"file": "runs.yaml"}, "results have a folder of that name"),
        ({"file": "Own Study.yaml"}, "use small letters, digits and _ only"),
    ],
)
def test_mistakes_about_ones_own_study_are_named(repository, tmp_path_factory, change, words):
    folder = own_study(repository, tmp_path_factory)
    if "file" in change:
        (folder / "experiments/own.yaml").rename(folder / "experiments" / change["file"])
    if "experiment" in change:
        repository.experiment["artifact"] = change["experiment"]
        repository.config["experiments"] = ["study"]
    repository.config["study_dir"] = change.get("study_dir", str(folder))
    with pytest.raises(ConfigError, match=words):
        repository.grid()
