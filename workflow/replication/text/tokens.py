"""Tokenize a task once per model; all runs read this cache."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from replication.errors import DataError
from replication.runs.checkpoint import sha256, write_atomically
from replication.text.encoders import load_tokenizer
from replication.text.preparing import MANIFEST, read_manifest, read_table
from replication.text.spans import Columns, encode_spans
from replication.text.tasks import SPLITS, Task, parse_task

#: Columns of the cache that are not model inputs.
METADATA = ("group", "n_choices", "answer", "offsets", "row")


def _truncated(encoded: Any) -> list[bool]:
    """Whether each row lost tokens to truncation."""
    return [bool(row.overflowing) for row in encoded.encodings]


def _encode_texts(tokenizer: Any, task: Task, columns: Columns) -> tuple[Columns, int]:
    """Classification and regression: one or two texts per row. Returns columns, and the number of truncated rows."""
    texts = [columns[f"text_{number}"] for number in range(len(task.text))]
    encoded = tokenizer(*texts, truncation=True, max_length=task.max_length)
    return {**encoded, "labels": columns["label"]}, sum(_truncated(encoded))


def _encode_choices(tokenizer: Any, task: Task, columns: Columns) -> tuple[Columns, int]:
    """Multiple choice: the first text paired with each choice; token lists have one more level."""
    stem, *choices = (columns[f"text_{number}"] for number in range(len(task.text)))
    encoded = [tokenizer(stem, choice, truncation=True, max_length=task.max_length) for choice in choices]
    truncated = sum(any(row) for row in zip(*map(_truncated, encoded), strict=True))
    by_row = {name: [list(row) for row in zip(*(e[name] for e in encoded), strict=True)] for name in encoded[0]}
    return {**by_row, "labels": columns["label"]}, truncated


def _encode_prompts(tokenizer: Any, task: Task, columns: Columns) -> tuple[Columns, int]:
    """Multiple choice by a causal model: prompt and answer letter as one sequence; only the letter has a label.

    A prompt that is too long is truncated at its beginning, because the choices are at its end.
    """
    letters = choice_tokens(tokenizer)
    start = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    room = task.max_length - len(start) - 1
    whole = tokenizer(columns["text_0"], add_special_tokens=False, verbose=False)["input_ids"]
    prompts = [start + prompt[-room:] for prompt in whole]
    answers = [letters[label] for label in columns["label"]]
    return {
        "input_ids": [[*prompt, answer] for prompt, answer in zip(prompts, answers, strict=True)],
        "attention_mask": [[1] * (len(prompt) + 1) for prompt in prompts],
        "labels": [[-100] * len(prompt) + [answer] for prompt, answer in zip(prompts, answers, strict=True)],
        "answer": columns["label"],
    }, sum(len(prompt) > room for prompt in whole)


def choice_tokens(tokenizer: Any) -> list[int]:
    """Token ids of the letters A to Z after a prompt."""
    return [int(tokenizer(letter, add_special_tokens=False)["input_ids"][-1]) for letter in ascii_uppercase]


def tokenize(options: Mapping[str, Any], model_options: Mapping[str, Any], data: Path, out_dir: Path) -> None:
    """Write the token cache: ``train``, ``validation``, ``test`` Parquet tables and ``manifest.json``.

    Rows are not padded. The manifest has the number of rows that were truncated to ``max_length``.

    Raises DataError if the prepared data or the tokenizer cannot be read.
    """
    task = parse_task(options)
    tokenizer = load_tokenizer(model_options)
    if read_manifest(data)["kind"] != task.kind:
        raise DataError(f"{data}: it was prepared for another kind of task; delete it and run again")
    out_dir.mkdir(parents=True, exist_ok=True)
    manifest: dict[str, Any] = {
        "kind": task.kind, "max_length": task.max_length, "data_manifest": sha256(data / MANIFEST), "splits": {},
    }  # fmt: skip
    if task.kind == "multiple_choice_lm":
        manifest["choice_tokens"] = choice_tokens(tokenizer)
    for split in SPLITS:
        columns = read_table(data, split).to_pydict()
        encoded, truncated = _ENCODERS[task.kind](tokenizer, task, columns)
        metadata = {name: columns[name] for name in ("group", "n_choices") if name in columns}
        path = out_dir / f"{split}.parquet"
        pq.write_table(pa.table({**encoded, **metadata}), path, compression="zstd")
        manifest["splits"][split] = {"rows": len(encoded["input_ids"]), "truncated": truncated, "sha256": sha256(path)}
    write_atomically(out_dir / MANIFEST, json.dumps(manifest, indent=1))


_ENCODERS = {
    "classification": _encode_texts,
    "regression": _encode_texts,
    "multiple_choice": _encode_choices,
    "multiple_choice_lm": _encode_prompts,
    "spans": lambda tokenizer, task, columns: encode_spans(tokenizer, task.max_length, columns),
}
