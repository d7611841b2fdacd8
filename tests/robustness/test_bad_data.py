"""Damaged, foreign and hostile data files: each command ends in one clear sentence, and nothing in them is executed."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_runs import PDE, TinyRun

from replication.cli import app
from replication.errors import DataError
from replication.figures.data import read_eigenvalues
from replication.runs.checkpoint import sha256
from replication.runs.records import read_record
from replication.runs.subset import write_subset
from replication.settings.spec import canonical_json, digest
from tempbalance.cli import app as library
from tempbalance.cli import guarded


class Hostile:
    """Unpickled, it leaves a file behind."""

    def __reduce__(self) -> Any:
        return os.system, ("touch pwned",)


PICKLE = pickle.dumps({"state": Hostile()})


def npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


@pytest.fixture
def refuse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., None]:
    """Runs a command and expects exit code 2 and one sentence that holds the given words."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")

    def run(*arguments: str | Path, words: str, command: Callable[[], Any] = app) -> None:
        monkeypatch.setattr("sys.argv", ["replication", *map(str, arguments)])
        code = guarded(command)
        _, err = capfd.readouterr()
        assert code == 2, (code, err)
        (line,) = [line for line in err.splitlines() if line.startswith("error: ")]
        assert "Traceback" not in err
        assert words in line, line
        assert len(line) < 800
        assert not list(tmp_path.rglob("pwned"))
        assert not list(Path.cwd().rglob("metrics.json"))

    return run


def run_quietly(command: list[Any]) -> int:
    import sys

    before = sys.argv
    sys.argv = ["replication", *map(str, command)]
    try:
        return guarded(app)
    finally:
        sys.argv = before


def damage(path: Path, content: Any) -> None:
    """Replace a file by bytes, by what a function makes of its bytes, or by nothing (None)."""
    before = path.read_bytes()
    path.unlink()
    if content is not None:
        path.write_bytes(content(before) if callable(content) else content)


FIELDS = ("density", "pressure", "Vx")
HALF = lambda content: content[: len(content) // 2]  # noqa: E731
TAIL_LOST = lambda content: content[:-40]  # noqa: E731
FOREIGN = [
    pytest.param(b"", id="empty"),
    pytest.param(b"\x89PNG\r\n\x1a\n" + bytes(200), id="png"),
    pytest.param(PICKLE, id="pickle"),
    pytest.param(os.urandom(4096), id="noise"),
    pytest.param(b"<!DOCTYPE html><title>Sign in</title>", id="login-page"),
    pytest.param(HALF, id="half"),
    pytest.param(None, id="missing"),
]


# ---- PDE files -----------------------------------------------------------------------------------------


@pytest.fixture
def pde(tiny: Callable[[str], TinyRun], tmp_path: Path) -> TinyRun:
    """A copy of the small PDE data set and of its run, to be damaged."""
    run = tiny("pde")
    shutil.copytree(run.data.parent, tmp_path / "inputs")
    return TinyRun(run.spec, tmp_path / "inputs" / run.data.name, tmp_path / "inputs" / run.subset.name)


def subset_command(run: TinyRun) -> list[Any]:
    options = canonical_json(run.spec.dataset_options)
    head = ["subset", "--family", run.spec.family, "--dataset", "tiny", "--options", options, "--ratio", "1"]
    return [*head, run.data, "out.json"]


@pytest.mark.parametrize("content", FOREIGN)
def test_a_pde_file_that_is_none(content, pde, refuse):
    damage(pde.data, content)
    refuse(*subset_command(pde), words=str(pde.data))
    refuse(*pde.arguments, words=str(pde.data))
    assert not Path("out.json").exists()


def edit(change: Callable[[Any], None]) -> Callable[[Path], None]:
    import h5py

    def apply(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            change(file)
        # Whoever wrote such contents wrote the manifest after them: the file is odd, not damaged.
        manifest = path.with_name(path.name + ".json")
        content = {**json.loads(manifest.read_text()), "sha256": sha256(path)}
        manifest.write_text(json.dumps(content))

    return apply


def put(name: str, values: Any) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        del file[name]
        file[name] = values

    return change


def other_shape(file: Any) -> None:
    values = file["density"][:, :, ::2]
    put("density", values)(file)


def link(target: Any) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        del file["density"]
        file["density"] = target

    return change


def h5_links() -> list[Any]:
    import h5py

    return [h5py.ExternalLink("/etc/passwd", "density"), h5py.SoftLink("/density"), h5py.SoftLink("/nowhere")]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda file: file.pop("density"), "density"),
        (lambda file: file.pop("Vx"), "Vx"),
        (other_shape, "but"),
        (put("density", np.ones((3, 4), "f4")), "expected float"),
        (put("density", np.ones((30, 6, 16), "i8")), "expected float"),
        (put("density", np.float32(1)), "expected float"),
        (put("density", "text"), "expected float"),
        (
            lambda file: [put(name, np.empty((0, 6, 16), "f4"))(file) for name in FIELDS],
            "no samples",
        ),
        (lambda file: [put(name, file[name][:3])(file) for name in FIELDS], "rows to train on"),
        *[(link(target), "data set") for target in h5_links()],
        (lambda file: (file.pop("density"), file.create_group("density")), "density"),
    ],
)
def test_a_pde_file_with_other_contents(change, words, pde, refuse):
    edit(change)(pde.data)
    refuse(*subset_command(pde), words=words)
    refuse(*pde.arguments, words=words)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row", ["train", "validation", "test"])
