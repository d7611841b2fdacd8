"""``tempbalance spectrum``: checkpoints of all kinds, also hostile ones."""

from __future__ import annotations

import json
import pickle
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tempbalance import layer_metrics
from tempbalance.errors import DataError, InputError
from tempbalance.spectra._checkpoints import read_checkpoint
from tempbalance.spectra._report import report_checkpoint


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(*(nn.Linear(60, 60) for _ in range(12)), nn.Linear(60, 2))


@pytest.fixture
def quiet():
    import io

    from rich.console import Console

    return Console(file=io.StringIO(), width=80)


def test_safetensors_torch_and_folders_give_the_same_table(model, tmp_path, quiet):
    state = model.state_dict()
    save_file(state, tmp_path / "a.safetensors")
    torch.save(state, tmp_path / "a.pt")
    torch.save({"epoch": 3, "model_state_dict": state, "optimizer": {"lr": 1.0}}, tmp_path / "nested.ckpt")
    folder = tmp_path / "folder"
    folder.mkdir()
    save_file(dict(list(state.items())[:6]), folder / "model-1.safetensors")
    save_file(dict(list(state.items())[6:]), folder / "model-2.safetensors")
    shards = {name: f"model-{1 if index < 6 else 2}.safetensors" for index, name in enumerate(state)}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    expected = layer_metrics(model, preset="nlp")["alpha"]
    for path in (tmp_path / "a.safetensors", tmp_path / "a.pt", tmp_path / "nested.ckpt", folder):
        table = report_checkpoint(path, preset="nlp", console=quiet)
        assert list(table.index) == list(expected.index)  # in the model's order: 2 before 10
        np.testing.assert_array_equal(table["alpha"], expected)


def test_transformers_folder_and_outputs(tmp_path, quiet):
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=60, hidden_size=64, num_hidden_layers=2, num_attention_heads=2, intermediate_size=128, num_labels=2
    )
    model = BertForSequenceClassification(config)
    model.save_pretrained(tmp_path / "bert")
    outputs = {"csv": tmp_path / "t.csv", "json_file": tmp_path / "t.json", "plot": tmp_path / "t.png"}
    table = report_checkpoint(tmp_path / "bert", console=quiet, **outputs)
    expected = layer_metrics(model, preset="nlp")  # "auto" sees the blocks
    pd.testing.assert_series_equal(table["alpha"].sort_index(), expected["alpha"].sort_index())
    assert pd.read_csv(outputs["csv"], index_col="layer")["alpha"].to_dict() == pytest.approx(
        table["alpha"].to_dict(), nan_ok=True
    )
    stored = json.loads(outputs["json_file"].read_text())
    assert stored["summary"]["preset"] == "nlp"
    assert stored["summary"]["alpha_std"] == pytest.approx(table["alpha"].std(ddof=0))
    assert len(stored["layers"]) == len(table)
    assert outputs["plot"].read_bytes().startswith(b"\x89PNG")
    shown = quiet.file.getvalue()
    assert "attention.self.query" in shown
    assert "left out: classifier: 2 eigenvalues, fewer than 50" in shown
    assert f"mean {table['alpha'].mean():.3f}" in shown


def test_adapter_folder_reads_its_scale(tmp_path):
    save_file(
        {"q.lora_A.weight": torch.ones(2, 5), "q.lora_B.weight": torch.ones(6, 2)},
        tmp_path / "adapter_model.safetensors",
    )
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 4, "lora_alpha": 32}))
    assert read_checkpoint(tmp_path).lora_scale == 8
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 4, "lora_alpha": 32, "use_rslora": True}))
    assert read_checkpoint(tmp_path).lora_scale == 16
    (tmp_path / "adapter_config.json").write_text('{"r": 0, "lora_alpha": 1}')
    with pytest.raises(DataError, match=r"adapter_config\.json.*'r' and 'lora_alpha'"):
        read_checkpoint(tmp_path)


# ---- hostile and broken files -----------------------------------------------------------------------------


