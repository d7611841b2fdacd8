"""What evaluating a fine-tuned encoder costs: attention and batch size, in turns in one process.

    python benchmarks/language.py [--quick]

The encoder has MiniLM's shape (6 layers, width 384) and random weights; rows have 10 to 40 tokens, as the demo's
have. Seconds are processor time of one thread; ratios are against the first variant, with their range over repetitions.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import torch
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
#: Attention, rows a batch. The second was the setting before; the third is the present one.
VARIANTS = [("eager", 64), ("sdpa", 64), ("sdpa", 32), ("sdpa", 16), ("sdpa", 128)]


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


def measure(quick: bool) -> list[dict[str, Any]]:
    """One row a variant: ``name``, ``variant``, median ``seconds``, and ``ratio`` to the first with its ``spread``."""
    rows, repetitions = token_rows(128 if quick else 1000), 3 if quick else 7
    with tempfile.TemporaryDirectory() as folder:
        runs = {
            f"{attention}, batches of {batch}": evaluation(attention, batch, rows, folder)
            for attention, batch in VARIANTS
        }
        runs["its matrix products alone"] = lambda: matrix_products(rows, 32)
        seconds: dict[str, list[float]] = {variant: [] for variant in runs}
        for repetition in range(repetitions + 1):
            for variant, run in runs.items():
                start = time.process_time()
                run()
                if repetition:  # the first is a warm-up
                    seconds[variant].append(time.process_time() - start)
    first = next(iter(seconds.values()))
    found = []
    for variant, values in seconds.items():
        ratios = [one / own for one, own in zip(first, values, strict=True)]
        found.append({
            "name": "evaluation", "variant": variant, "seconds": statistics.median(values),
            "spread": (min(ratios), max(ratios)), "ratio": statistics.median(ratios),
        })  # fmt: skip
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rows and repetitions")
    torch.set_num_threads(1)
    for row in measure(parser.parse_args().quick):
        low, high = row["spread"]
        print(f"{row['variant']:42} {row['seconds']:8.3f} s  {row['ratio']:5.2f} x ({low:.2f}..{high:.2f})")


if __name__ == "__main__":
    main()
