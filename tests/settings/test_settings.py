"""Settings in a grid: equal ones share a run, contradictory ones are refused, and generated files are fresh."""

from __future__ import annotations

import json
import tomllib

import jsonschema
import pytest
import yaml

from replication.errors import ConfigError
from replication.settings.options import generated


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
    with pytest.raises(ConfigError, match=r"searches 's', which sets both sides, beside 's_m.*' for the method tb"):
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
    from replication.settings.yamlfile import read_yaml

    content = json.loads((root / f"workflow/schemas/{schema}.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(content)
    for path in root.glob(files):
        values = read_yaml(path)
        assert [error.message for error in validator.iter_errors(values)] == [], path
        assert not validator.is_valid({**values, "colour": "red"})


def test_the_library_does_not_need_pydantic(root):
    library = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    assert not [name for name in library["dependencies"] if name.startswith("pydantic")]
