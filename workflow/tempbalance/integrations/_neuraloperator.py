"""TempBalance in neuraloperator's Trainer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tempbalance.balance import TempBalance

STATE_FILE = "tempbalance_state.json"


def balance_trainer(trainer: Any, balancer: TempBalance) -> Any:
    """Balance at the start of every epoch of a ``neuralop.Trainer`` except the first; returns the trainer.

    Build the balancer on the model and the optimizer that are passed to ``trainer.train``, before the scheduler. The
    Trainer's checkpoints then include the balancer's state, and resuming from them restores it.

    Args:
        trainer: a ``neuralop.Trainer``.
        balancer: a ``TempBalance(model, optimizer, preset="sciml")``.
    """
    start, save, resume = trainer.on_epoch_start, trainer.checkpoint, trainer.resume_state_from_dir

    def on_epoch_start(epoch: int) -> None:
        # The Trainer steps its scheduler at the end of an epoch, so balancing comes next.
        if epoch > 0:
            balancer.step()
        start(epoch)

    def checkpoint(save_dir: Any) -> None:
        save(save_dir)
        (Path(save_dir) / STATE_FILE).write_text(json.dumps(balancer.state_dict()))

    def resume_state_from_dir(save_dir: Any) -> None:
        resume(save_dir)
        balancer.load_state_dict(json.loads((Path(save_dir) / STATE_FILE).read_text()))

    trainer.on_epoch_start = on_epoch_start
    trainer.checkpoint = checkpoint
    trainer.resume_state_from_dir = resume_state_from_dir
    return trainer
