"""What a method adds to full fine-tuning: TempBalance and low-rank adapters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from replication.errors import ConfigError
from replication.text.tasks import Task
from tempbalance.balance import Diagnostics
from tempbalance.integrations import TempBalanceCallback
from tempbalance.spectra import find_layers, get_preset

#: Kind of task -> its name in peft, which decides the head that is trained with the adapters.
_PEFT_TASKS = {
    "classification": "SEQ_CLS",
    "regression": "SEQ_CLS",
    "spans": "QUESTION_ANS",
    "multiple_choice_lm": "CAUSAL_LM",
}


def add_lora(model: nn.Module, options: Mapping[str, Any], task: Task) -> nn.Module:
    """Add LoRA adapters (Hu et al. 2022) with peft; only the adapters and the task's head are trained.

    ``options`` are those of :class:`replication.settings.hyper.Lora`.

    Raises ConfigError for kinds of tasks that peft does not have, and for targets that the model does not have.
    """
    import peft

    if task.kind not in _PEFT_TASKS:
        raise ConfigError(f"method option lora: not available for tasks of kind {task.kind!r}")
    config = peft.LoraConfig(
        task_type=_PEFT_TASKS[task.kind],
        r=options["r"],
        lora_alpha=options["alpha"],
        lora_dropout=options["dropout"],
        target_modules=options["targets"],
    )
    try:
        return peft.get_peft_model(model, config)
    except ValueError as error:
        raise ConfigError(f"method option lora: the adapters do not fit the model ({error})") from None


def _adapted_only(model: nn.Module) -> dict[str, Any]:
    """Options that make a block's exponent the mean over its adapted layers, as released; none without adapters."""
    preset = get_preset("nlp")
    layers = find_layers(model, preset)
    adapted = [layer.name for layer in layers if layer.adapters]
    if not adapted:
        return {}
    # A name excludes all layers whose names contain it.
    frozen = [layer.name for layer in layers if not any(layer.name in name for name in adapted)]
    return {"exclude": (*preset.exclude, *frozen)}


class Balancing:
    """TempBalance through the Trainer's callback, or only its measurements if ``options`` is None."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, options: Mapping[str, Any] | None) -> None:
        #: Callbacks for the Trainer.
        self.callbacks: list[TempBalanceCallback] = []
        if options is None:
            # Measured before a checkpoint is loaded, so that a resumed run has the initial spectra too.
            self._diagnostics = Diagnostics(model, optimizer, preset="nlp")
            self._diagnostics.measure()
        else:
            self.callbacks = [TempBalanceCallback(**options, **_adapted_only(model))]

    @property
    def _source(self) -> Any:
        return self.callbacks[0].balancer if self.callbacks else self._diagnostics

    def spectra(self, epoch: int, step: int) -> list[dict[str, Any]]:
        """Rows of ``spectra.csv``: epoch, step, layer, block, alpha, lr. Available when training has begun."""
        return [{"epoch": epoch, "step": step, **row} for row in self._source.rows()]

    def eigenvalues(self) -> dict[str, Any]:
        """Layer -> eigenvalues before training. Available when training has begun."""
        # A checkpoint has them in another order.
        found = self._source.initial_eigenvalues()
        return {name: np.asarray(found[name], np.float32) for name in sorted(found)}