class Bomb:
    """Unpickling this writes a file."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (open, (str(self.target), "w"))


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("suffix", [".pt", ".bin", ".pkl"])
def test_code_in_a_pickle_is_refused_and_not_run(tmp_path, protocol, suffix):
    marker, path = tmp_path / "marker", tmp_path / f"evil{suffix}"
    evil = {"a.weight": torch.ones(3, 3), "b": Bomb(marker)}
    torch.save(evil, path, pickle_protocol=protocol)
    with pytest.raises(DataError, match=f"evil{suffix}: refused"):
        report_checkpoint(path)
    path.write_bytes(pickle.dumps(evil, protocol=protocol))
    with pytest.raises(DataError, match=f"evil{suffix}"):
        report_checkpoint(path)
    assert not marker.exists()
    pickle.loads(pickle.dumps(Bomb(marker)))
    assert marker.exists()  # the bomb works


def test_whole_models_are_refused(tmp_path, model):
    torch.save(model, tmp_path / "model.pt")
    with pytest.raises(DataError, match=r"refused.*state_dict"):
        report_checkpoint(tmp_path / "model.pt")


def _zip_of_text(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")


@pytest.mark.parametrize(
    ("name", "write", "words"),
    [
        (
            "cut.safetensors",
            lambda p: (save_file({"a": torch.ones(99)}, p), p.write_bytes(p.read_bytes()[:-9])),
            "intact",
        ),
        ("huge.safetensors", lambda p: p.write_bytes((2**62).to_bytes(8, "little") + b"{}"), "intact"),
        ("text.safetensors", lambda p: p.write_text("no"), "intact"),
        ("empty.pt", lambda p: p.write_bytes(b""), "torch file|refused"),
        ("zip.pt", _zip_of_text, "torch file|refused"),
        (
            "cut.pt",
            lambda p: (torch.save({"a": torch.ones(99)}, p), p.write_bytes(p.read_bytes()[:200])),
            "torch file|refused",
        ),
        ("number.pt", lambda p: torch.save(3, p), "is of type int"),
        ("nothing.pt", lambda p: torch.save({"epoch": 3}, p), r"no tensors; found the keys \['epoch'\]"),
        ("notes.txt", lambda p: p.write_text("hello"), "unknown file type"),
        ("vectors.pt", lambda p: torch.save({"a.weight": torch.ones(9)}, p), "no weight matrix"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_broken_files(tmp_path, name, write, words):
    path = tmp_path / name
    write(path)
    with pytest.raises(DataError, match=words) as caught:
        report_checkpoint(path)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_folders_and_indices(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        report_checkpoint(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no weight file"):
        report_checkpoint(tmp_path)
    index = tmp_path / "model.safetensors.index.json"
    for content, words in (
        ("{", "not JSON"),
        ("[]", "JSON object"),
        ("{}", "weight_map"),
        ('{"weight_map": {"a": "../other.safetensors"}}', "plain file name"),
        ('{"weight_map": {"a": "model-1.safetensors"}}', r"shard model-1\.safetensors is missing"),
    ):
        index.write_text(content)
        with pytest.raises(DataError, match=words):
            report_checkpoint(tmp_path)


def test_unwritable_outputs(tmp_path, model, quiet):
    save_file(model.state_dict(), tmp_path / "a.safetensors")
    with pytest.raises(DataError, match=r"t\.csv: cannot be written"):
        report_checkpoint(tmp_path / "a.safetensors", csv=tmp_path / "none" / "t.csv", console=quiet)
    with pytest.raises(InputError, match="cannot be drawn"):
        report_checkpoint(tmp_path / "a.safetensors", plot=tmp_path / "t.exe", console=quiet)


def test_a_plot_without_matplotlib_is_one_sentence(tmp_path, model, quiet, monkeypatch):
    save_file(model.state_dict(), tmp_path / "a.safetensors")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(InputError, match="matplotlib is not installed"):
        report_checkpoint(tmp_path / "a.safetensors", plot=tmp_path / "t.png", console=quiet)
