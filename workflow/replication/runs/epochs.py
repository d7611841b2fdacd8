"""Choose the epoch on the validation set, and also as the paper does (best epoch on the test set)."""

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
    """The best epoch so far by one metric on one set; ties go to the earliest.

    Attributes:
        epoch: the best epoch, counted from 1; 0 while there is none.
        metrics: all metrics of that epoch.
        weights: its weights, if they are kept.
    """

    metric: str
    higher_is_better: bool
    epoch: int = 0
    metrics: Metrics = field(default_factory=dict)
    weights: dict[str, Tensor] = field(default_factory=dict)

    def offer(self, epoch: int, metrics: Metrics, weights: Callable[[], dict[str, Tensor]] | None = None) -> None:
        """Replace the best epoch if this one is better (NaN never is). ``weights`` copies the model's weights."""
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
        """Restore a checkpoint's state."""
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

    Args:
        selected: best epoch on the validation set, with its weights.
        paper: best epoch on the test set, if it was evaluated during training.
        last_val: metrics of the last epoch on the validation set.
        epochs: number of the last epoch.
        diverged_epoch: epoch at which training diverged, or None. A diverged run is not evaluated on the test set.
        evaluate_test: metrics of the current weights on the test set.
        load_weights: puts weights into the model.
        final_epoch: whether the last epoch's weights are evaluated on the test set if another epoch is chosen.
    """
    test: dict[str, Metrics | None] = {"selected": None, "final": None, "paper": paper.metrics or None}
    if diverged_epoch is None:
        if final_epoch or selected.epoch == epochs:
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
