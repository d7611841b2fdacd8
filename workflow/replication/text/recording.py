"""A Trainer callback for evaluation, the best epoch, spectra and checkpoints."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from replication.runs.epochs import BestEpoch, Metrics, outcome
from replication.runs.rundir import RunDir
from replication.settings.hyper import NlpHyper

STATE = "recorder.json"
BEST = "best.safetensors"


@dataclass(eq=False)
class Recorder(TrainerCallback):
    """Evaluates every epoch, keeps the weights of the best epoch, and writes the run's tables and checkpoints.

    ``primary`` names the metric that chooses the epoch; higher is better. ``evaluate("validation")`` (or ``"test"``)
    returns metrics of the current weights, ``monitor()`` what measures their spectra.
    """

    run: RunDir
    hyper: NlpHyper
    primary: str
    evaluate: Callable[[str], Metrics]
    monitor: Callable[[], Any]
    losses: list[float] = field(default_factory=list, init=False)
    last_val: Metrics = field(default_factory=dict, init=False)
    diverged_epoch: int | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.selected, self.paper = (BestEpoch(self.primary, higher_is_better=True) for _ in range(2))

    # ---- the Trainer's hooks -------------------------------------------------------------------------

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Report the start, and record the initial spectra, which a resumed run already has."""
        self.run.heartbeat(round(state.epoch or 0), self.hyper.epochs)
        if state.global_step == 0:
            self._record_spectra(0, 0)

    def on_log(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Collect the loss of each step; stop if it is not finite."""
        loss = (kwargs.get("logs") or {}).get("loss")
        if loss is not None:
            self.losses.append(loss)
            if not math.isfinite(loss) and self.diverged_epoch is None:
                self.diverged_epoch = math.ceil(state.epoch or 1)
                control.should_training_stop = True

    def on_epoch_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Evaluate, record, and request a checkpoint if one is due."""
        epoch = self.diverged_epoch or round(state.epoch or 0)
        train_loss = sum(self.losses) / max(1, len(self.losses))
        self.losses = []
        row = {"epoch": epoch, "step": state.global_step, "train_loss": train_loss}
        if self.diverged_epoch is not None:
            self.run.history(**row)
            return
        self.last_val = self.evaluate("validation")
        row |= {f"val_{name}": value for name, value in self.last_val.items()}
        self.selected.offer(epoch, self.last_val, lambda: _trained_weights(kwargs["model"]))
        if self.hyper.evaluate_test_every and epoch % self.hyper.evaluate_test_every == 0:
            test = self.evaluate("test")
            row |= {f"test_{name}": value for name, value in test.items()}
            self.paper.offer(epoch, test)
        self._record_spectra(epoch, state.global_step)
        self.run.history(**row)
        shown = {"loss": train_loss, f"val_{self.primary}": self.last_val[self.primary]}
        self.run.heartbeat(epoch, self.hyper.epochs, **shown)
        control.should_save = epoch < self.hyper.epochs and self.run.checkpoint_due(self.hyper.checkpoint_every_s)

    def _record_spectra(self, epoch: int, step: int) -> None:
        self.run.spectra([{"epoch": epoch, "step": step, **row} for row in self.monitor().rows()])

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Move the Trainer's checkpoint into the run's checkpoints, and add this callback's state."""
        written = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"

        def write(folder: Path) -> None:
            for path in written.iterdir():
                # The arguments are a pickle, which nothing reads.
                if path.name != "training_args.bin":
                    shutil.move(path, folder / path.name)
            selected, paper = self.selected.state_dict(), self.paper.state_dict()
            save_file(selected.pop("weights"), folder / BEST)
            kept = {"selected": selected, "paper": paper, "last_val": self.last_val}
            (folder / STATE).write_text(json.dumps(kept))

        try:
            self.run.checkpoint(state.global_step, write)
        finally:
            shutil.rmtree(written, ignore_errors=True)

    # ---- resuming and the end ------------------------------------------------------------------------

    def load(self, folder: Path) -> None:
        """Restore the state from a checkpoint."""
        kept = json.loads((folder / STATE).read_text())
        self.selected.load_state_dict({**kept["selected"], "weights": load_file(folder / BEST)})
        self.paper.load_state_dict(kept["paper"])
        self.last_val = kept["last_val"]

    def finish(self, model: torch.nn.Module, n_train: int) -> None:
        """Evaluate on the test set and write the record."""
        eigenvalues = self.monitor().initial_eigenvalues()  # a checkpoint has them in another order
        initial = {name: np.asarray(eigenvalues[name], np.float32) for name in sorted(eigenvalues)}
        final_weights = {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
        ended = outcome(
            self.selected,
            self.paper,
            self.last_val,
            epochs=self.hyper.epochs,
            diverged_epoch=self.diverged_epoch,
            evaluate_test=lambda: self.evaluate("test"),
            load_weights=lambda trained: model.load_state_dict({**model.state_dict(), **trained}),  # strict
            final_epoch=self.hyper.test_final_epoch,
        )
        counts = {
            "n_train": n_train,
            "n_parameters": sum(p.numel() for p in model.parameters()),
            "n_trained_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        }
        self.run.finish({**ended, **counts}, model=final_weights, initial_eigenvalues=initial)


def _trained_weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A copy on the CPU."""
    return {name: p.detach().cpu().clone() for name, p in model.named_parameters() if p.requires_grad}
