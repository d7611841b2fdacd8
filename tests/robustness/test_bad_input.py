"""Bad configurations and experiment files: each ends in one clear sentence and exit code 2, without a traceback.

(Bad data files: test_bad_data.py.)
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from replication.cli import app
from tempbalance.cli import guarded

CONFIG = {"scale": "smoke", "experiments": ["ours"]}
CATALOG = {
    "models": {"net": {"family": "sciml"}, "bert": {"family": "nlp"}},
    "datasets": {"heat": {"family": "sciml"}, "text": {"family": "nlp"}},
    "methods": {
        "baseline": {"family": "sciml", "optimizer": "adam", "balance": None},
        "tb": {"family": "sciml", "optimizer": "adam", "balance": {}},
        "ft": {"family": "nlp", "optimizer": "adamw"},
    },
}
BLOCK = {
    "models": ["net"],
    "datasets": ["heat"],
    "ratios": [0.5, 1.0],
    "methods": ["baseline", "tb"],
    "hyper": {"epochs": 2, "batch_size": 4, "lr": 0.001},
}
EXPERIMENT = {"title": "Ours", "family": "sciml", "scales": {"smoke": {"seeds": [1, 2], "grid": [BLOCK]}}}
SHELL = [
    "x; touch pwned",
    "$(touch pwned)",
    "`touch pwned`",
    "a|b",
    "a&b",
    "a b",
    "a'b",
    'a"b',
    "*",
    "-rf",
    "~",
    "a\nb",
    "a\n",
]
TRAVERSAL = ["..", "../up", "a/../../b", "/etc/passwd", ".", "a/b", "a\\b", "a\x00b"]


class Plain(yaml.SafeDumper):
    """Writes a value that stands twice twice, without anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small repository with a valid configuration, one experiment and a catalogue."""
    for folder in ("catalog", "experiments"):
        (tmp_path / folder).mkdir()
    write(tmp_path / "config.yaml", CONFIG)
    write(tmp_path / "catalog/all.yaml", CATALOG)
    write(tmp_path / "experiments/ours.yaml", EXPERIMENT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, content: Any) -> None:
    """Bytes, text, or a value as YAML."""
    if not isinstance(content, bytes | str):
        content = yaml.dump(content, Dumper=Plain, allow_unicode=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def changed(value: Any, **changes: Any) -> Any:
    """A copy of nested mappings with changes: ``a__b=1`` sets ``["a"]["b"]``; ``...`` removes."""
    value = copy.deepcopy(value)
    for path, new in changes.items():
        *parents, last = path.split("__")
        place = value
        for part in parents:
            place = place[int(part)] if isinstance(place, list) else place[part]
        if new is ...:
            del place[last]
        else:
            place[last] = new
    return value


@pytest.fixture
def refuse(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., None]:
    """Runs ``tempbalance check`` and expects one sentence with the given words."""

    def run(*words: str, config: str = "config.yaml") -> None:
        monkeypatch.setattr("sys.argv", ["tempbalance", "check", "--config", config])
        code = guarded(app)
        out, err = capsys.readouterr()
        assert code == 2, (code, out, err)
        assert out == ""
        lines = err.splitlines()
        assert len(lines) == 1, err
        assert lines[0].startswith("error: ")
        assert len(lines[0]) < 600, "a sentence, not a page"
        for word in words:
            assert word in lines[0], (word, lines[0])
        assert not (repository / "pwned").exists()
        assert {path.name for path in repository.iterdir()} <= {"catalog", "config.yaml", "experiments"}

    return run


def test_the_unchanged_repository_is_accepted(repository, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["tempbalance", "check"])
    assert guarded(app) == 0, capsys.readouterr().err
    assert "ours: 8 runs, 8 trainings" in capsys.readouterr().out


# ---- config.yaml ---------------------------------------------------------------------------------------

VALUES = [
    ("scale", "huge", "one of smoke, demo, desk, paper"),
    ("scale", ..., "'scale' is missing"),
    ("scale", None, "scale"),
    ("scale", 3, "one of smoke"),
    ("scale", ["smoke"], "one of smoke"),
    ("experiments", ..., "'experiments' is missing"),
    ("experiments", [], "experiments"),
    ("experiments", "ours", "experiments"),
    ("experiments", ["our"], "did you mean 'ours'"),
    ("experiments", ["ours", "ours"], "experiments"),
    ("experiments", [1], "experiments"),
    ("experiments", {"ours": True}, "experiments"),
    ("device", "gpu", "one of auto, cpu, cuda"),
    ("device", 0, "one of auto, cpu, cuda"),
    ("jobs_per_gpu", 0, "at least 1"),
    ("jobs_per_gpu", -3, "at least 1"),
    ("jobs_per_gpu", 10**30, "at most"),
    ("jobs_per_gpu", 1.5, "whole number"),
    ("jobs_per_gpu", "two", "whole number"),
    ("jobs_per_gpu", True, "whole number"),
    ("jobs_per_gpu", float("nan"), "finite"),
    ("seeds", [], "seeds"),
    ("seeds", [1, 1], "seeds"),
    ("seeds", [-1], "seeds"),
    ("seeds", [2**32], "seeds"),
    ("seeds", [1.5], "seeds"),
    ("seeds", ["13"], "seeds"),
    ("seeds", 13, "seeds"),
    ("seeds", [[13]], "seeds"),
    ("seeds", [float("inf")], "finite"),
    ("subset", "random", "subset"),
    ("subset", {"rule": "last"}, "one of released, random, stratified"),
    ("subset", {"seed": -1}, "at least 0"),
    ("subset", {"rules": "random"}, "did you mean 'rule'"),
    ("data_folders", ["/data"], "data_folders"),
    ("data_folders", {"text": 7}, "data_folders"),
    ("data_folders", {"text": ""}, "data_folders"),
    ("data_folders", {"../text": "/data"}, "data_folders"),
    ("keep_models", "sometimes", "true or false"),
    ("style", "dark", "style"),
    ("style", {"font.sise": 9}, "did you mean 'font.size'"),
    ("style", {"font.size": "big one"}, "style.font.size"),
    ("models", {"net": "resnet"}, "models"),
    ("models", {"new": {}}, "family"),
    ("models", {"new": {"family": "vision"}}, "one of nlp, sciml"),
    ("models", [], "models"),
    ("methods", {"tb": {"balance": "yes"}}, "balance"),
    ("methods", {"new": {"family": "sciml"}}, "optimizer"),
    ("datasets", {"heat": {"family": "vision"}}, "one of nlp, sciml"),
    ("sclae", "smoke", "did you mean 'scale'"),
    ("colour", "red", "unknown key 'colour'"),
]


@pytest.mark.parametrize(("key", "value", "word"), VALUES, ids=[f"{key}-{value!r:.30}" for key, value, _ in VALUES])
def test_a_wrong_value(key, value, word, repository, refuse):
    write(repository / "config.yaml", changed(CONFIG, **{key: value}))
    refuse(word, "config.yaml")


KEYS = ["experiments", "results_dir", "figures_dir", "models", "datasets", "methods", "data_folders"]
# A folder below the working directory is allowed.
ALLOWED = {("results_dir", "a/b"), ("figures_dir", "a/b")}


@pytest.mark.parametrize(
    ("key", "name"), [pair for pair in itertools.product(KEYS, [*SHELL, *TRAVERSAL]) if pair not in ALLOWED], ids=repr
)
def test_names_that_a_shell_or_a_path_could_take_amiss(key, name, repository, refuse):
    value = {"experiments": [name], "results_dir": name, "figures_dir": name, "data_folders": {name: "/data"}}.get(
        key, {name: {"family": "sciml", "optimizer": "adam"}}
    )
    write(repository / "config.yaml", changed(CONFIG, **{key: value}))
    refuse("config.yaml")


FILES = [
    (b"", "'scale' is missing"),
    (b"# nothing\n", "'scale' is missing"),
    (b"- scale\n", "mapping"),
    (b"smoke", "mapping"),
    (b"\xff\xfe\x00s", "UTF-8"),
    (b"scale: caf\xe9\n", "UTF-8"),
    (b"scale: smoke\x00\n", "config.yaml"),
    (b"scale: [smoke\n", "line"),
    (b"scale: smoke\n\texperiments: all\n", "line 2"),
    (b"scale: smoke\nscale: demo\n", "is repeated"),
    (b"1: smoke\n", "not text"),
    (b"? [a, b]\n: smoke\n", "config.yaml"),
    (b"scale: !!python/object/apply:os.system ['touch pwned']\n", "line 1"),
    (b"scale: !!python/name:os.system\n", "line 1"),
    (b"scale: !include secrets.yaml\n", "line 1"),
    (b"style: &a [*a]\n", "aliases"),
    (b"style: &a {b: 1}\nmodels: *a\n", "aliases"),
    (b"a: &a [x]\n" + b"".join(b"%c: &%c [*%c, *%c]\n" % (n + 1, n + 1, n, n) for n in range(97, 120)), "aliases"),
    (b"style: {<<: {a: 1}, a: 2}\n", "config.yaml"),
    (b"style: " + b"[" * 20_000, "config.yaml"),
    (b"style: {" * 3_000, "config.yaml"),
    (b"x" * 2_000_000, "larger than"),
    (b"scale: 2020-01-01\nexperiments: [ours]\n", "one of smoke"),
    (b"scale: smoke\nexperiments: [2020-13-45]\n", "config.yaml"),
    (b"--- {scale: smoke}\n--- {scale: demo}\n", "config.yaml"),
    (b"\x89PNG\r\n\x1a\n", "UTF-8"),
    (b"\x80\x04\x95\x0c\x00\x00\x00\x00\x00\x00\x00\x8c\x05smoke\x94.", "UTF-8"),
    (b"style: {a: 1e999999}\nscale: smoke\nexperiments: [ours]\n", "finite"),
    (b"style: {size: 0x" + b"f" * 10_000 + b"}\nscale: smoke\nexperiments: 1" + b"0" * 5_000 + b"\n", "config.yaml"),
]


@pytest.mark.parametrize(("content", "word"), FILES, ids=[f"{content[:25]!r}" for content, _ in FILES])
def test_a_file_that_is_no_configuration(content, word, repository, refuse):
    write(repository / "config.yaml", content)
    refuse("config.yaml", word)


def test_a_file_that_is_not_there(refuse):
    refuse("mine.yaml", "no such file", config="mine.yaml")


def test_a_folder_in_place_of_a_file(refuse):
    refuse("experiments", "Is a directory", config="experiments")


def test_a_link_to_itself(repository, refuse):
    path = repository / "config.yaml"
    path.unlink()
    path.symlink_to(path)
    refuse("config.yaml")


# ---- experiments/*.yaml --------------------------------------------------------------------------------

GRID = "scales__smoke__grid__0__"
EXPERIMENTS = [
    ({"title": ...}, "'title' is missing"),
    ({"title": ""}, "title"),
    ({"family": "vision"}, "one of nlp, sciml"),
    ({"family": "nlp"}, "net"),
    ({"scales": {}}, "scales"),
    ({"scales": ...}, "'scales' is missing"),
    ({"scales__smoke": ...}, "scales"),
    ({"scales__big": {}}, "unknown key 'big'"),
    ({"scales__smoke__grid": []}, "grid"),
    ({"scales__smoke__grid": {}}, "grid"),
    ({"scales__smoke__seeds": [1, 1]}, "seeds"),
    ({"scales__smoke__seeds": []}, "seeds"),
    ({"scales__smoke__seed": [1]}, "did you mean 'seeds'"),
    ({GRID + "models": ["nat"]}, "did you mean 'net'"),
    ({GRID + "models": ["bert"]}, "nlp"),
    ({GRID + "models": []}, "models"),
    ({GRID + "models": "net"}, "models"),
    ({GRID + "datasets": ["cold"]}, "unknown dataset 'cold'"),
    ({GRID + "datasets": ["text"]}, "nlp"),
    ({GRID + "datasets": ["heat", "heat"]}, "datasets"),
    ({GRID + "methods": ["magic"]}, "unknown method 'magic'"),
    ({GRID + "methods": ["ft"]}, "nlp"),
    ({GRID + "ratios": [0]}, "more than 0"),
    ({GRID + "ratios": [-0.1]}, "more than 0"),
    ({GRID + "ratios": [1.01]}, "at most 1"),
    ({GRID + "ratios": [100]}, "at most 1"),
    ({GRID + "ratios": [float("nan")]}, "finite"),
    ({GRID + "ratios": ["half"]}, "ratios"),
    ({GRID + "ratios": [True]}, "ratios"),
    ({GRID + "ratios": [0.5, 0.5]}, "ratios"),
    ({GRID + "ratios": []}, "ratios"),
    ({GRID + "ratios": ...}, "'ratios' is missing"),
    ({GRID + "hyper": ...}, "'hyper' is missing"),
    ({GRID + "hyper__epochs": 0}, "at least 1"),
    ({GRID + "hyper__epochs": "ten"}, "whole number"),
    ({GRID + "hyper__epochs": 10**12}, "at most"),
    ({GRID + "hyper__batch_size": -4}, "at least 1"),
    ({GRID + "hyper__lr": 0}, "more than 0"),
    ({GRID + "hyper__lr": float("inf")}, "finite"),
    ({GRID + "hyper__lr": "fast"}, "a number"),
    ({GRID + "hyper__weight_decay": -1}, "at least 0"),
    ({GRID + "hyper__learning_rate": 0.1}, "learning_rate"),
    ({GRID + "hyper__epoch": 3}, "did you mean 'epochs'"),
    ({GRID + "hyper__s": -1}, "at least 0"),
    ({GRID + "search": {}}, "search"),
    ({GRID + "search": {"lr": []}}, "search"),
    ({GRID + "search": {"lr": 0.1}}, "search"),
    ({GRID + "search": {"lr": [0.1, 0.1]}}, "search"),
    ({GRID + "search": {"lr": [0.1, -1]}}, "search"),
    ({GRID + "search": {"lrr": [0.1]}}, "lrr"),
    ({GRID + "select_on": "train"}, "one of validation, test"),
    ({GRID + "overrides": [{}]}, "when"),
    ({GRID + "overrides": [{"when": {}}]}, "when"),
    ({GRID + "overrides": [{"when": {"models": ["net"]}, "hyper": {}}]}, "did you mean 'model'"),
    ({GRID + "overrides": [{"when": {"model": ["cnn"]}, "hyper": {"lr": 0.1}}]}, "'cnn'"),
    ({GRID + "overrides": [{"when": {"ratio": [0.25]}, "hyper": {"lr": 0.1}}]}, "0.25"),
    ({GRID + "overrides": [{"when": {"seed": [9]}, "hyper": {"lr": 0.1}}]}, "9"),
    ({GRID + "overrides": [{"when": {"model": ["net"]}, "hyper": {"lr": -1}}]}, "more than 0"),
    ({"scales__smoke__grid": [BLOCK, BLOCK]}, "second time"),
    ({"scales__smoke__grid": [BLOCK, 7]}, "grid"),
]


@pytest.mark.parametrize(("changes", "word"), EXPERIMENTS, ids=[f"{changes!r:.60}" for changes, _ in EXPERIMENTS])
def test_a_wrong_experiment(changes, word, repository, refuse):
    write(repository / "experiments/ours.yaml", changed(EXPERIMENT, **changes))
    refuse("experiments", word)


@pytest.mark.parametrize("name", [*SHELL, *TRAVERSAL], ids=repr)
@pytest.mark.parametrize("kind", ["models", "datasets", "methods"])
def test_names_in_an_experiment(kind, name, repository, refuse):
    write(repository / "experiments/ours.yaml", changed(EXPERIMENT, **{GRID + kind: [name]}))
    refuse("experiments/ours.yaml")


@pytest.mark.parametrize("name", ["a;b", "$(touch pwned)", "a b", "Ours", "ours\n"])
def test_an_experiment_file_with_a_name_that_a_shell_could_take_amiss(name, repository, refuse):
    write(repository / f"experiments/{name}.yaml", EXPERIMENT)
    write(repository / "config.yaml", changed(CONFIG, experiments="all"))
    refuse("experiments")


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"title: [", b"title: *x\n"])
def test_an_experiment_file_that_is_none(content, repository, refuse):
    write(repository / "experiments/ours.yaml", content)
    refuse("experiments/ours.yaml")


# ---- catalog/*.yaml ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "mapping"),
        (b"models: [", "line"),
        ({"model": {}}, "did you mean 'models'"),
        ({"models": {"net": {"family": "sciml"}}}, "another file"),
        ({"models": {"new": 3}}, "new"),
        ({"models": {"new": {"family": "vision"}}}, "one of nlp, sciml"),
        ({"models": {"new/net": {"family": "nlp"}}}, "new/net"),
        ({"methods": {"new": {"family": "nlp", "optimizer": 3}}}, "optimizer"),
    ],
)
def test_a_wrong_catalogue(content, word, repository, refuse):
    write(repository / "catalog/more.yaml", content)
    refuse("catalog/more.yaml", word)
