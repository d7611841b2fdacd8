"""Train a neural operator, with one loop for the baseline and TempBalance."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, StepLR

from replication.operators.examples import example_labels, examples
from replication.operators.models import build_model, load_weights
from replication.operators.optim import build_optimizer
from replication.operators.rollout import LOSSES, Fields, Scale, evaluate, read_fields, rollout, with_noise
from replication.runs.epochs import BestEpoch, outcome
from replication.runs.rundir import RunDir
from replication.runs.spectra import spectra_options
from replication.runs.subset import check_rows
from replication.runs.tracking import tensorboard
from replication.settings.hyper import OperatorHyper, parse_hyper, resolve
from replication.settings.spec import RunSpec
from replication.simulation.data import PDEFile, split
from tempbalance.balance import Diagnostics, TempBalance

PRIMARY = "nrmse"
#: Parts of the state that have a state dict.
PARTS = ("model", "optimizer", "scheduler", "monitor", "selected", "paper")


@dataclass
class State:
    """Everything that changes during training; a checkpoint stores it."""

    model: nn.Module
    optimizer: Optimizer
    scheduler: LRScheduler
    monitor: TempBalance | Diagnostics
    shuffler: torch.Generator
    selected: BestEpoch = field(default_factory=partial(BestEpoch, PRIMARY, higher_is_better=False))
    paper: BestEpoch = field(default_factory=partial(BestEpoch, PRIMARY, higher_is_better=False))
    last_val: dict[str, float] = field(default_factory=dict)
    epoch: int = 0

    def save(self, folder: Path) -> None:
        """Write the state into a folder."""
        values: dict[str, Any] = {name: getattr(self, name).state_dict() for name in PARTS}
        values |= {"shuffler": self.shuffler.get_state(), "rng": torch.get_rng_state()}
        torch.save({**values, "last_val": self.last_val, "epoch": self.epoch}, folder / "state.pt")

    def load(self, folder: Path) -> None:
        """Restore the state from a folder."""
        values = torch.load(folder / "state.pt", weights_only=True, map_location="cpu")
        for name in PARTS:
            getattr(self, name).load_state_dict(values[name])
        self.shuffler.set_state(values["shuffler"])
        torch.set_rng_state(values["rng"])
        self.last_val, self.epoch = values["last_val"], values["epoch"]


def train_epoch(
    model: nn.Module,
    optimizer: Optimizer,
    fields: Fields,
    batches: Sequence[Tensor],
    unroll: int = 0,
    loss_name: str = "mse",
    noise: float = 0.0,
) -> float:
    """Train for one epoch on batches, given by the indices of their samples; returns the sum of their losses.

    ``loss_name`` is a key of :data:`replication.operators.rollout.LOSSES`. For ``unroll`` and ``noise`` see ``rollout``
    and ``with_noise`` there.
    """
    model.train()
    total = 0.0
    for batch in batches:
        inputs, target = with_noise(fields.inputs[batch], noise), fields.target[batch]
        loss = LOSSES[loss_name](rollout(model, inputs, fields.grid, target.shape[-2], unroll), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total


def _set_numerics(seed: int, device: str, precision: str) -> None:
    """Set the process-wide seed, determinism and precision of matrix products."""
    torch.manual_seed(seed)
    if device.startswith("cuda"):
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS is not deterministic
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.backends.cudnn.benchmark = False
        # By default, torch allows TF32 in convolutions.
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    else:
        # Small operators are faster on one thread than on two, and results do not depend on the number of cores.
        torch.set_num_threads(1)


def train(
    spec: RunSpec, *, data: Path, indices: Sequence[int], run: RunDir, device: str = "cpu", weights: Path | None = None
) -> None:
    """Train an operator on a subset of the training pool, and record the run.

    The order after an epoch is that of the released code: scheduler, exponents, rates, evaluation. The epoch is chosen
    on the validation set, and the test set is evaluated with the chosen and the final weights. With
    ``evaluate_test_every``, the released protocol (best epoch on the test set) is recorded too.

    ``data`` is an HDF5 file in PDEBench's layout, ``indices`` are rows of its training pool. ``weights`` is the state
    dict to start from; None: the model as built from its options.

    Raises ConfigError for options that are not valid, DataError for data that cannot be used.
    """
    hyper = parse_hyper("sciml", spec.hyper)
    with PDEFile(data) as file:
        parts = split(file.rows, spec.dataset_options)
        check_rows(indices, len(parts.train), data)
        rows = parts._replace(train=parts.train[list(indices)])._asdict()
        sets = {name: read_fields(file, row, spec.dataset_options, hyper.initial_steps) for name, row in rows.items()}
        labels = example_labels(file, parts.test, spec.dataset_options)
    scale = Scale.of(sets["train"]) if hyper.standardise else Scale.identity(sets["train"])
    if hyper.standardise:
        sets["train"] = scale.apply(sets["train"])
    sets = {name: fields.to(device) for name, fields in sets.items()}
    scale = scale.to(device)
    _set_numerics(spec.seed, device, hyper.precision)
    state = _start(spec, hyper, _model(spec, hyper, sets["train"], weights).to(device))
    checkpoint = run.resume()
    if run.report_to == "tensorboard":
        run.track = tensorboard(run.events)
    if checkpoint is not None:
        state.load(checkpoint)
    else:
        run.spectra([{"epoch": 0, "step": 0, **row} for row in state.monitor.rows()])
    problem = _epochs(state, hyper, sets, scale, run)
    if problem:
        print(f"{spec.path}  diverged in epoch {state.epoch}: {problem}", file=sys.stderr)
    final = {name: tensor.cpu() for name, tensor in _copy_weights(state.model).items()}
    ended = outcome(
        state.selected,
        state.paper,
        state.last_val,
        epochs=hyper.epochs,
        diverged_epoch=state.epoch if problem else None,
        evaluate_test=partial(evaluate, state.model, sets["test"], scale, hyper.eval_batch_size),
        load_weights=state.model.load_state_dict,
    )
    n_parameters = sum(parameter.numel() for parameter in state.model.parameters())
    run.finish(
        {**ended, "n_train": len(sets["train"]), "n_parameters": n_parameters},
        model=final,
        initial_eigenvalues=state.monitor.initial_eigenvalues(),
        predictions=examples(None if problem else state.model, sets["test"], scale, labels),
    )


def _model(spec: RunSpec, hyper: OperatorHyper, training: Fields, weights: Path | None) -> nn.Module:
    """The operator with its first weights. Reduced precision and compilation do not change parameter names."""
    named = {key: value for key, value in spec.model_options.items() if spec.weights or key != "weights"}
    *_, steps, channels = training.inputs.shape
    model = build_model(named, steps * channels, training.target.shape[-1], training.grid.shape[-1])
    if weights is not None:
        load_weights(model, weights)
    if hyper.precision == "bf16":
        model.forward = torch.autocast(training.grid.device.type, torch.bfloat16)(model.forward)
    if hyper.compile:
        model.compile()
    return model


def _start(spec: RunSpec, hyper: OperatorHyper, model: nn.Module) -> State:
    method = resolve("sciml", spec.method_options, spec.hyper)[0]
    optimizer = build_optimizer(model, hyper)
    if method["optimizer"] == "none":
        optimizer.param_groups[0]["lr"] = 0.0
    reading, balance = spectra_options(spec), method["balance"]
    monitor: TempBalance | Diagnostics
    if balance is None:
        monitor = Diagnostics(model, optimizer, **reading)
    else:
        monitor = TempBalance(model, optimizer, **{**reading, **balance})
    scheduler: LRScheduler
    if hyper.scheduler == "one-cycle" and method["optimizer"] != "none":
        scheduler = OneCycleLR(optimizer, hyper.lr, total_steps=hyper.epochs + 1, cycle_momentum=False)
    else:
        scheduler = StepLR(optimizer, hyper.step_size, hyper.gamma)
    return State(model, optimizer, scheduler, monitor, torch.Generator().manual_seed(spec.seed))


def _epochs(state: State, hyper: OperatorHyper, sets: dict[str, Fields], scale: Scale, run: RunDir) -> str:
    """Train to the end, or until the run diverges; returns what is not finite then, otherwise nothing."""
    training = sets["train"]
    while state.epoch < hyper.epochs:
        order = torch.randperm(len(training), generator=state.shuffler)
        batches = order.split(hyper.batch_size)
        loss = train_epoch(
            state.model, state.optimizer, training, batches, hyper.unroll_frames, hyper.loss, hyper.noise
        )
        state.epoch += 1
        epoch = state.epoch
        if not (math.isfinite(loss) and _weights_are_finite(state.model)):
            run.history(epoch=epoch, train_loss=loss)
            return "a weight is not finite" if math.isfinite(loss) else f"the loss is {loss}"
        state.scheduler.step()
        if isinstance(state.monitor, TempBalance):
            state.monitor.step()
        row: dict[str, Any] = {"epoch": epoch, "train_loss": loss, "lr": state.optimizer.param_groups[0]["lr"]}
        if epoch % hyper.evaluate_every == 0 or epoch == hyper.epochs:
            state.last_val = evaluate(state.model, sets["validation"], scale, hyper.eval_batch_size)
            state.selected.offer(epoch, state.last_val, partial(_copy_weights, state.model))
            row |= {f"val_{name}": value for name, value in state.last_val.items()}
            run.spectra([{"epoch": epoch, "step": epoch, **layer} for layer in state.monitor.rows()])
        if hyper.evaluate_test_every and epoch % hyper.evaluate_test_every == 0:
            metrics = evaluate(state.model, sets["test"], scale, hyper.eval_batch_size)
            state.paper.offer(epoch, metrics)
            row |= {f"test_{name}": value for name, value in metrics.items()}
        run.history(**row)
        run.heartbeat(epoch, hyper.epochs, loss=loss, lr=row["lr"], val_nrmse=state.last_val.get(PRIMARY, math.nan))
        if epoch < hyper.epochs and run.checkpoint_due(hyper.checkpoint_every_s):
            run.checkpoint(epoch, state.save)
    return "" if state.selected.epoch else f"no epoch has a finite {PRIMARY} on the validation set"


def _copy_weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _weights_are_finite(model: nn.Module) -> bool:
    # One sum, so that only one number is copied from the device.
    total = torch.stack([parameter.detach().abs().sum() for parameter in model.parameters()]).sum()
    return math.isfinite(total.item())
