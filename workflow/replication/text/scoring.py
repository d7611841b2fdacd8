"""Metrics of each kind of task, from the outputs of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset
from transformers import Trainer

from replication.text.batches import Row, TokenRows
from replication.text.metrics import score
from replication.text.spans import answers_from_logits, squad_scores
from replication.text.tasks import Task

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


@dataclass(frozen=True)
class _Watched(Dataset[Row]):
    """Rows that record the order in which they are read."""

    rows: TokenRows
    order: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Row:
        self.order.append(index)
        return self.rows[index]


@dataclass(frozen=True)
class Evaluator:
    """Metrics of the Trainer's model. ``choice_tokens`` are those of A, B, ... (multiple choice by a causal model)."""

    trainer: Trainer
    task: Task
    choice_tokens: Sequence[int] = ()

    def __call__(self, rows: TokenRows) -> dict[str, float]:
        """Metrics of the current weights, and the loss for tasks with a class or a value per row."""
        if self.task.kind != "spans":
            return self._score(torch.stack(self.outputs(rows)), rows)
        starts, ends = zip(*(out.numpy() for out in self.outputs(rows)), strict=True)
        answers = answers_from_logits(
            starts, ends, rows.metadata["row"], rows.metadata["offsets"], rows.references["context"]
        )
        scores = squad_scores(answers, rows.references["answers"])
        return {name: scores[name] for name in self.task.metrics}

    @torch.inference_mode()
    def outputs(self, rows: TokenRows) -> list[Tensor]:
        """Logits of each row: ``[classes]``, ``[choices]``, ``[1]`` (regression) or ``[2, tokens]`` (start, end)."""
        model: Any = self.trainer.model
        model.eval()
        # The Trainer's own loader draws from torch's generator, on which later dropout depends. If training groups rows
        # by length, it reorders these too.
        seen = _Watched(rows)
        outputs = [out.cpu() for batch in self.trainer.get_test_dataloader(seen) for out in self._output(model, batch)]
        found = dict(zip(seen.order[-len(rows) :], outputs, strict=True))
        return [found[row] for row in range(len(rows))]

    def _output(self, model: Any, batch: Mapping[str, Tensor]) -> Tensor:
        with self.trainer.accelerator.autocast():
            output = model(**{name: batch[name] for name in _INPUTS if name in batch})
        if self.task.kind == "spans":
            return torch.stack([output.start_logits, output.end_logits], dim=1).float()
        if self.task.kind == "multiple_choice_lm":
            answers = (batch["labels"] != -100).int().argmax(dim=1)  # the logits before the answer predict it
            picked = output.logits[torch.arange(len(answers), device=answers.device), answers - 1]
            return picked[:, list(self.choice_tokens)].float()
        return output.logits.float()

    def _score(self, logits: Tensor, rows: TokenRows) -> dict[str, float]:
        task = self.task
        if task.kind == "multiple_choice_lm":
            numbers = torch.arange(logits.shape[1])[None, :]
            allowed = numbers < torch.tensor(rows.metadata["n_choices"])[:, None]
            predicted = logits.masked_fill(~allowed, -torch.inf).argmax(dim=1).numpy()
            return score(task.metrics, predicted, np.asarray(rows.metadata["answer"]), rows.metadata)
        true = torch.tensor([row["labels"] for row in rows.rows])
        if task.kind == "regression":
            logits = logits.squeeze(-1)
            loss, predicted = functional.mse_loss(logits, true.float()), logits.numpy()
        else:
            loss, predicted = functional.cross_entropy(logits, true), logits.argmax(dim=1).numpy()
        return score(task.metrics, predicted, true.numpy(), rows.metadata) | {"loss": float(loss)}
