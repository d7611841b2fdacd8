"""The grid: cross products, overrides, searches, and what is refused."""

from __future__ import annotations

import copy

import pytest
import yaml

from replication.errors import ConfigError


def found(grid, method, ratio, seed=1):
    """The runs of a cell with this seed, one for each trial."""
    return [run for run in grid.runs.values() if (run.method, run.ratio, run.seed) == (method, ratio, seed)]


def test_every_combination_has_one_run_with_its_options(repository):
    grid = repository.grid()
    assert len(grid.runs) == 2 * 2 * 2
    (run,) = found(grid, "tb", 0.5)
    assert run.path == f"fno/pde/ratio=0.5/tb/{run.id}/seed=1"
    assert run.model_options == {"kind": "fno"}
    assert run.method_options["balance"]["schedule"] == "sigmoid"


def test_overrides_reach_only_what_they_name(repository):
    grid = repository.grid()
    assert found(grid, "tb", 0.5)[0].method_options["balance"]["s_min"] == 0.5
    assert found(grid, "tb", 1.0)[0].method_options["balance"]["s_min"] == 1.0


def test_a_baseline_has_no_balancing_hyper_parameters(repository):
    (run,) = found(repository.grid(), "baseline", 1.0)
    assert run.method_options["balance"] is None
    assert "s" not in run.hyper
    assert run.hyper["lr"] == 0.001


def test_seeds_of_the_configuration_replace_the_experiments(repository):
    repository.config["seeds"] = [7]
    assert {run.seed for run in repository.grid().runs.values()} == {7}


def test_search_gives_trials_per_seed_and_drops_s_for_the_baseline(repository):
    repository.block["search"] = {"lr": [1e-3, 2e-3], "s": [0.5, 1.0]}
    grid = repository.grid()
    assert len([run for run in grid.runs.values() if run.method == "tb"]) == 2 * 2 * 2 * 2  # ratios x seeds x lr x s
    assert len([run for run in grid.runs.values() if run.method == "baseline"]) == 2 * 2 * 2
    cells = {(cell.ratio, cell.method): cell for cell in grid.experiments["study"].cells}
    assert [trial.values for trial in cells[1.0, "tb"].trials] == [
        {"lr": lr, "s": s} for lr in (1e-3, 2e-3) for s in (0.5, 1.0)
    ]
    assert len({run.id for run in found(grid, "tb", 1.0)}) == 4


def test_runs_of_a_cell_that_differ_in_the_seed_alone_share_an_id(repository):
    grid = repository.grid()
    assert found(grid, "tb", 0.5, seed=1)[0].id == found(grid, "tb", 0.5, seed=2)[0].id
    assert len({run.id for run in grid.runs.values()}) == 4


def test_what_is_only_shown_is_no_part_of_a_run(repository):
    before = repository.grid()
    repository.experiment["title"] = "Another title"
    repository.experiment["scales"]["demo"]["stand_in"] = "another stand-in"
    repository.catalog["models"]["fno"].update(title="FNO", published_as="FNO")
    repository.block["hyper"]["checkpoint_every_s"] = 7
    assert list(repository.grid().runs) == list(before.runs)


def test_hyper_parameters_that_decide_no_number_are_given_beside_a_run(repository):
    from replication.settings.spec import RunSpec

    repository.block["hyper"]["checkpoint_every_s"] = 7
    run = next(iter(repository.grid().runs.values()))
    assert run.unseen == {"checkpoint_every_s": 7.0}
    rest = RunSpec.from_json(run.without_unseen().to_json(), run.seed)
    assert rest.path == run.path
    assert {**rest.hyper, **run.unseen} == run.hyper
    assert not rest.unseen


def test_a_changed_setting_is_another_run_and_changing_it_back_finds_the_first(repository):
    before = list(repository.grid().runs)
    repository.block["hyper"]["lr"] = 0.002
    assert not set(repository.grid().runs) & set(before)
    repository.block["hyper"]["lr"] = 0.001
    assert list(repository.grid().runs) == before


def test_two_experiments_share_the_runs_they_both_select(repository):
    (repository.write() / "experiments/other.yaml").write_text(yaml.safe_dump(repository.experiment))
    repository.config["experiments"] = ["study", "other"]
    grid = repository.grid()
    assert len(grid.runs) == 8
    assert list(grid.experiments["other"].runs) == list(grid.experiments["study"].runs)