def test_values_that_are_not_finite(value, row, pde, refuse):
    number = {"test": 0, "validation": PDE["test_samples"], "train": PDE["test_samples"] + PDE["validation_samples"]}[
        row
    ]
    edit(lambda file: file["pressure"].__setitem__((number, 2, 3), value))(pde.data)
    refuse(*pde.arguments, words=f"row {number}")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", None, b"\xff\xfe", PICKLE])
def test_a_manifest_that_is_none(content, pde, refuse):
    damage(pde.data.with_name(pde.data.name + ".json"), content)
    refuse(*pde.arguments, words="json")


# ---- subsets and specifications ------------------------------------------------------------------------


def subset_file(rows: Any) -> bytes:
    return json.dumps({"rows": rows, "sha256": digest(rows, 64), "n": 3}).encode()


@pytest.mark.parametrize(
    "content",
    [
        *FOREIGN,
        pytest.param(b"[1, 2]", id="list"),
        pytest.param(b'{"rows": [1, 2]}', id="no-hash"),
        pytest.param(b'{"rows": [1, 2], "sha256": "00"}', id="other-hash"),
        pytest.param(lambda content: content.replace(b'"rows": [0', b'"rows": [1'), id="tampered"),
        pytest.param(subset_file([]), id="no-rows"),
        pytest.param(subset_file([3]), id="one-row"),
        pytest.param(subset_file([0, 10**9]), id="beyond"),
        pytest.param(subset_file([-1, 0, 1]), id="negative"),
        pytest.param(subset_file([0, 1, 1]), id="twice"),
        pytest.param(subset_file([0.5, 1.5]), id="fractions"),
        pytest.param(subset_file(["0", "1"]), id="text"),
        pytest.param(subset_file([True, False]), id="booleans"),
        pytest.param(subset_file({"0": 1}), id="mapping"),
        pytest.param(subset_file("01"), id="string"),
        pytest.param(subset_file(None), id="null"),
    ],
)
def test_a_subset_that_is_none(content, pde, refuse):
    damage(pde.subset, content)
    refuse(*pde.arguments, words="subset")


@pytest.mark.parametrize("ratio", ["0", "-1", "1.5", "nan", "inf", "1e-9"])
def test_a_ratio_that_is_none(ratio, pde, refuse):
    command = subset_command(pde)
    command[command.index("--ratio") + 1] = ratio
    refuse(*command, words="ratio")


