"""Model outputs -> predictions -> metrics, for each kind of task."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import Trainer

from replication.text.batches import TokenRows
from replication.text.metrics import score
from replication.text.screening import bfloat16_pays, screened_logits
from replication.text.spans import answers_from_logits, squad_scores
from replication.text.tasks import Task

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class Evaluator:
    """Metrics of the Trainer's model on rows sorted by length, without gradients.

    Where the processor multiplies bfloat16 faster, a classifier's clear rows are computed so, with the predictions and
    scores of float32 (:mod:`replication.text.screening`); the loss differs in the fourth digit.

    Args:
        trainer: holds the model, the collator and the batch size.
        task: decides predictions and metrics.
        choice_tokens: token numbers of A, B, C, ... (multiple choice by a causal model).
    """

    def __init__(self, trainer: Trainer, task: Task, choice_tokens: Sequence[int] = ()) -> None:
        self.trainer = trainer
        self.task = task
        self.choice_tokens = list(choice_tokens)
        full_precision = not (trainer.args.bf16 or trainer.args.fp16)
        self.screens = task.kind == "classification" and full_precision and bfloat16_pays(trainer.args.device.type)

    def __call__(self, rows: TokenRows) -> dict[str, float]:
        """Metrics of the present weights; the loss beside them where it follows from the classes' logits."""
        if self.task.kind != "spans":
            return self._score(self.logits(rows), rows)
        starts, ends = zip(*(out.numpy() for out in self._outputs(self.trainer.model, rows)), strict=True)
        answers = answers_from_logits(
            starts, ends, rows.metadata["row"], rows.metadata["offsets"], rows.references["context"]
        )
        scores = squad_scores(answers, rows.references["answers"])
        return {name: scores[name] for name in self.task.metrics}

    def logits(self, rows: TokenRows) -> Tensor:
        """[rows, classes or choices] float32, on the processor; for regression [rows, 1]."""
        model: Any = self.trainer.model
        if not self.screens:
            return torch.stack(self._outputs(model, rows))
        quick = torch.stack(self._outputs(copy.deepcopy(model).bfloat16(), rows))
        return screened_logits(quick, lambda numbers: self._again([rows[number] for number in numbers]))

    @torch.inference_mode()
    def _outputs(self, model: Any, rows: TokenRows) -> list[Tensor]:
        model.eval()
        # The Trainer's own loader: it draws from torch's generator, on which later dropout depends.
        return [out.cpu() for batch in self.trainer.get_test_dataloader(rows) for out in self._output(model, batch)]

    @torch.inference_mode()
    def _again(self, rows: list[Any]) -> Tensor:
        """The exact logits of a few rows."""
        size = self.trainer.args.eval_batch_size
        model: Any = self.trainer.model
        model.eval()
        parts = [rows[start : start + size] for start in range(0, len(rows), size)]
        return torch.cat([self._output(model, self.trainer.data_collator(part)) for part in parts])

    def _output(self, model: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """One row for each of the batch: logits of classes or choices; of spans [2, tokens], starts and ends."""
        with self.trainer.accelerator.autocast():
            output = model(**{name: batch[name] for name in _INPUTS if name in batch})
        if self.task.kind == "spans":
            return torch.stack([output.start_logits, output.end_logits], dim=1).float()
        if self.task.kind == "multiple_choice_lm":
            answers = (batch["labels"] != -100).int().argmax(dim=1)  # the logits before the answer predict it
            picked = output.logits[torch.arange(len(answers), device=answers.device), answers - 1]
            return picked[:, self.choice_tokens].float()
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
