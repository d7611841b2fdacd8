"""Which tensors count as layers: unusual modules and weights, adapters, shared weights, wrappers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from tempbalance import esd, layer_metrics, pl_alpha_hill
from tempbalance.errors import InputError
from tempbalance.spectra import (
    eigenvalues_by_layer,
    get_preset,
    layer_spectra,
    state_dict_metrics,
    state_dict_spectra,
)
from tempbalance.spectra._layers import block_of, clean_name, gathered

PLAIN = {"min_count": 2, "min_eigenvalue": 0.0}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, 2)
        self.norm = nn.LayerNorm((3, width))  # a LayerNorm with two axes is not a matrix
        self.dense = nn.Linear(width, 2 * width)


class Net(nn.Module):
    """A model with nearly every kind of module."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(50, 16)
        self.layer = nn.ModuleList(Block(16) for _ in range(2))
        self.conv1 = nn.Conv1d(4, 8, 3)
        self.conv2 = nn.Conv2d(4, 8, 3)
        self.conv3 = nn.Conv3d(4, 8, 3)
        self.up = nn.ConvTranspose2d(8, 4, 2)
        self.rnn = nn.LSTM(5, 6)
        self.bn = nn.BatchNorm2d(8)
        self.spectral = nn.Module()
        self.spectral.weights1 = nn.Parameter(torch.randn(6, 5, 7, dtype=torch.complex64))
        self.afno = nn.Module()
        self.afno.w1 = nn.Parameter(torch.randn(2, 4, 8, 9))
        self.afno.b1 = nn.Parameter(torch.randn(2, 4, 9))
        self.head = nn.Linear(16, 50, bias=False)
        self.head.weight = self.embeddings.weight  # tied to the embedding
        self.twin = self.conv2  # shared module


MATRICES = {
    "layer.0.attention.in_proj", "layer.0.attention.out_proj", "layer.0.dense",
    "layer.1.attention.in_proj", "layer.1.attention.out_proj", "layer.1.dense",
    "conv1", "conv2", "conv3", "up", "rnn.weight_ih_l0", "rnn.weight_hh_l0",
}  # fmt: skip


def test_what_counts():
    table = layer_metrics(Net(), **PLAIN)
    assert set(table.index) == MATRICES
    assert table.index.is_unique
    assert table["alpha"].notna().all()
    assert table.loc["layer.1.dense", "block"] == "layer.1"
    assert table["block"].isna()["conv1"]
    assert table.loc["conv3", "shape"] == "8x4x3x3x3"
    assert table.loc["conv3", "n_eigs"] == 27 * 4
    assert table.loc["up", "n_eigs"] == 4 * 4


def test_transposed_convolutions_can_be_left_out():
    assert set(layer_metrics(Net(), transposed="skip", **PLAIN).index) == MATRICES - {"up"}
    assert set(layer_metrics(torch.compile(Net()), transposed="skip", **PLAIN).index) == MATRICES - {"up"}


def test_state_dict_agrees_with_the_model():
    model = Net()
    from_model, from_dict = layer_metrics(model, **PLAIN), state_dict_metrics(model.state_dict(), **PLAIN)
    assert set(from_dict.index) == MATRICES
    np.testing.assert_array_equal(from_dict.loc[from_model.index, "alpha"], from_model["alpha"])


def test_embeddings_on_request():
    table = layer_metrics(Net(), embeddings=True, **PLAIN)
    assert set(table.index) == MATRICES | {"embeddings"}  # the tied head is the same tensor, so it counts once


def test_tied_dense_layers_count_once():
    model = nn.Sequential(nn.Linear(9, 9), nn.ReLU(), nn.Linear(9, 9))
    model[2].weight = model[0].weight
    assert list(layer_metrics(model, **PLAIN).index) == ["0"]
    tensors = {"a.weight": torch.randn(5, 5), "c.weight": torch.randn(5, 5)}
    tensors["b.weight"] = tensors["a.weight"]
    assert list(state_dict_metrics(tensors, **PLAIN).index) == ["a", "c"]


# ---- spectral weights -------------------------------------------------------------------------------------


