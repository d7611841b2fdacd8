"""TempBalance in the transformers Trainer."""

from __future__ import annotations

import math
from typing import Any, Literal

from transformers import TrainerCallback, TrainerControl, TrainerState
from transformers.trainer_callback import ExportableState

from tempbalance.balance import TempBalance, updates_every


def _released_interval(accumulation: int, max_steps: int, epochs: float) -> int:
    """Updates between measurements in the released NLP code."""
    if accumulation > 1:
        return min(100, max(1, max_steps // 20))
    return updates_every(math.ceil(max_steps / max(epochs, 1)))


class TempBalanceCallback(TrainerCallback, ExportableState):
    """Balances the Trainer's own optimizer: ``Trainer(..., callbacks=[TempBalanceCallback(s_min=1, s_max=1)])``.

    The optimizer's groups are split only inside ``optimizer.step()``, so the Trainer's scheduler, logs (which show
    the unbalanced rate) and checkpoints are as without it. The checkpoints include the balancer's state, and
    ``trainer.train(resume_from_checkpoint=...)`` continues bit for bit.

    Args:
        every: updates between measurements. ``auto``: as many as in the released code
            (:func:`tempbalance.balance.updates_every`; with gradient accumulation, about 20 measurements in all). None:
            measure only at the start.
        options: options of :class:`tempbalance.TempBalance`; plain numbers and strings, because checkpoints store them.
    """

    def __init__(self, *, every: int | Literal["auto"] | None = "auto", **options: Any) -> None:
        self.every = every
        self.options = options
        self.balancer: TempBalance | None = None

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        optimizer = kwargs["optimizer"]
        if type(optimizer).__name__ == "AcceleratedOptimizer":
            optimizer = optimizer.optimizer
        every = self.every
        if every == "auto":
            every = _released_interval(args.gradient_accumulation_steps, state.max_steps, state.num_train_epochs)
        if self.balancer is not None:
            self.balancer.detach()
        self.balancer = TempBalance(kwargs["model"], optimizer, every=every, groups="per_step", **self.options)
        stored: Any = state.stateful_callbacks  # a dict after loading, despite its annotation
        if state.global_step > 0 and isinstance(stored, dict) and type(self).__name__ in stored:
            self.balancer.load_state_dict(stored[type(self).__name__]["attributes"]["saved"])

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self.balancer is not None:
            self.balancer.step()

    def state(self) -> dict[str, Any]:
        """State for the Trainer's checkpoints."""
        saved = None if self.balancer is None else self.balancer.state_dict()
        return {"args": {"every": self.every, **self.options}, "attributes": {"saved": saved}}
