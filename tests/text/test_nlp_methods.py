"""The nine methods end to end, their optimizers, and the published trajectory with the Trainer."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from nlp_tiny import CORPUS, Chain
from test_nlp_tasks import scienceqa

from replication.errors import ConfigError
from replication.runs.rundir import RunDir
from replication.settings.hyper import parse_hyper, resolve
from replication.text.encoders import load_model
from replication.text.methods import SharpnessAwareTrainer, add_lora, balancing, build_optimizer
from replication.text.recording import Recorder
from replication.text.tasks import parse_task
from replication.text.training import finetune
from tempbalance import TempBalance, sigmoid_schedule

NINE = ("ft", "tb", "sam", "sam+tb", "adafactor", "adafactor+tb", "lora", "lora+tb", "llrd")
SMALL = {"epochs": 2, "batch_size": 8, "lr": 1e-3}


@pytest.fixture(scope="session")
def roberta(make_chain: Callable[..., Chain], corpus: Path, catalog: dict) -> Chain:
    return make_chain(CORPUS, corpus, catalog["models"]["tiny-roberta"])


def rates(folder: Path, epoch: int) -> dict[str, float]:
    with (folder / "spectra.csv").open() as file:
        return {row["layer"]: float(row["lr"]) for row in csv.DictReader(file) if int(row["epoch"]) == epoch}


@pytest.mark.parametrize("name", NINE)
def test_method_runs_and_only_tb_gives_blocks_their_own_rates(name: str, roberta: Chain, catalog: dict) -> None:
    record, folder = roberta.run(catalog["methods"][name], lr=1e-3, epochs=2)
    assert record["status"] == "finished"
    assert record["metrics"]["test"]["selected"]["accuracy"] > 0
    blocks = {round(rate, 12) for layer, rate in rates(folder, 1).items() if ".layer." in layer and rate == rate}
    assert (len(blocks) > 1) == (name.endswith("tb") or name == "llrd")
    trained = record["n_trained_parameters"] / record["n_parameters"]
    assert (trained < 0.5) == name.startswith("lora")


ABLATIONS = [
    "sam-adaptive", "tb-stable-rank", "tb-spectral-norm", "tb-farms", "tb-linear", "tb-sqrt", "tb-log2", "tb-exp",
    "tb-fixed", "tb-layer",
]  # fmt: skip


@pytest.mark.parametrize("name", ABLATIONS)
def test_ablation_runs(name: str, roberta: Chain, catalog: dict) -> None:
    record, _ = roberta.run(catalog["methods"][name], epochs=1)
    assert record["status"] == "finished"


def test_every_declared_method_is_tested_here(catalog: dict) -> None:
    assert {*NINE, *ABLATIONS} == set(catalog["methods"])


@pytest.mark.parametrize("name", ["adafactor+tb", "lora+tb", "sam+tb"])
def test_every_kind_of_state_survives_a_kill(
    name: str, roberta: Chain, catalog: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"epochs": 3, "checkpoint_every_s": 0, "lr": 3e-3}
    method = catalog["methods"][name]
    _, whole = roberta.run(method, results=tmp_path / "whole", **settings)
    spec = roberta.spec(method, **settings)
    arguments = {"data": roberta.data, "tokens": roberta.tokens, "indices": list(range(32)), "device": "cpu"}
    after_epoch = Recorder.on_epoch_end

    def die_in_epoch_3(self: Recorder, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if round(state.epoch) == 3:
            raise KeyboardInterrupt
        after_epoch(self, args, state, control, **kwargs)

    with monkeypatch.context() as patch, RunDir.open(spec, tmp_path / "cut", inputs={}) as run:
        patch.setattr(Recorder, "on_epoch_end", die_in_epoch_3)
        with pytest.raises(KeyboardInterrupt):
            finetune(spec, run=run, **arguments)
    with RunDir.open(spec, tmp_path / "cut", inputs={}) as run:
        finetune(spec, run=run, **arguments)
        run.publish()
        for file in ("model.safetensors", "history.csv", "spectra.csv"):
            assert (run.folder / file).read_bytes() == (whole / file).read_bytes(), file


def test_lora_balances_by_the_adapted_layers_only(roberta: Chain, catalog: dict) -> None:
    task, method = parse_task(CORPUS), resolve("nlp", catalog["methods"]["lora+tb"], SMALL)[0]
    torch.manual_seed(0)
    model = add_lora(load_model(roberta.model, task), method["lora"], task)
    optimizer = build_optimizer(model, method, parse_hyper("nlp", SMALL))
    (callback,), _ = balancing(model, optimizer, {"min_count": 2})
    balancer = TempBalance(model, optimizer, **callback.options)
    balancer.step()
    rows = pd.DataFrame(balancer.rows()).dropna(subset=["block"])
    adapted = rows[rows.layer.str.endswith(("query", "value"))]
    assert len(adapted) == 4 < len(rows)
    alphas = adapted.groupby("block").alpha.mean()
    expected = sigmoid_schedule(alphas.to_numpy(), 1.0, s_min=1.0, s_max=1.0)
    assert len(set(expected)) > 1
    found = [factor for unit, factor in sorted(balancer.factors.items())]
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("name", ["lora", "lora+tb"])
def test_tiny_llama_answers_by_letters_with_lora(
    name: str, catalog: dict, make_chain: Callable[..., Chain], tmp_path: Path
) -> None:
    scienceqa(tmp_path)
    chain = make_chain(catalog["datasets"]["scienceqa"], tmp_path, catalog["models"]["tiny-llama"])
    record, folder = chain.run(catalog["methods"][name], indices=range(16), epochs=2)
    assert record["status"] == "finished"
    assert record["metrics"]["test"]["final"]["accuracy"] >= 0
    adapters = {layer: rate for layer, rate in rates(folder, 1).items() if layer.endswith(("q_proj", "v_proj"))}
    assert len(adapters) == 4
    assert all(rate > 0 for rate in adapters.values())
    assert (len(set(adapters.values())) > 1) == (name == "lora+tb")


def model_and_task() -> tuple[Any, Any]:
    from nlp_tiny import TINY_BERT

    task = parse_task(CORPUS)
    torch.manual_seed(0)
    return load_model(TINY_BERT, task), task


def test_weight_decay_spares_biases_and_normalisation() -> None:
    model, _ = model_and_task()
    optimizer = build_optimizer(model, {"optimizer": "adamw"}, parse_hyper("nlp", {**SMALL, "weight_decay": 0.1}))
    names = {id(p): name for name, p in model.named_parameters()}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            spared = "bias" in names[id(parameter)] or "LayerNorm" in names[id(parameter)]
            assert group["weight_decay"] == (0.0 if spared else 0.1), names[id(parameter)]


def test_layer_decay_lowers_the_rate_block_by_block() -> None:
    model, _ = model_and_task()
    optimizer = build_optimizer(
        model, {"optimizer": "adamw", "layer_decay": 0.5}, parse_hyper("nlp", {**SMALL, "lr": 1.0})
    )
    names = {id(p): name for name, p in model.named_parameters()}
    rate = {names[id(p)]: group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert rate["classifier.weight"] == 1.0
    assert rate["bert.encoder.layer.1.output.dense.weight"] == 0.5
    assert rate["bert.encoder.layer.0.output.dense.weight"] == 0.25
    assert rate["bert.embeddings.word_embeddings.weight"] == 0.125


def test_unknown_options_of_methods_are_named(roberta: Chain) -> None:
    with pytest.raises(ConfigError, match="'optimizer' is 'adamax', expected one of adamw"):
        roberta.run({"optimizer": "adamax", "balance": None})
    with pytest.raises(ConfigError, match="unknown key 'rank' below key 'lora'"):
        roberta.run({"optimizer": "adamw", "balance": None, "lora": {"rank": 4}})
    with pytest.raises(ConfigError, match="the adapters do not fit the model"):
        roberta.run({"optimizer": "adamw", "balance": None, "lora": {"targets": ["nowhere"]}})
    with pytest.raises(ConfigError, match="gradient_accumulation: 2 is not valid with SAM"):
        roberta.run({"optimizer": "sam", "balance": None}, gradient_accumulation=2)


class Quadratic(torch.nn.Module):
    """The loss w^T H w / 2, for which SAM's gradient is known in closed form."""

    def __init__(self) -> None:
        super().__init__()
        self.w = torch.nn.Parameter(torch.tensor([1.0, -2.0]))

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": (torch.tensor([1.0, 3.0]) * self.w.square()).sum() / 2 + 0 * x.sum()}


