"""A tiny corpus, tiny random models, and the chain from raw files to a finished run."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from replication.runs.rundir import RunDir
from replication.settings.spec import RunSpec
from replication.text import fetching, preparing
from replication.text.tokens import tokenize
from replication.text.training import finetune

TINY_BERT = {
    "source": {
        "random": "bert",
        "config": {
            "vocab_size": 260, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
            "intermediate_size": 128, "max_position_embeddings": 128, "pad_token_id": 1,
        },
    }
}  # fmt: skip
FT = {"optimizer": "adamw", "balance": None}
TB = {"optimizer": "adamw", "balance": {}}
HYPER = {"epochs": 2, "batch_size": 8, "lr": 1e-3, "checkpoint_every_s": 1e9}


def write_corpus(folder: Path, rows: int = 120) -> Path:
    """Write a TSV file whose classes follow from one word."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(0)
    words = ["film", "plot", "scene", "actor", "score", "light", "story", "camera", "script", "sound"]
    with (folder / "train.tsv").open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(["sentence", "label"])
        for number in range(rows):
            label = number % 2
            text = [*draw.choices(words, k=draw.randint(2, 6)), "good" if label else "bad"]
            writer.writerow([f"{number} " + " ".join(text), label])
    return folder


CORPUS = {
    "text": "{sentence}", "labels": ["0", "1"], "max_length": 32,
    "splits": {"test": {"rows": 20}, "validation": {"rows": 16}}, "shuffle": 0,
}  # fmt: skip


class Chain:
    """Prepared data and tokens of a data set and model; ``run`` fine-tunes on them."""

    def __init__(self, folder: Path, options: dict[str, Any], model: dict[str, Any], raw: Path) -> None:
        self.options, self.model = options, model
        self.data, self.tokens, self.results = folder / "data", folder / "tokens", folder / "results"
        fetching.fetch(options, folder / "raw", folder=raw)
        preparing.prepare(options, folder / "raw", self.data)
        tokenize(options, model, self.data, self.tokens)

    def spec(self, method: dict[str, Any], seed: int = 13, **hyper: Any) -> RunSpec:
        return RunSpec(
            family="nlp", model="tiny", dataset="tiny", ratio=0.5, method="m",
            seed=seed, model_options=self.model, dataset_options=self.options, method_options=method,
            hyper={**HYPER, **hyper},
        )  # fmt: skip

    def run(
        self,
        method: dict[str, Any],
        indices: Sequence[int] = range(32),
        results: Path | None = None,
        **hyper: Any,
    ) -> tuple[dict[str, Any], Path]:
        """Fine-tune; returns the record and the folder of the run."""
        spec = self.spec(method, **hyper)
        with RunDir.open(spec, results or self.results, inputs={}) as run:
            finetune(spec, data=self.data, tokens=self.tokens, indices=list(indices), run=run, device="cpu")
            run.publish()
        return json.loads((run.folder / "metrics.json").read_text()), run.folder