@pytest.mark.parametrize(
    "change",
    [
        "{", "[]", "null", '"x"', "{}", "@missing.json", "@.",
        {"colour": "red"}, {"experiment": "../up"}, {"method": "a/b"}, {"model": ".."}, {"dataset": ""},
        {"dataset": "a\nb"}, {"experiment": 7}, {"ratio": "half"}, {"ratio": -1}, {"ratio": 2.0}, {"seed": "one"},
        {"seed": -1}, {"family": "vision"}, {"hyper": []}, {"hyper": {"epochs": 0}}, {"hyper": {"epochs": "ten"}},
        {"hyper": {"epohcs": 3}}, {"method_options": {"optimizer": "magic"}}, {"trial": ["lr"]},
        {"model_options": {}}, {"method_options": {"optimizer": "adamw", "balance": {"metric": "beta"}}},
        {"method_options": {"optimizer": "adamw", "balance": {"schedule": "steep"}}},
        {"method_options": {"optimizer": "adamw", "balance": {"colour": 1}}},
    ],
    ids=repr,
)  # fmt: skip
def test_a_specification_that_is_none(change, pde, refuse):
    text = change
    if isinstance(change, dict):
        fields = json.loads(pde.spec.to_json())
        for key, value in change.items():
            fields[key] = {**fields[key], **value} if key == "hyper" and isinstance(value, dict) else value
        text = json.dumps(fields)
    arguments = list(pde.arguments)
    arguments[arguments.index("--spec") + 1] = text
    refuse(*arguments, words="")
    assert not (Path.cwd().parent / "up").exists()


# ---- trained weights and records -----------------------------------------------------------------------