@pytest.mark.parametrize("adaptive", [False, True])
def test_sam_takes_the_gradient_at_the_worst_point_nearby(adaptive: bool, tmp_path: Path) -> None:
    from transformers import TrainingArguments

    model = Quadratic()
    w, h, rho = np.array([1.0, -2.0]), np.array([1.0, 3.0]), 0.1
    arguments = TrainingArguments(
        output_dir=str(tmp_path), max_steps=1, report_to=[], use_cpu=True, max_grad_norm=0.5, disable_tqdm=True
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    trainer = SharpnessAwareTrainer(
        model=model, args=arguments, rho=rho, adaptive=adaptive, train_dataset=[{"x": torch.zeros(1)}],
        optimizers=(optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)),
    )  # fmt: skip
    trainer.train()
    g = h * w
    scale = np.abs(w) if adaptive else np.ones(2)
    worst = w + rho * scale**2 * g / np.linalg.norm(scale * g)
    assert np.linalg.norm(h * worst) > 0.5, "longer than the clipping norm, which does not bind SAM's step"
    np.testing.assert_allclose(model.w.detach().numpy(), w - h * worst, rtol=1e-5)


@pytest.mark.parametrize("case", [0, 1], ids=["ft", "tb-1.25-1.0"])
def test_published_trajectory_through_the_trainer(case: int, shared_dir: Path, tmp_path: Path) -> None:
    """The rates and losses of the released trainer, step by step (reference/nlp_trajectory)."""
    from transformers import (
        RobertaConfig,
        RobertaForSequenceClassification,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    from tempbalance.integrations import TempBalanceCallback

    expected = json.loads((shared_dir / "reference/nlp_trajectory.json").read_text())[case]
    arrays = np.load(shared_dir / "reference/nlp_trajectory.npz", allow_pickle=False)
    config = RobertaConfig(
        vocab_size=200, hidden_size=64, num_hidden_layers=3, num_attention_heads=4, intermediate_size=128,
        max_position_embeddings=40, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, num_labels=2,
        type_vocab_size=arrays["init/roberta.embeddings.token_type_embeddings.weight"].shape[0],
    )  # fmt: skip
    model = RobertaForSequenceClassification(config)
    model.load_state_dict({n: torch.tensor(arrays[f"init/{n}"]) for n, _ in model.named_parameters()}, strict=False)
    hyper = parse_hyper("nlp", {"epochs": 2, "batch_size": 4, "lr": 1e-3})
    optimizer = build_optimizer(model, {"optimizer": "adamw"}, hyper)
    mask = torch.ones(16, dtype=torch.long)
    rows = [
        {"input_ids": torch.tensor(ids), "labels": torch.tensor(label), "attention_mask": mask}
        for ids, label in zip(arrays["input_ids"], arrays["labels"], strict=True)
    ]  # fmt: skip
    balance = TempBalanceCallback(s_min=expected["s_min"], s_max=expected["s_max"]) if expected["use_tb"] else None
    names = {id(p): name for name, p in model.named_parameters()}
    found_rates, found_losses = [], []

    class Watch(TrainerCallback):
        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            base = {names[id(p)]: group["lr"] for group in optimizer.param_groups for p in group["params"]}
            factors = balance.balancer.factors if balance is not None else {}
            found_rates.append({n: lr * factors.get(".".join(n.split(".")[:4]), 1.0) for n, lr in base.items()})

        def on_log(self, *args: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
            if logs and "loss" in logs:
                found_losses.append(logs["loss"])

    arguments = TrainingArguments(
        output_dir=str(tmp_path), per_device_train_batch_size=4, num_train_epochs=2, learning_rate=1e-3,
        warmup_steps=0.06, lr_scheduler_type="linear", max_grad_norm=1.0, report_to=[], use_cpu=True, logging_steps=1,
        disable_tqdm=True,
        train_sampling_strategy="sequential",
    )  # fmt: skip
    callbacks = [Watch()] if balance is None else [balance, Watch()]
    Trainer(model=model, args=arguments, train_dataset=rows, optimizers=(optimizer, None), callbacks=callbacks).train()
    np.testing.assert_allclose(found_losses, expected["loss"], rtol=2e-4, atol=6e-5)  # published with 4 decimals
    for step, published in enumerate(expected["lr_after_step"]):
        ours = [found_rates[step][name] for name in expected["param_names"]]
        np.testing.assert_allclose(ours, published, rtol=1e-4, atol=1e-12, err_msg=f"step {step}")
    for name in ("roberta.encoder.layer.1.attention.self.query.weight", "classifier.out_proj.weight"):
        final = arrays[f"final/{case}/{name}"]
        np.testing.assert_allclose(dict(model.named_parameters())[name].detach().numpy(), final, rtol=1e-3, atol=1e-4)
