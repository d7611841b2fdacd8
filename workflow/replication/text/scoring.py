"""Model outputs -> predictions -> metrics, for each kind of task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import Trainer

from replication.text.batches import TokenRows
from replication.text.metrics import score
from replication.text.spans import answers_from_logits, squad_scores
from replication.text.tasks import Task


class LetterLogits:
    """Keeps, of a causal model's logits, those of the answer letters at the answer's place.

    Args:
        letters: token numbers of A, B, C, ...
    """

    def __init__(self, letters: Sequence[int]) -> None:
        self.letters = torch.tensor(letters)

    def __call__(self, logits: Any, labels: torch.Tensor) -> torch.Tensor:
        """[batch, tokens, vocabulary] and labels [batch, tokens] -> [batch, letters]."""
        if isinstance(logits, tuple):
            logits = logits[0]
        answer = (labels != -100).int().argmax(dim=1)  # the logits before it predict it
        picked = logits[torch.arange(len(logits), device=logits.device), answer - 1]
        return picked[:, self.letters.to(logits.device)]


def evaluate(trainer: Trainer, rows: TokenRows, task: Task) -> dict[str, float]:
    """Loss and the task's metrics of the trainer's model on the given rows."""
    output = trainer.predict(rows, metric_key_prefix="eval")
    predictions: Any = output.predictions  # an array or, for models with several outputs, a tuple of them
    if task.kind == "spans":
        predicted_texts = answers_from_logits(
            predictions[0], predictions[1], rows.aside["row"], rows.aside["offsets"],
            rows.references["context"],
        )  # fmt: skip
        scores = squad_scores(predicted_texts, rows.references["answers"])
        return {name: scores[name] for name in task.metrics}
    logits = predictions[0] if isinstance(predictions, tuple) else predictions
    loss = {"loss": float(output.metrics["eval_loss"])} if output.metrics and "eval_loss" in output.metrics else {}
    if task.kind == "regression":
        predicted, true = np.squeeze(logits, -1), np.asarray(output.label_ids)
    elif task.kind == "letters":
        allowed = np.arange(logits.shape[1])[None, :] < np.asarray(rows.aside["n_choices"])[:, None]
        predicted, true = np.where(allowed, logits, -np.inf).argmax(-1), np.asarray(rows.aside["answer"])
    else:
        predicted, true = logits.argmax(-1), np.asarray(output.label_ids)
    return score(task.metrics, predicted, true, rows.aside) | loss
