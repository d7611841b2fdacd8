"""Evaluation partly in bfloat16 gives the predictions of float32."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from nlp_tiny import CORPUS, Chain
from torch import Tensor

from replication.text import scoring
from replication.text.batches import collator, read_evaluation_rows
from replication.text.encoders import load_model, load_tokenizer
from replication.text.scoring import Evaluator
from replication.text.screening import MIN_ROWS, screened_logits
from replication.text.tasks import parse_task


def screened(exact: Tensor, quick: Tensor) -> tuple[Tensor, int]:
    """The screened logits, and how many rows were computed exactly."""
    asked: list[int] = []

    def compute(rows: list[int]) -> Tensor:
        asked.extend(rows)
        return exact[rows]

    return screened_logits(quick, compute), len(asked)


@pytest.mark.parametrize("classes", [2, 3, 13])
@pytest.mark.parametrize("error", [0.0, 0.01, 1.0])
def test_predictions_are_those_of_exact_logits(classes: int, error: float) -> None:
    flips = 0
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        exact = torch.randn(1000, classes, generator=generator)
        quick = exact + error * (2 * torch.rand(1000, classes, generator=generator) - 1)
        found, asked = screened(exact, quick)
        assert torch.equal(found.argmax(1), exact.argmax(1))
        assert asked < 1000 or error == 1.0
        flips += int((quick.argmax(1) != exact.argmax(1)).sum())
    assert (flips > 0) == (error > 0), "quick logits alone give other predictions"


def test_rows_that_are_not_finite_are_computed_exactly() -> None:
    exact = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    quick = exact.clone()
    quick[:5] = torch.nan
    quick[5] = torch.inf
    assert torch.equal(screened(exact, quick)[0], exact)
    assert screened(exact[:3], quick[:3])[1] == 3 < MIN_ROWS


def test_a_pretrained_encoder_predicts_the_same(
    catalog: dict, make_chain: Callable[..., Chain], corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import Trainer, TrainingArguments

    options = {**CORPUS, "splits": {"test": {"rows": 56}, "validation": {"rows": 4}}}
    chain = make_chain(options, corpus, catalog["models"]["minilm"])
    task, rows = parse_task(options), read_evaluation_rows(chain.tokens, chain.data, "test")
    torch.manual_seed(0)
    trainer = Trainer(
        model=load_model(chain.model, task),
        args=TrainingArguments(output_dir=str(chain.results), report_to=[], use_cpu=True),
        data_collator=collator(task, load_tokenizer(chain.model)),
    )
    found: dict[bool, dict[str, float]] = {}
    logits: dict[bool, Tensor] = {}
    for screens in (False, True):
        monkeypatch.setattr(scoring, "bfloat16_pays", lambda device, answer=screens: answer)
        evaluate = Evaluator(trainer, task)
        found[screens] = evaluate(rows)
        logits[screens] = evaluate.logits(rows)
    assert not torch.equal(logits[False], logits[True]), "some rows were computed in bfloat16"
    assert torch.equal(logits[False].argmax(1), logits[True].argmax(1))
    assert found[True]["accuracy"] == found[False]["accuracy"]
    assert found[True]["loss"] == pytest.approx(found[False]["loss"], rel=1e-2)
