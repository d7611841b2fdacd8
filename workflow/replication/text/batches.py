"""Token rows in memory and how rows become a padded batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from replication.text.preparing import read_manifest, read_table
from replication.text.tokens import ASIDE

Row = dict[str, Any]
#: Value that fills the end of a shorter row; every other column is filled with 0.
PADS = {"labels": -100}


class TokenRows(Dataset[Row]):
    """Rows of a token cache.

    Args:
        rows: model inputs, one dictionary a row.
        aside: columns that are not model inputs, in the same order.
        references: what predictions are compared with where it is not a label (contexts and answers of spans).
    """

    def __init__(
        self,
        rows: Sequence[Row],
        aside: Mapping[str, Sequence[Any]],
        references: Mapping[str, Sequence[Any]] | None = None,
    ) -> None:
        self.rows = rows
        self.aside = aside
        self.references = references or {}

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> Row:
        return self.rows[place]


def _length(row: Row) -> int:
    ids = row["input_ids"]
    return max(len(part) for part in ids) if isinstance(ids[0], list) else len(ids)


def _rows(table: Any, *, by_length: bool) -> tuple[list[Row], dict[str, list[Any]]]:
    records = table.to_pylist()
    if by_length:
        records.sort(key=_length)
    aside = {name: [record[name] for record in records] for name in ASIDE if name in table.column_names}
    return [{k: v for k, v in record.items() if k not in aside} for record in records], aside


def read_training_rows(tokens: Path, indices: Sequence[int]) -> TokenRows:
    """The token rows of the given examples of the training pool, in this order.

    An example with a long context has several (its windows).
    """
    table = read_table(tokens, "train")
    if "row" in table.column_names:
        windows: dict[int, list[int]] = {}
        for window, row in enumerate(table.column("row").to_pylist()):
            windows.setdefault(row, []).append(window)
        indices = [window for row in indices for window in windows[row]]
    return TokenRows(*_rows(table.take(list(indices)), by_length=False))


def read_evaluation_rows(tokens: Path, data: Path, split: str) -> TokenRows:
    """All rows of a split, sorted by length: batches of one length, so that little is computed on padding."""
    rows, aside = _rows(read_table(tokens, split), by_length=True)
    if "row" not in aside:
        return TokenRows(rows, aside)
    examples = read_table(data, split)
    return TokenRows(rows, aside, {name: examples.column(name).to_pylist() for name in ("context", "answers")})


class Collator:
    """Pads rows to the longest of the batch.

    Args:
        tokens: the token cache; its manifest names the padding token.
    """

    def __init__(self, tokens: Path) -> None:
        manifest = read_manifest(tokens)
        self.pads = {**PADS, "input_ids": manifest["pad_token_id"]}
        self.left = manifest["padding_side"] == "left"

    def _pad(self, name: str, rows: Sequence[list[int]]) -> torch.Tensor:
        parts = [torch.tensor(row) for row in rows]
        return pad_sequence(parts, True, self.pads.get(name, 0), "left" if self.left else "right")

    def __call__(self, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
        batch = {}
        for name, first in rows[0].items():
            values = [row[name] for row in rows]
            if not isinstance(first, list):
                batch[name] = torch.tensor(values)
            elif first and isinstance(first[0], list):  # choices: [rows, choices, tokens]
                flat = self._pad(name, [part for value in values for part in value])
                batch[name] = flat.view(len(values), len(first), -1)
            else:
                batch[name] = self._pad(name, values)
        return batch
