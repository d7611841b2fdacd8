"""The nine oracle runs: all rates, exponents, losses and errors, by epoch or step."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from trajectories import fno, load, nrmse, roberta, train_loss

from tempbalance import TempBalance
from tempbalance.balance import Diagnostics


@pytest.fixture(scope="module")
def sciml(shared_dir):
    return load(shared_dir, "sciml")


@pytest.fixture(scope="module")
def nlp(shared_dir):
    return load(shared_dir, "nlp")


@pytest.mark.parametrize("index", range(6))
def test_sciml_run(sciml, index):
    runs, arrays = sciml
    run = runs[index]
    model, data = fno(run, arrays)
    optimizer = torch.optim.Adam(model.parameters(), lr=run["lr"], weight_decay=1e-4)
    options = {"preset": "sciml", "conv1d": "released"}
    if run["tb"]:
        balancer = TempBalance(model, optimizer, s_min=run["s_min"], s_max=run["s_max"], **options)
    else:
        balancer = Diagnostics(model, optimizer, **options)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)

    def compare(expected: dict) -> None:
        rows = {row["layer"]: row for row in balancer.rows()}
        assert np.isnan(rows["fc2"]["alpha"])  # dropped: 4 eigenvalues or fewer
        kept = [rows[layer] for layer in run["layers"]]
        np.testing.assert_allclose([row["alpha"] for row in kept], expected["alpha"], rtol=1e-4)
        rates = expected["lr"] if run["tb"] else expected["lr"] * (len(kept) + 1)
        np.testing.assert_allclose([*(row["lr"] for row in kept), rows["fc2"]["lr"]], rates, rtol=1e-4)
        spectral = id(model.conv0.weights1)  # not measured, so at the base rate
        lr = next(g["lr"] for g in optimizer.param_groups if any(id(p) == spectral for p in g["params"]))
        assert lr == pytest.approx(rates[-1])

    compare(run["init"])
    for epoch in run["epochs"]:
        total = 0.0
        for start in (4, 8):
            optimizer.zero_grad()
            loss = train_loss(model, data[start : start + 4])
            loss.backward()
            optimizer.step()
            total += loss.item()
        scheduler.step()
        if run["tb"]:
            balancer.step()
        compare(epoch)
        assert total == pytest.approx(epoch["train_loss"], rel=1e-4)
        assert nrmse(model, data[:4]) == pytest.approx(epoch["val"]["nrmse"], rel=1e-4)


@pytest.mark.parametrize("index", range(3))
def test_nlp_run(nlp, index):
    from transformers import get_linear_schedule_with_warmup

    runs, arrays = nlp
    run = runs[index]
    model = roberta(arrays)
    parameters = dict(model.named_parameters())
    decays = set(run["decay"])
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for n, p in parameters.items() if n in decays], "weight_decay": 0.1},
            {"params": [p for n, p in parameters.items() if n not in decays], "weight_decay": 0.0},
        ],
        lr=1e-3,
    )
    if run["use_tb"]:
        balancer = TempBalance(model, optimizer, preset="nlp", s_min=run["s_min"], s_max=run["s_max"])
    else:
        balancer = Diagnostics(model, optimizer, preset="nlp")
    scheduler = get_linear_schedule_with_warmup(optimizer, 1, 12)
    ids, labels = torch.tensor(arrays["input_ids"]), torch.tensor(arrays["labels"])
    for step in range(12):
        update = run["alphas"].get(f"metrics_update_{step}.npy")
        found = {row["layer"]: row["alpha"] for row in balancer.rows() if not np.isnan(row["alpha"])}
        assert found == pytest.approx(update, rel=1e-4)
        rows = slice(step % 6 * 4, step % 6 * 4 + 4)
        loss = model(input_ids=ids[rows], labels=labels[rows]).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        if run["use_tb"]:
            balancer.step()
        assert loss.item() == pytest.approx(run["loss"][step], abs=2e-4)
        rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
        found_rates = [rates[id(parameters[name])] for name in run["param_names"]]
        np.testing.assert_allclose(found_rates, run["lr_after_step"][step], rtol=1e-5, atol=1e-12)
    decaying = {id(p) for group in optimizer.param_groups if group["weight_decay"] for p in group["params"]}
    assert {name for name, p in parameters.items() if id(p) in decaying} == decays
    for name, expected in arrays.items():
        if name.startswith(f"final/{index}/"):
            np.testing.assert_allclose(parameters[name.split("/")[2]].detach(), expected, atol=2e-4)


# ---- the same through the transformers Trainer ------------------------------------------------------------


def trainer_run(run: dict, arrays: dict, folder, *, resume=None, callback=None):
    """Rates after each step, losses and the model, from the Trainer with our callback."""
    from transformers import Trainer, TrainerCallback, TrainingArguments

    from tempbalance.integrations import TempBalanceCallback

    class Rows(torch.utils.data.Dataset):
        def __len__(self):
            return 24

        def __getitem__(self, i):
            return {"input_ids": torch.tensor(arrays["input_ids"][i]), "labels": torch.tensor(arrays["labels"][i])}

    class InOrder(Trainer):
        def _get_train_sampler(self, *_):
            return torch.utils.data.SequentialSampler(self.train_dataset)

    class Recorder(TrainerCallback):
        rates: list

        def on_step_end(self, args, state, control, **kwargs):
            self.rates.append(callback.balancer.rates())

    callback = callback or TempBalanceCallback(s_min=run["s_min"], s_max=run["s_max"], every=1)
    recorder = Recorder()
    recorder.rates = []
    arguments = TrainingArguments(
        str(folder), per_device_train_batch_size=4, num_train_epochs=2, learning_rate=1e-3, weight_decay=0.1,
        warmup_steps=1, logging_steps=1, save_steps=5, report_to=[], use_cpu=True, disable_tqdm=True,
    )  # fmt: skip
    trainer = InOrder(roberta(arrays), arguments, train_dataset=Rows(), callbacks=[callback, recorder])
    trainer.train(resume_from_checkpoint=resume)
    return recorder.rates, [entry["loss"] for entry in trainer.state.log_history if "loss" in entry], trainer, callback


@pytest.mark.parametrize("index", [1, 2])
def test_trainer_callback(nlp, index, tmp_path):
    runs, arrays = nlp
    run = runs[index]
    rates, losses, trainer, callback = trainer_run(run, arrays, tmp_path)
    for found, expected in zip(rates, run["lr_after_step"], strict=True):
        np.testing.assert_allclose([found[n] for n in run["param_names"]], expected, rtol=1e-5, atol=1e-12)
    np.testing.assert_allclose(losses, run["loss"], atol=2e-4)
    assert len(trainer.optimizer.param_groups) == 2  # the Trainer's groups are merged between steps
    first = callback.balancer.initial_eigenvalues()

    # Resuming from the checkpoint of step 5 is bit for bit the same.
    again, _, other, resumed = trainer_run(run, arrays, tmp_path, resume=str(tmp_path / "checkpoint-5"))
    assert again == rates[5:]
    for a, b in zip(trainer.model.parameters(), other.model.parameters(), strict=True):
        assert torch.equal(a, b)
    for name, values in resumed.balancer.initial_eigenvalues().items():
        np.testing.assert_array_equal(values, first[name])


def test_resuming_between_measurements(nlp, tmp_path):
    """Exponents are measured every third step: the checkpoint of step 5 must include those of step 3."""
    from tempbalance.integrations import TempBalanceCallback

    runs, arrays = nlp
    rates, _, trainer, _ = trainer_run(runs[1], arrays, tmp_path, callback=TempBalanceCallback(every=3))
    again, _, other, _ = trainer_run(
        runs[1], arrays, tmp_path, callback=TempBalanceCallback(every=3), resume=str(tmp_path / "checkpoint-5")
    )
    assert again == rates[5:]
    for a, b in zip(trainer.model.parameters(), other.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_training_twice_with_one_callback(nlp, tmp_path):
    runs, arrays = nlp
    _, _, trainer, callback = trainer_run(runs[1], arrays, tmp_path)
    before = callback.balancer
    trainer.train()
    assert callback.balancer is not before
    assert len(trainer.optimizer.optimizer._optimizer_step_pre_hooks) == 1  # the old balancer was detached


def test_released_measuring_interval():
    from tempbalance.balance import updates_every

    assert [updates_every(n) for n in (1, 9, 19, 20, 999, 1000, 50000)] == [1, 1, 1, 2, 99, 100, 100]


@pytest.mark.parametrize(("accumulation", "expected"), [(1, 1), (8, 2)])
def test_released_interval_with_gradient_accumulation(accumulation, expected, monkeypatch):
    """ScienceQA at 1 %: 50 epochs of one update each."""
    from types import SimpleNamespace

    from tempbalance.integrations import _transformers

    found = []
    monkeypatch.setattr(_transformers, "TempBalance", lambda *args, every, **options: found.append(every))
    state = SimpleNamespace(max_steps=50, num_train_epochs=50, global_step=0, stateful_callbacks={})
    arguments = SimpleNamespace(gradient_accumulation_steps=accumulation)
    _transformers.TempBalanceCallback().on_train_begin(arguments, state, None, model=None, optimizer=None)
    assert found == [expected]