@pytest.fixture
def finished(tiny: Callable[[str], TinyRun], whole: Callable[..., Any], tmp_path: Path) -> Path:
    """A finished run's folder, to be damaged."""
    folder = tiny("pde").folder(tmp_path)
    folder.mkdir(parents=True)
    for name, content in whole("pde").items():
        if name == "record":
            (folder / "metrics.json").write_text(json.dumps(content))
        else:
            (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize(
    "content",
    [
        *FOREIGN,
        pytest.param(TAIL_LOST, id="tail-lost"),
        pytest.param((2**62).to_bytes(8, "little") + b"{}", id="huge-header"),
        pytest.param((2).to_bytes(8, "little") + b"{}", id="no-tensors"),
    ],
)
def test_weights_that_are_none(content, finished, refuse):
    (finished / "metrics.json").unlink()
    damage(finished / "model.safetensors", content)
    refuse("spectrum", finished / "model.safetensors", words="model.safetensors", command=library)


def refuses_to_read(read: Callable[[Path], Any], path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not Path("pwned").exists()


@pytest.mark.parametrize(
    "content",
    [
        *FOREIGN,
        pytest.param(TAIL_LOST, id="tail-lost"),
        pytest.param(npz(**{"last/layer": np.array([Hostile()], dtype=object)}), id="objects"),
    ],
)
def test_eigenvalues_that_are_none(content, finished, monkeypatch):
    monkeypatch.chdir(finished)
    damage(finished / "eigenvalues.npz", content)
    refuses_to_read(read_eigenvalues, finished / "eigenvalues.npz")


@pytest.mark.parametrize(
    "content", [*FOREIGN, pytest.param(b"{}", id="no-keys"), pytest.param(b'{"run": 1}', id="other")]
)
def test_a_record_that_is_none(content, finished, monkeypatch):
    monkeypatch.chdir(finished)
    damage(finished / "metrics.json", content)
    refuses_to_read(read_record, finished / "metrics.json")


# ---- texts ---------------------------------------------------------------------------------------------


@pytest.fixture
def text(tiny: Callable[[str], TinyRun], tmp_path: Path) -> TinyRun:
    """A copy of the small text data set in its stages, to be damaged."""
    run = tiny("text")
    shutil.copytree(run.data.parent, tmp_path / "inputs")
    folder = tmp_path / "inputs"
    return TinyRun(run.spec, folder / "data", folder / "subset.json", folder / "tokens")


def prepare_command(run: TinyRun) -> list[Any]:
    return ["prepare", "--options", canonical_json(run.spec.dataset_options), run.data.parent / "raw", "out"]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + bytes(200), id="png"),
        pytest.param(PICKLE, id="pickle"),
        pytest.param(os.urandom(4096), id="noise"),
        pytest.param(b"sentence\tlabel\n", id="header-only"),
        pytest.param(lambda content: content.replace(b"sentence", b"text", 1), id="other-column"),
        pytest.param(lambda content: content.replace(b"label", b"class", 1), id="no-label"),
        pytest.param(lambda content: content + b"one more\t7\n", id="unknown-label"),
        pytest.param(lambda content: content + b"one more\n", id="short-row"),
        pytest.param(lambda content: content + b"caf\xe9\t1\n", id="latin-1"),
        pytest.param(lambda content: b"\n".join(content.split(b"\n")[:12]) + b"\n", id="few-rows"),
        pytest.param(lambda content: content.replace(b"\t1", b"\t0"), id="one-class"),
        pytest.param(None, id="missing"),
    ],
)  # fmt: skip
def test_a_text_file_that_is_none(content, text, refuse, capfd):
    (path,) = (text.data.parent / "own").glob("*.tsv")
    damage(path, content)
    folder = text.data.parent
    options = canonical_json(text.spec.dataset_options)
    shutil.rmtree(folder / "raw")

    commands = (
        ["fetch", "--family", "nlp", "--options", options, folder / "raw", "--folder", folder / "own"],
        ["prepare", "--options", options, folder / "raw", "prepared"],
        ["subset", "--family", "nlp", "--dataset", "tiny", "--options", options, "--ratio", "1", "prepared", "s.json"],
    )
    # One of the steps must refuse the file, and the steps before it must succeed.
    refused = next((command for command in commands if run_quietly(command) != 0), None)
    assert refused is not None
    capfd.readouterr()
    refuse(*refused, words="")


def damage_largest(folder: Path, content: Any) -> None:
    damage(max(folder.iterdir(), key=lambda path: path.stat().st_size), content)


@pytest.mark.parametrize("content", FOREIGN)
def test_a_token_file_that_is_none(content, text, refuse):
    damage_largest(text.tokens, content)
    refuse(*text.arguments, words="tokens")


@pytest.mark.parametrize("content", FOREIGN)
def test_a_prepared_file_that_is_none(content, text, refuse):
    damage_largest(text.data, content)
    options, model = canonical_json(text.spec.dataset_options), canonical_json(text.spec.model_options)
    refuse("tokenize", "--options", options, "--model-options", model, text.data, "out", words="data")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", None, PICKLE])
@pytest.mark.parametrize("folder", ["data", "tokens"])
def test_a_prepared_manifest_that_is_none(folder, content, text, refuse):
    damage(text.data.parent / folder / "manifest.json", content)
    refuse(*text.arguments, words="manifest")


def test_a_text_run_without_its_tokens(text, refuse):
    refuse(*text.arguments[:-2], words="--tokens")


def test_tokens_of_other_data(text, refuse, tmp_path):
    text.data.joinpath("manifest.json").write_text(
        text.data.joinpath("manifest.json").read_text().replace('"', ' "', 1)
    )
    refuse(*text.arguments, words="")


@pytest.mark.parametrize("rows", [[0, 10**6], [0]])
def test_a_text_subset_that_does_not_fit(rows, text, refuse):
    write_subset(text.subset, rows, dataset="tiny", ratio=0.5, rule="released", seed=0, n_total=48)
    refuse(*text.arguments, words="row")