def test_a_specification_survives_its_json(repository):
    from replication.settings.spec import RunSpec

    run = next(iter(repository.grid().runs.values()))
    assert RunSpec.from_json(run.to_json(), run.seed) == run
    with pytest.raises(ConfigError, match="not a run specification"):
        RunSpec.from_json('{"experiment": "x"}', 1)


def set_in(repository, path, value):
    target = repository
    for part in path[:-1]:
        target = getattr(target, part) if isinstance(part, str) and hasattr(target, part) else target[part]
    target[path[-1]] = value


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("block", "models"), ["fon"], ["unknown model 'fon'", "did you mean 'fno'"]),
        (("block", "datasets"), ["text"], ["'text'", "family nlp"]),
        (("block", "methods"), ["adam"], ["unknown method 'adam'", "baseline"]),
        (("block", "ratios"), [0], ["ratios[0]", "0", "more than 0"]),
        (("block", "ratios"), [1.5], ["1.5", "at most 1"]),
        (("block", "ratios"), [float("nan")], ["nan", "finite"]),
        (("block", "ratios"), [0.5, 0.5], ["no repeated items"]),
        (("block", "hyper"), {"epochs": 0}, ["epochs", "0", "at least 1"]),
        (("block", "hyper"), {"lr": "fast"}, ["lr", "'fast'", "a number"]),
        (("block", "hyper"), {"lr": -1.0}, ["lr", "-1.0", "more than 0"]),
        (("block", "overrides"), [{"when": {"ratio": [0.7]}}], ["overrides[0].when.ratio", "0.7"]),
        (("block", "surprise"), 1, ["unknown key 'surprise'"]),
        (("experiment", "scales"), {"big": {}}, ["unknown key 'big'"]),
        (("experiment", "family"), "vision", ["family", "'vision'", "nlp, sciml"]),
        (("config", "scale"), "huge", ["scale", "'huge'", "smoke, demo, desk, paper"]),
        (("config", "scale"), "paper", ["none of them declares the scale 'paper'"]),
        (("config", "experiments"), ["studdy"], ["studdy", "did you mean 'study'"]),
        (("config", "experiments"), ["../../etc/passwd"], ["experiments"]),
        (("config", "seeds"), [1, 1], ["seeds"]),
        (("config", "seeds"), ["13"], ["seeds"]),
        (("config", "device"), "tpu", ["device", "'tpu'", "auto, cpu, cuda"]),
        (("config", "results_dir"), "../elsewhere", ["results_dir"]),
        (("config", "sclae"), "demo", ["unknown key 'sclae'", "did you mean 'scale'"]),
        (("catalog", "models"), {"fno; rm -rf .": {"family": "sciml"}}, ["fno; rm -rf .", "not allowed"]),
    ],
)
def test_mistakes_are_named_with_key_value_and_expectation(repository, path, value, words):
    set_in(repository, path, value)
    with pytest.raises(ConfigError) as caught:
        repository.grid()
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_the_same_run_twice_is_refused(repository):
    repository.experiment["scales"]["demo"]["grid"].append(copy.deepcopy(repository.block))
    with pytest.raises(ConfigError, match="second time"):
        repository.grid()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"scale: demo\nscale: paper\n", "is repeated"),
        (b"scale: [demo\n", "line"),
        (b"\xff\xfe\x00scale", "UTF-8"),
        (b"a: &x [1]\nb: *x\n", "aliases"),
        (b"1: 2\n", "not text"),
        (b"- a list\n", "mapping"),
        (b"x: !!python/object/apply:os.system ['true']\n", "could not determine a constructor"),
    ],
)
def test_files_that_are_no_plain_yaml_are_refused(repository, content, words):
    from replication.settings.config import read_config

    root = repository.write()
    (root / "config.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=words):
        read_config(root / "config.yaml", root)


def test_numbers_in_exponent_form_are_numbers(repository, tmp_path):
    from replication.settings.yamlfile import read_yaml

    path = tmp_path / "x.yaml"
    path.write_text("a: 1e-4\nb: 2.5e-3\nc: -3E2\nd: e5\n")
    assert read_yaml(path) == {"a": 1e-4, "b": 2.5e-3, "c": -300.0, "d": "e5"}


def test_the_repositorys_own_configuration_is_valid_at_every_scale(root):
    from dataclasses import replace

    from replication.settings.config import read_config
    from replication.settings.grid import load_grid

    config = read_config(root / "config.yaml", root)
    counts = {scale: len(load_grid(root, replace(config, scale=scale)).runs) for scale in ("smoke", "demo", "paper")}
    assert 0 < counts["smoke"] < counts["demo"] < counts["paper"]


@pytest.mark.parametrize(
    ("gate", "reason"),
    [({"needs_folders": ["pde"]}, "names no folder for pde"), ({"on_request": True}, "if config.yaml names it")],
)
def test_a_gated_experiment_runs_only_where_it_is_named(repository, gate, reason):
    other = copy.deepcopy(repository.experiment)
    repository.experiment["scales"]["demo"].update(gate)
    named = repository.grid()
    assert len(named.runs) == 8
    repository.config["experiments"] = "all"
    with pytest.raises(ConfigError, match="none of them"):
        repository.grid()
    (repository.path / "experiments/other.yaml").write_text(yaml.safe_dump(other))
    everything = repository.grid()
    assert set(everything.experiments) == {"other"}
    assert reason in everything.skipped["study"]


def pretrained(repository, **changes):
    """The repository with a model that is pretrained on a mixture."""
    repository.catalog["datasets"]["mixture"] = {
        "family": "sciml",
        "source": "simulate",
        "pde": "mixture",
        "title": "M",
    }
    pretrain = {"dataset": "mixture", "hyper": {"epochs": 3, "batch_size": 2, "lr": 0.1}, **changes}
    repository.catalog["models"]["fno"] |= {"weights": None, "pretrain": pretrain}
    return repository


def test_a_pretraining_is_resolved_and_part_of_what_starts_from_it(repository):
    grid = pretrained(repository).grid()
    (made,) = grid.pretrainings.values()
    assert made.path == f"fno/mixture/ratio=1/pretraining/{made.id}/seed=0"
    assert (made.hyper["epochs"], made.hyper["gamma"], made.model_options) == (3, 0.5, {"kind": "fno"})
    assert made.path not in grid.runs
    assert {*grid.datasets} == {"mixture", "pde"}
    assert all(run.pretraining == made for run in grid.runs.values())
    ids = {run.id for run in grid.runs.values()}
    repository.catalog["datasets"]["mixture"]["seed"] = 5  # of the data that the weights come from
    changed = repository.grid()
    assert not ids & {run.id for run in changed.runs.values()}
    del repository.catalog["datasets"]["mixture"]["seed"]
    repository.catalog["datasets"]["mixture"]["title"] = "Other"
    assert {*repository.grid().pretrainings} == {*grid.pretrainings}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"dataset": "mixtur"},
            "model 'fno': model option 'pretrain': unknown dataset 'mixtur' .did you mean 'mixture'",
        ),
        ({"epochs": 3}, "model 'fno': model option 'pretrain': unknown key 'epochs'"),
        (
            {"hyper": {"epochs": 3}},
            "model 'fno': model option 'pretrain': key 'batch_size' is missing below key 'hyper'",
        ),
    ],
)
def test_mistakes_in_a_pretraining_are_named(repository, changes, words):
    with pytest.raises(ConfigError, match=words):
        pretrained(repository, **changes).grid()


def test_weights_are_pretrained_or_given_not_both(repository):
    pretrained(repository).catalog["models"]["fno"]["weights"] = "weights.pth"
    with pytest.raises(
        ConfigError, match="model 'fno': model option 'pretrain' is for operators only and excludes 'weights'"
    ):
        repository.grid()


def test_the_fine_tuning_set_is_not_what_the_repositorys_model_is_pretrained_on(root):
    from dataclasses import replace

    from replication.settings.config import read_config
    from replication.settings.grid import load_grid

    config = replace(read_config(root / "config.yaml", root), experiments=("table2_dpot",))
    grid = load_grid(root, config)
    (made,) = grid.pretrainings.values()
    flows = {(part.get("mach", 0.1), part["eta"]) for part in made.dataset_options["parts"] if part["pde"] == "cfd2d"}
    (fine,) = {run.dataset for run in grid.runs.values()}
    options = grid.datasets[fine]
    assert (options.get("mach", 0.1), options.get("eta", 0.01)) not in flows
    assert made.dataset != fine
    assert len(flows) == 3