def test_complex_and_afno_weights_only_on_request():
    model = Net()
    pooled = {s.layer.name: s for s in layer_spectra(model, spectral="pooled", **PLAIN)}
    assert set(pooled) == MATRICES | {"spectral.weights1", "afno.w1"}
    weight = model.spectral.weights1.detach()
    expected = torch.cat([torch.linalg.svdvals(weight[..., mode]).square() for mode in range(7)]).sort().values
    np.testing.assert_allclose(pooled["spectral.weights1"].eigenvalues, expected, rtol=1e-5)
    w1 = model.afno.w1.detach()
    blocks = [torch.linalg.svdvals(torch.complex(w1[0, b], w1[1, b])).square() for b in range(4)]
    np.testing.assert_allclose(pooled["afno.w1"].eigenvalues, torch.cat(blocks).sort().values, rtol=1e-5)


def test_per_mode_is_the_mean_of_the_modes_exponents():
    model = Net()
    spectra = {s.layer.name: s for s in layer_spectra(model, spectral="per_mode", **PLAIN)}
    weight = model.spectral.weights1.detach()
    alphas = [pl_alpha_hill(esd(weight[..., mode])) for mode in range(7)]
    assert spectra["spectral.weights1"].alpha == pytest.approx(np.mean(alphas), rel=1e-6)
    assert spectra["spectral.weights1"].spectra.shape == (7, 5)


def test_neuraloperator_spectral_conv():
    neuralop = pytest.importorskip("neuralop.layers.spectral_convolution")
    model = nn.ModuleList([neuralop.SpectralConv(6, 5, (8,))])
    assert layer_metrics_empty(model)
    table = layer_metrics(model, spectral="pooled", **PLAIN)
    assert list(table.index) == ["0"]
    assert table["alpha"].notna().all()


def layer_metrics_empty(model: nn.Module) -> bool:
    return layer_metrics(model, **PLAIN).empty


# ---- weights without an exponent -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fill", "reason"),
    [
        (lambda w: w.zero_(), "zero"),
        (lambda w: w.fill_(float("nan")), "not finite"),
        (lambda w: w[0].fill_(float("inf")), "not finite"),
        (lambda w: w.copy_(torch.eye(20)), "equal"),
        (lambda w: w.copy_(torch.outer(w[0], w[1])), "eigenvalues, fewer than"),  # rank 1, after the filter
    ],
)
def test_skipped_with_the_reason(fill, reason):
    model = nn.ModuleDict({"bad": nn.Linear(20, 20), "good": nn.Linear(20, 20)})
    fill(model["bad"].weight.data)
    table = layer_metrics(model, preset="sciml")
    assert np.isnan(table.loc["bad", "alpha"])
    assert reason in table.loc["bad", "reason"]
    assert table.loc["good", "alpha"] > 1


def test_low_rank_without_a_filter_has_no_exponent():
    model = nn.Sequential(nn.Linear(60, 60))
    a = model[0].weight.data
    a.copy_(a[:, :5] @ a[:5])
    row = layer_metrics(model, preset="nlp", min_eigenvalue=1e-9, min_count=20).iloc[0]
    assert np.isnan(row["alpha"])
    assert "5 eigenvalues" in row["reason"]


def test_few_eigenvalues():
    table = layer_metrics(nn.ModuleDict({"small": nn.Linear(64, 12), "large": nn.Linear(64, 13)}), preset="sciml")
    assert table.loc["small", "reason"] == "12 eigenvalues, fewer than 13"
    assert table.loc["large", "alpha"] > 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn])
def test_half_precision(dtype):
    weight = torch.randn(30, 40).to(dtype)
    found = state_dict_metrics({"a.weight": weight}, **PLAIN)
    exact = state_dict_metrics({"a.weight": weight.float()}, **PLAIN)
    assert found["alpha"]["a"] == exact["alpha"]["a"]


def test_integers_and_quantised_tensors_are_not_layers():
    tensors = {
        "q.weight": torch.ones(30, 30, dtype=torch.int8),
        "ids": torch.arange(30),
        "a.weight": torch.randn(30, 30),
    }
    assert list(state_dict_metrics(tensors, **PLAIN).index) == ["a"]


def test_portions_change_nothing(monkeypatch):
    import tempbalance.spectra._metrics as metrics

    model = Net()
    model.conv1.weight.data.zero_()  # one without a spectrum between others
    whole = layer_metrics(model, spectral="pooled", **PLAIN)
    monkeypatch.setattr(metrics, "PORTION", 300)
    pd.testing.assert_frame_equal(layer_metrics(model, spectral="pooled", **PLAIN), whole)


# ---- adapters --------------------------------------------------------------------------------------------------


