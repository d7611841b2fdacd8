"""Token rows in memory, and the collator that makes batches of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset
from transformers import DataCollatorForMultipleChoice, DataCollatorForSeq2Seq, DataCollatorWithPadding

from replication.text.preparing import read_table
from replication.text.tasks import Task
from replication.text.tokens import METADATA

Row = dict[str, Any]


@dataclass(frozen=True)
class TokenRows(Dataset[Row]):
    """Rows of a token cache."""

    rows: Sequence[Row]  # model inputs
    metadata: Mapping[str, Sequence[Any]]  # metadata columns (not model inputs), in the order of the rows
    references: Mapping[str, Sequence[Any]] = field(default_factory=dict)  # contexts and answers, to score spans

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Row:
        return self.rows[index]


def collator(task: Task, tokenizer: Any) -> Callable[[list[Row]], dict[str, Any]]:
    """transformers' collator for a kind of task; it pads rows to the longest of the batch."""
    if task.kind == "multiple_choice":
        return DataCollatorForMultipleChoice(tokenizer)
    if task.kind == "multiple_choice_lm":
        return DataCollatorForSeq2Seq(tokenizer)  # pads labels too
    return DataCollatorWithPadding(tokenizer)


def _length(row: Row) -> int:
    ids = row["input_ids"]
    return max(len(part) for part in ids) if isinstance(ids[0], list) else len(ids)


def _split_columns(records: Sequence[Row]) -> tuple[list[Row], dict[str, list[Any]]]:
    metadata = {name: [record[name] for record in records] for name in METADATA if name in records[0]}
    return [{k: v for k, v in record.items() if k not in metadata} for record in records], metadata


def read_training_rows(tokens: Path, indices: Sequence[int]) -> TokenRows:
    """The token rows of the given examples of the training pool, in this order.

    An example with a long context has several token rows (windows).
    """
    table = read_table(tokens, "train")
    if "row" in table.column_names:
        windows: dict[int, list[int]] = {}
        for window, row in enumerate(table.column("row").to_pylist()):
            windows.setdefault(row, []).append(window)
        indices = [window for row in indices for window in windows[row]]
    return TokenRows(*_split_columns(table.take(list(indices)).to_pylist()))


def read_evaluation_rows(tokens: Path, data: Path, split: str) -> TokenRows:
    """All rows of a split, sorted by length, so that batches need little padding."""
    rows, metadata = _split_columns(sorted(read_table(tokens, split).to_pylist(), key=_length))
    if "row" not in metadata:
        return TokenRows(rows, metadata)
    examples = read_table(data, split)
    return TokenRows(rows, metadata, {name: examples.column(name).to_pylist() for name in ("context", "answers")})
