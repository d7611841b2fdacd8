"""Fine-tuning: determinism, resuming, selection, divergence."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from nlp_tiny import FT, TB, Chain

from replication.errors import ConfigError, DataError
from replication.runs.checkpoint import sha256
from replication.runs.rundir import RunDir
from replication.text.batches import collator, read_evaluation_rows
from replication.text.encoders import load_model, load_tokenizer
from replication.text.recording import Recorder
from replication.text.scoring import Evaluator
from replication.text.tasks import parse_task
from replication.text.training import finetune

METHODS = pytest.mark.parametrize("method", [FT, TB], ids=["ft", "tb"])


def history(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open() as file:
        return list(csv.DictReader(file))


@METHODS
def test_same_seed_gives_same_bytes(chain: Chain, method: dict, tmp_path: Path) -> None:
    one, first = chain.run(method, results=tmp_path / "a")
    two, second = chain.run(method, results=tmp_path / "b")
    assert one["metrics"] == two["metrics"]
    for name in ("model.safetensors", "history.csv", "spectra.csv", "eigenvalues.npz"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_a_corpus_that_can_be_learned_is_learned(chain: Chain) -> None:
    record, _ = chain.run(FT, indices=range(80), epochs=8, lr=3e-3)
    assert record["metrics"]["val"]["selected"]["accuracy"] >= 0.9
    assert record["metrics"]["test"]["selected"]["accuracy"] >= 0.85


@pytest.mark.parametrize("sampling", ["random", "group_by_length"])
def test_evaluation_predicts_what_the_trainer_predicts(chain: Chain, sampling: str, tmp_path: Path) -> None:
    from transformers import Trainer, TrainingArguments

    task, rows = parse_task(chain.options), read_evaluation_rows(chain.tokens, chain.data, "test")

    def trainer(**arguments: object) -> Trainer:
        torch.manual_seed(0)
        return Trainer(
            model=load_model(chain.model, task),
            args=TrainingArguments(
                output_dir=str(tmp_path), report_to=[], use_cpu=True, per_device_eval_batch_size=8, **arguments
            ),
            data_collator=collator(task, load_tokenizer(chain.model)),
        )

    expected = trainer(disable_tqdm=True).predict(rows)
    evaluate = Evaluator(trainer(train_sampling_strategy=sampling), task)
    logits = torch.stack(evaluate.outputs(rows)).numpy()
    np.testing.assert_allclose(logits, expected.predictions, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(logits.argmax(1), expected.predictions.argmax(1))
    assert evaluate(rows)["loss"] == pytest.approx(expected.metrics["test_loss"], rel=1e-5)


class KilledError(Exception):
    pass


@METHODS
def test_resumed_run_gives_the_bytes_of_an_uninterrupted_one(
    chain: Chain, method: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"epochs": 4, "checkpoint_every_s": 0, "lr": 3e-3}
    whole, whole_folder = chain.run(method, results=tmp_path / "whole", **settings)
    spec = chain.spec(method, **settings)
    after_epoch = Recorder.on_epoch_end

    def die_in_epoch_3(self: Recorder, args, state, control, **kwargs) -> None:
        if round(state.epoch) == 3:
            raise KilledError
        after_epoch(self, args, state, control, **kwargs)

    arguments = {"data": chain.data, "tokens": chain.tokens, "indices": list(range(32)), "device": "cpu"}
    with monkeypatch.context() as patch, RunDir.open(spec, tmp_path / "cut", inputs={}) as run:
        patch.setattr(Recorder, "on_epoch_end", die_in_epoch_3)
        with pytest.raises(KilledError):
            finetune(spec, run=run, **arguments)
    with RunDir.open(spec, tmp_path / "cut", inputs={}) as run:
        assert run.checkpoints.latest() is not None
        finetune(spec, run=run, **arguments)
        run.publish()
        again = json.loads((run.folder / "metrics.json").read_text())
        assert again["metrics"] == whole["metrics"]
        assert again["selected_epoch"] == whole["selected_epoch"]
        for name in ("model.safetensors", "history.csv", "spectra.csv", "eigenvalues.npz"):
            assert (run.folder / name).read_bytes() == (whole_folder / name).read_bytes(), name


def test_best_epoch_on_validation_is_selected_and_the_test_set_is_not_used(chain: Chain) -> None:
    record, folder = chain.run(FT, epochs=3, lr=5e-3)
    values = [float(row["val_accuracy"]) for row in history(folder)]
    assert record["selected_epoch"] == values.index(max(values)) + 1
    assert record["metrics"]["val"]["selected"]["accuracy"] == max(values)
    assert record["metrics"]["test"]["paper"] is None
    assert not any(column.startswith("test") for column in history(folder)[0])


def test_released_protocol_selects_the_best_epoch_on_the_test_set(chain: Chain) -> None:
    record, folder = chain.run(FT, epochs=3, lr=5e-3, evaluate_test_every=1)
    values = [float(row["test_accuracy"]) for row in history(folder)]
    assert record["metrics"]["test"]["paper"]["accuracy"] == max(values)
    assert record["paper_epoch"] == values.index(max(values)) + 1
    assert record["metrics"]["test"]["final"]["accuracy"] == values[-1]


def test_the_final_epochs_test_score_can_be_left_out(chain: Chain) -> None:
    full, _ = chain.run(FT, epochs=3, lr=5e-3)
    spared, _ = chain.run(FT, epochs=3, lr=5e-3, test_final_epoch=False)
    assert spared["metrics"]["test"]["selected"] == full["metrics"]["test"]["selected"]
    assert full["metrics"]["test"]["final"] is not None
    chosen_is_final = spared["selected_epoch"] == 3
    assert spared["metrics"]["test"]["final"] == (full["metrics"]["test"]["final"] if chosen_is_final else None)


@METHODS
def test_a_loss_that_is_not_finite_is_recorded_as_diverged(chain: Chain, method: dict) -> None:
    record, folder = chain.run(method, lr=1e30, max_grad_norm=0.0, warmup_ratio=0.0)
    assert record["status"] == "diverged"
    assert record["diverged_epoch"] == len(history(folder))
    assert record["metrics"]["test"]["selected"] is None


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("learning_rate", 1e-3, "unknown key 'learning_rate'"),
        ("epochs", "ten", "expected a whole number"),
        ("lr", -1.0, "expected more than 0"),
        ("precision", "fp8", "expected one of fp32"),
    ],
)
def test_wrong_hyper_parameters_are_named(chain: Chain, key: str, value: object, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        chain.run(FT, **{key: value})


def test_a_subset_of_other_data_is_refused(chain: Chain) -> None:
    with pytest.raises(DataError, match="names row 900, the training pool has 84 rows; make the subset again"):
        chain.run(FT, indices=[0, 900])


def test_damaged_token_cache_is_refused(chain: Chain) -> None:
    path = chain.tokens / "validation.parquet"
    whole = path.read_bytes()
    try:
        path.write_bytes(whole[:-10])
        with pytest.raises(DataError, match="does not match its checksum"):
            chain.run(FT)
    finally:
        path.write_bytes(whole)
    assert sha256(path)
