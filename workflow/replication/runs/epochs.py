"""Choosing the epoch: by the validation set, and beside it the paper's way (best epoch on the test set)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

Metrics = dict[str, float]


@dataclass
class BestEpoch:
    """The best epoch so far by one metric on one set; of equal epochs the earliest.

    Attributes:
        metric: name of the metric that decides.
        higher_is_better: its direction.
        epoch: the best epoch, counted from 1; 0 while there is none.
        metrics: all metrics of that epoch.
        weights: its weights, where they are kept.
    """

    metric: str
    higher_is_better: bool
    epoch: int = 0
    metrics: Metrics = field(default_factory=dict)
    weights: dict[str, Tensor] = field(default_factory=dict)

    def offer(self, epoch: int, metrics: Metrics, weights: Callable[[], dict[str, Tensor]] | None = None) -> None:
        """Take an epoch if it is better. An epoch whose metric is NaN is never taken; ``weights`` makes the copy."""
        sign = 1 if self.higher_is_better else -1
        best = sign * self.metrics[self.metric] if self.epoch else -math.inf
        if sign * metrics[self.metric] > best:
            self.epoch, self.metrics = epoch, metrics
            if weights is not None:
                self.weights = weights()

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {"epoch": self.epoch, "metrics": self.metrics, "weights": self.weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take a checkpoint's state back."""
        self.epoch, self.metrics, self.weights = state["epoch"], state["metrics"], state["weights"]


def outcome(
    selected: BestEpoch,
    paper: BestEpoch,
    last_val: Metrics,
    *,
    epochs: int,
    diverged_epoch: int | None,
    evaluate_test: Callable[[], Metrics],
    load_weights: Callable[[dict[str, Tensor]], None],
    final_epoch: bool = True,
) -> dict[str, Any]:
    """How a run ended, for its record.

    The test set is seen once with the chosen weights and, where wanted, with the final ones.

    Args:
        selected: best epoch on the validation set, with its weights.
        paper: best epoch on the test set; empty where the test set was not looked at during training.
        last_val: metrics of the last epoch on the validation set.
        epochs: number of the last epoch.
        diverged_epoch: where training ended early, or None; the test set is looked at only if it did not.
        evaluate_test: metrics of the present weights on the test set.
        load_weights: puts weights back into the model.
        final_epoch: whether the last epoch's weights are measured too where another epoch is chosen.
    """
    test: dict[str, Metrics | None] = {"selected": None, "final": None, "paper": paper.metrics or None}
    if diverged_epoch is None:
        if selected.epoch == epochs or final_epoch:
            test["final"] = test["selected"] = evaluate_test()
        if selected.epoch != epochs:
            load_weights(selected.weights)
            test["selected"] = evaluate_test()
    return {
        "status": "finished" if diverged_epoch is None else "diverged",
        "diverged_epoch": diverged_epoch,
        "primary": selected.metric,
        "higher_is_better": selected.higher_is_better,
        "metrics": {"val": {"selected": selected.metrics or None, "final": last_val or None}, "test": test},
        "selected_epoch": selected.epoch,
        "paper_epoch": paper.epoch or None,
        "epochs": epochs,
    }
