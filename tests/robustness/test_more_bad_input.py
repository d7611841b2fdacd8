"""More bad settings, of studies of one's own and slices above all, and any mapping at all: a plan, or one sentence."""

# ruff: noqa: F811 - fixtures of another module are imported by name

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_bad_input import CONFIG, EXPERIMENT, GRID, changed, refuse, repository, write  # noqa: F401

from replication.errors import ConfigError
from replication.settings.config import Config
from replication.settings.grid import load_grid

VALUES: list[tuple[dict[str, Any], str]] = [
    ({"study_dir": ""}, "'study_dir' is ''"),
    ({"study_dir": 7}, "text"),
    ({"study_dir": ["mine"]}, "text"),
    ({"study_dir": "mine"}, "no experiments/*.yaml"),
    ({"study_dir": "config.yaml"}, "no experiments/*.yaml"),
    ({"study_dir": "a\x00b"}, "study_dir"),
    ({"study_dir": "~nobody-of-this-name/x"}, "study_dir"),
    ({"study_dir": "."}, "rename yours"),
    ({"data_folders": {"heat": "~nobody-of-this-name"}}, "has no home"),
    ({"only": "net"}, "mapping"),
    ({"only": None}, "mapping"),
    ({"only": ["model"]}, "mapping"),
    ({"only": {"model": "net"}}, "a list"),
    ({"only": {"model": []}}, "at least 1 item"),
    ({"only": {"model": ["nat"]}}, "did you mean 'net'"),
    ({"only": {"models": ["net"]}}, "did you mean 'model'"),
    ({"only": {"dataset": ["text"]}}, "there are: heat"),
    ({"only": {"method": ["tb", "tb"]}}, "no repeated items"),
    ({"only": {"method": [True]}}, "text"),
    ({"only": {"ratio": 0.5}}, "a list"),
    ({"only": {"ratio": []}}, "at least 1 item"),
    ({"only": {"ratio": [0]}}, "more than 0"),
    ({"only": {"ratio": [50]}}, "at most 1"),
    ({"only": {"ratio": ["half"]}}, "number"),
    ({"only": {"ratio": [0.25]}}, "there are: 0.5, 1.0"),
    ({"only": {"ratio": [float("nan")]}}, "finite"),
    ({"only": {"seed": []}}, "at least 1 item"),
    ({"only": {"seed": [-1]}}, "at least 0"),
    ({"only": {"seed": ["first"]}}, "whole number"),
    ({"only": {"seed": [3]}}, "there are: 1, 2"),
    ({"only": {"artifact": "ours_score"}}, "a list"),
    ({"only": {"artifact": ["ours_scores"]}}, "did you mean 'ours_score'"),
    ({"only": {"artifact": []}}, "at least 1 item"),
    ({"only": {"artifact": ["../x"]}}, "letters"),
    ({"runs_per_job": -1}, "at least 0"),
    ({"runs_per_job": 2.5}, "whole number"),
    ({"runs_per_job": "all"}, "whole number"),
    ({"runs_per_job": None}, "whole number"),
    ({"keep_models": 1}, "true or false"),
    ({"keep_models": None}, "true or false"),
    ({"results_dir": None}, "text"),
    ({"results_dir": ""}, "results_dir"),
    ({"results_dir": "config.yaml"}, "config.yaml is a file"),
    ({"figures_dir": "config.yaml/figures"}, "config.yaml is a file"),
    ({"figures_dir": "catalog/nowhere"}, "catalog/nowhere is a link that leads nowhere"),
    ({"results_dir": "experiments/../.."}, "a folder below this one"),
    ({"figures_dir": 7}, "text"),
    ({"seeds": {}}, "a list"),
    ({"seeds": "all"}, "a list"),
    ({"subset": None}, "mapping"),
    ({"subset": {"seed": "0"}}, "whole number"),
    ({"subset": {"seed": 2**32}}, "at most"),
    ({"data_folders": {"heat": None}}, "text"),
    ({"data_folders": {"heat": ["/data"]}}, "text"),
    ({"models": {"net": {"title": 3}}}, "title"),
    ({"models": {"net": {"title": ""}}}, "title"),
    ({"models": None}, "mapping"),
    ({"models": {"net": {"family": ["sciml"]}}}, "one of nlp, sciml"),
    ({"methods": {"tb": {"balance": {"tau": "hot"}}}}, "tau"),
    ({"methods": {"tb": {"balance": {"temperature": 1}}}}, "unknown key 'temperature'"),
    ({"methods": {"tb": {"balance": {"schedule": "cosine"}}}}, "schedule"),
    ({"methods": {"tb": {"balance": {"every": 0}}}}, "every"),
    ({"methods": {"tb": {"balances": {}}}}, "did you mean 'balance'"),
    ({"methods": {"tb": {"optimizer": "sgd"}}}, "adam"),
    ({"methods": {"baseline": {"balance": []}}}, "mapping"),
]
EXPERIMENTS: list[tuple[dict[str, Any], str]] = [
    ({"artifact": 4}, "text"),
    ({"artifact": ""}, "key 'artifact' is ''"),
    ({"artifact": "table19"}, "did you mean 'table1"),
    ({"artifact": ["table19_fig4"]}, "text"),
    ({"artefact": "table19_fig4"}, "did you mean 'artifact'"),
    ({"title": ["Ours"]}, "text"),
    ({"scales__smoke": None}, "mapping"),
    ({"scales__smoke__stand_in": None}, "text"),
    ({"scales__smoke__on_request": "yes"}, "true or false"),
    ({"scales__smoke__needs_folders": "heat"}, "a list"),
    ({"scales__smoke__needs_folders": []}, "at least 1 item"),
    ({"scales__smoke__seeds": [1, True]}, "whole number"),
    ({GRID + "hyper": []}, "mapping"),
    ({GRID + "hyper__batch_size": 2.5}, "whole number"),
    ({GRID + "hyper__s_min": "small"}, "number"),
    ({GRID + "hyper__lr": True}, "number"),
    ({GRID + "search": {"epochs": [1, "2"]}}, "whole number"),
    ({GRID + "search": {"s": [0.5], "s_min": [1.0]}}, "leave one of them out"),
    ({GRID + "overrides": {}}, "a list"),
    ({GRID + "overrides": [{"when": {"method": ["tb"]}, "hyper": {"warmup": 3}}]}, "warmup"),
    ({GRID + "overrides": [{"when": {"method": "tb"}}]}, "a list"),
    ({GRID + "seeds": []}, "at least 1 item"),
    ({GRID + "select_on": None}, "one of validation, test"),
]


