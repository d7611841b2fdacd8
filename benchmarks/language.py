"""What evaluating a fine-tuned encoder costs, against the rows in a batch and by attention

    python benchmarks/language.py [--quick]

The encoder has MiniLM's shape (6 layers, width 384) and random weights; rows have 10 to 40 tokens, as the demo's
have. One thread; the reference of each batch size is eager attention.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from timing import Row, show, take_turns
from timing import rows as rows_of
from transformers import AutoConfig, AutoModelForSequenceClassification, Trainer, TrainingArguments

from replication.text.batches import TokenRows, collator
from replication.text.encoders import byte_tokenizer
from replication.text.scoring import Evaluator
from replication.text.tasks import parse_task

TASK = parse_task({"labels": ["0", "1"]})
MINILM = {
    "vocab_size": 30522, "hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12,
    "intermediate_size": 1536, "pad_token_id": 0,
}  # fmt: skip
ATTENTION = ("eager", "sdpa")
#: Rows in a batch; 32 is the default.
BATCHES = (16, 32, 64, 128)


def token_rows(count: int) -> TokenRows:
    draw = random.Random(0)
    lengths = sorted(draw.randint(10, 40) for _ in range(count))
    rows = [
        {"input_ids": draw.choices(range(1000, 30000), k=n), "attention_mask": [1] * n, "labels": draw.randint(0, 1)}
        for n in lengths
    ]
    return TokenRows(rows, {})


def evaluation(attention: str, batch: int, rows: TokenRows, folder: str) -> Callable[[], Any]:
    torch.manual_seed(0)
    config = AutoConfig.for_model("bert", **MINILM, attn_implementation=attention)
    arguments = TrainingArguments(
        output_dir=folder, per_device_eval_batch_size=batch, report_to=[], use_cpu=True, disable_tqdm=True
    )
    model = AutoModelForSequenceClassification.from_config(config)
    evaluate = Evaluator(Trainer(model=model, args=arguments, data_collator=collator(TASK, byte_tokenizer())), TASK)
    return lambda: evaluate(rows)


def matrix_products(rows: TokenRows, batch: int) -> None:
    """The linear layers of the encoder alone: what no way of evaluating can save."""
    widths = [(384, 384)] * 4 + [(384, 1536), (1536, 384)]
    weights = [torch.randn(shape) for shape in widths]
    lengths = [len(row["input_ids"]) for row in rows.rows]
    with torch.inference_mode():
        for start in range(0, len(lengths), batch):
            part = lengths[start : start + batch]
            inputs = {width: torch.randn(len(part) * part[-1], width) for width in (384, 1536)}
            for _ in range(MINILM["num_hidden_layers"]):
                for weight in weights:
                    inputs[len(weight)] @ weight


def measure(quick: bool) -> list[Row]:
    torch.set_num_threads(1)
    rows, batches = token_rows(64 if quick else 192), BATCHES[:2] if quick else BATCHES
    found: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for batch in batches:
            runs = {f"{kind} attention": evaluation(kind, batch, rows, folder) for kind in ATTENTION}
            runs["matrix products alone"] = partial(matrix_products, rows, batch)
            take_turns(runs, rounds=1)  # a warm-up
            seconds = take_turns(runs, rounds=2 if quick else 3)
            found += rows_of("language", f"evaluation of {len(rows)} rows against rows in a batch", batch, seconds)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rows and repetitions")
    show(measure(parser.parse_args().quick))


if __name__ == "__main__":
    main()