def lora_tensors() -> dict[str, torch.Tensor]:
    return {
        "enc.layer.0.q.base_layer.weight": torch.randn(20, 30),
        "enc.layer.0.q.lora_A.default.weight": torch.randn(4, 30),
        "enc.layer.0.q.lora_B.default.weight": torch.randn(20, 4),
    }


@pytest.mark.parametrize(("lora", "scale"), [("scaled", 2.5), ("unscaled", 1.0)])
def test_lora_pair_adds_to_its_base(lora, scale):
    tensors = lora_tensors()
    w, a, b = tensors.values()
    (found,) = state_dict_spectra(tensors, lora=lora, lora_scale=2.5, **PLAIN)
    assert (found.layer.name, found.layer.block) == ("enc.layer.0.q", "enc.layer.0")
    np.testing.assert_allclose(found.eigenvalues, esd(w + scale * b @ a), rtol=1e-4, atol=1e-4)


def test_peft_model():
    peft = pytest.importorskip("peft")
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        vocab_size=60, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, num_labels=2
    )
    base = BertForSequenceClassification(config)
    plain = layer_metrics(base, preset="nlp", min_count=20)
    model = peft.get_peft_model(
        base, peft.LoraConfig(task_type="SEQ_CLS", r=4, lora_alpha=10, target_modules=["query"])
    )
    table = layer_metrics(model, preset="nlp", min_count=20)
    names = [f"base_model.model.{name}" for name in plain.index]
    assert set(table.index) == {
        n if n.rpartition(".")[2] != "classifier" else f"{n}.modules_to_save.default" for n in names
    }
    query = "base_model.model.bert.encoder.layer.1.attention.self.query"
    assert table["alpha"][query] == plain["alpha"]["bert.encoder.layer.1.attention.self.query"]  # B starts at zero
    module = model.get_submodule(query)
    nn.init.normal_(module.lora_B["default"].weight)
    a, b = module.lora_A["default"].weight, module.lora_B["default"].weight
    for lora, scale in (("scaled", 2.5), ("unscaled", 1.0)):
        values = eigenvalues_by_layer(layer_spectra(model, preset="nlp", lora=lora))[query]
        expected = esd((module.base_layer.weight + scale * b @ a).detach())
        np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-5)


def test_adapter_without_its_base():
    tensors = {name: tensor for name, tensor in lora_tensors().items() if "base" not in name}
    (found,) = state_dict_spectra(tensors, **PLAIN)
    a, b = tensors.values()
    assert (found.eigenvalues > 1e-3).sum() == 4
    np.testing.assert_allclose(found.eigenvalues[-4:], esd(b @ a)[-4:], rtol=1e-4)


def test_adapter_that_does_not_fit():
    tensors = lora_tensors() | {"enc.layer.0.q.lora_A.default.weight": torch.randn(4, 31)}
    with pytest.raises(InputError, match=r"enc\.layer\.0\.q: a LoRA product of shape \(20, 31\)"):
        state_dict_spectra(tensors, **PLAIN)


# ---- wrappers, shards, options ---------------------------------------------------------------------------------------


def test_wrappers_are_looked_through():
    model = nn.Sequential(nn.Linear(9, 9))
    assert list(layer_metrics(torch.compile(model), **PLAIN).index) == ["0"]
    assert list(layer_metrics(nn.DataParallel(model), **PLAIN).index) == ["0"]
    assert clean_name("a._orig_mod.b._fsdp_wrapped_module.weight") == "a.b.weight"
    assert block_of("roberta.encoder.layer.10.output.dense") == "roberta.encoder.layer.10"
    assert block_of("w0") is None


def test_meta_weights_say_what_to_do():
    with torch.device("meta"):
        model = nn.Linear(9, 9)
    with pytest.raises(InputError, match=r"meta device.*load the weights"):
        layer_metrics(model, **PLAIN)


def test_zero3_shards_say_what_to_do():
    shard = nn.Parameter(torch.empty(0))
    shard.ds_id = 7
    with pytest.raises(InputError, match=r"a\.weight: .*shard.*GatheredParameters"):
        gathered(shard, "a.weight")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"preset": "vision"}, "vision.*nlp"),
        ({"unit": "head"}, "unit: 'head'.*block"),
        ({"xmin_pos": 1}, "xmin_pos"),
        ({"colour": 1}, "colour"),
        ({"min_count": 1}, "min_count"),
        ({"farms_ratio": 0.5}, "farms_ratio"),
    ],
)
def test_bad_options(options, words):
    with pytest.raises(InputError, match=words):
        get_preset(**{"preset": "nlp", **options})