@pytest.mark.parametrize(("changes", "word"), VALUES, ids=[f"{changes!r:.60}" for changes, _ in VALUES])
def test_a_wrong_value(changes, word, repository, refuse):
    (repository / "catalog/nowhere").symlink_to("no/such/folder")
    write(repository / "config.yaml", changed(CONFIG, **changes))
    refuse(word, "config.yaml")


@pytest.mark.parametrize(("changes", "word"), EXPERIMENTS, ids=[f"{changes!r:.60}" for changes, _ in EXPERIMENTS])
def test_a_wrong_experiment(changes, word, repository, refuse):
    write(repository / "experiments/ours.yaml", changed(EXPERIMENT, **changes))
    refuse("ours", word)


@pytest.mark.parametrize("name", ["data", "logs", "runs", "subsets", "tables", "trivial"])
def test_an_experiment_with_the_name_of_a_folder_of_results(name, repository, refuse):
    write(repository / f"experiments/{name}.yaml", EXPERIMENT)
    refuse(f"'{name}.yaml' is not allowed")


KEYS = st.sampled_from(
    ["model", "dataset", "ratio", "method", "seed", "artifact", "rule", "family", "net", "heat", "tb"]
)
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["all", "ours", "net", "heat", "tb", "smoke", "ours_score", ".", "0.5", "random"])
)  # fmt: skip
ANYTHING = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=5), inner, max_size=3)
)
FIELDS = st.sampled_from(sorted(Config.__pydantic_fields__))


@settings(
    max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(values=st.dictionaries(FIELDS | st.text(max_size=5), ANYTHING, max_size=3))
def test_any_mapping_ends_in_a_plan_or_in_one_sentence(repository, values):
    said = ""
    try:
        config = Config.from_mapping({**CONFIG, **values}, repository)
        grid = load_grid(repository, config)
        plan = grid.index.plan(grid.experiments, scale=config.scale, only=config.only.artifact)
        made = bool(plan.figures or plan.tables)
    except ConfigError as error:
        said = str(error)
    assert made if not said else len(said.splitlines()) == 1
