"""Read published files as rows: TSV, CSV, JSON, JSON lines, Parquet, and nested layouts."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from replication.errors import DataError

Row = Mapping[str, Any]


def _delimited(path: Path, header: Sequence[str] | None, *, skip_ragged: bool) -> list[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        # GLUE's TSV files have unbalanced quotes, so quoting is off.
        tabs = path.suffix == ".tsv"
        reader = csv.reader(file, "excel-tab", quoting=csv.QUOTE_NONE) if tabs else csv.reader(file)
        lines = (line for line in reader if line)
        names = header or next(lines, [])
        rows: list[Row] = []
        for number, line in enumerate(lines, start=1 if header else 2):
            if len(line) == len(names):
                rows.append(dict(zip(names, line, strict=True)))
            elif not skip_ragged:
                raise DataError(
                    f"{path}: line {number} has {len(line)} fields, expected {len(names)} ({', '.join(names)})"
                )
    return rows


def _json(path: Path) -> list[Row]:
    """A list of records, an object of records by key, or one record per line."""
    text = path.read_text(encoding="utf-8")
    content = None
    if path.suffix == ".json":
        with suppress(ValueError):  # one record per line, despite the name
            content = json.loads(text)
    match content:
        case list(records) | {"data": list(records)}:  # SQuAD's {"version": ..., "data": [...]}
            return records
        case dict() if all(isinstance(value, dict) for value in content.values()):
            return [{"_key": key, **value} for key, value in content.items()]
    rows = []
    # Not splitlines(): it also splits at U+2028 and other characters that a record may contain.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except ValueError as error:
                raise DataError(f"{path}: line {number} is not a JSON record ({error})") from None
    return rows


def _parquet(path: Path) -> list[Row]:
    try:
        return pq.read_table(path).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a readable Parquet file ({error}); copy or build it again") from None


READABLE = (".tsv", ".csv", ".jsonl", ".json", ".txt", ".parquet")


def check_suffix(path: Path) -> None:
    """Raise DataError if a file has another suffix than those of :data:`READABLE`."""
    if path.suffix not in READABLE:
        raise DataError(f"{path}: unknown file type {path.suffix!r}; expected one of {', '.join(READABLE)}")


def read_records(path: Path, header: Sequence[str] | None = None, *, skip_ragged: bool = False) -> list[Row]:
    """The records of one file, whose suffix (of :data:`READABLE`; ``.txt`` is JSON lines) gives the format.

    Args:
        header: column names, if the file has none (CoLA).
        skip_ragged: leave out lines with too few or too many fields (the published QQP has some).

    Raises DataError if the file is empty, damaged or of another type.
    """
    check_suffix(path)
    try:
        if path.suffix in (".tsv", ".csv"):
            rows = _delimited(path, header, skip_ragged=skip_ragged)
        else:
            rows = _parquet(path) if path.suffix == ".parquet" else _json(path)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a readable text file ({error}); copy it again as UTF-8") from None
    if not rows:
        raise DataError(f"{path}: the file has no rows")
    if not all(isinstance(row, Mapping) for row in rows):
        raise DataError(f"{path}: expected records with named fields")
    return rows


def _multirc(records: Sequence[Row]) -> Iterator[Row]:
    """SuperGLUE MultiRC: passages with questions with candidate answers; one row per answer."""
    for record in records:
        if "passage" not in record:  # the hub's copy is already flat
            yield {**record, "group": f"{record['idx']['paragraph']}-{record['idx']['question']}"}
            continue
        for question in record["passage"]["questions"]:
            for answer in question["answers"]:
                yield {
                    "paragraph": record["passage"]["text"],
                    "question": question["question"],
                    "answer": answer["text"],
                    "label": answer.get("label"),
                    "group": f"{record['idx']}-{question['idx']}",
                }


def _squad(records: Sequence[Row]) -> Iterator[Row]:
    """SQuAD v1.1: articles with paragraphs with questions; one row per question."""
    for record in records:
        if "paragraphs" not in record:  # the hub's copy is already flat
            answers = record["answers"]
            yield {**record, "answers": list(answers["text"]), "starts": list(answers["answer_start"])}
            continue
        for paragraph in record["paragraphs"]:
            for question in paragraph["qas"]:
                yield {
                    "id": question["id"],
                    "question": question["question"],
                    "context": paragraph["context"],
                    "answers": [answer["text"] for answer in question["answers"]],
                    "starts": [answer["answer_start"] for answer in question["answers"]],
                }


def _scienceqa(records: Sequence[Row]) -> Iterator[Row]:
    """ScienceQA's problems.json: questions with 2 to 5 choices, without those that need an image."""
    for record in records:
        if record.get("image"):
            continue
        letters = ascii_uppercase[: len(record["choices"])]
        options = "\n".join(f"({letter}) {choice}" for letter, choice in zip(letters, record["choices"], strict=True))
        yield {
            **record,
            "context": record.get("hint") or "N/A",
            "options": options,
            "n_choices": len(letters),
            "label": letters[int(record["answer"])],
        }


LAYOUTS: dict[str, Callable[[Sequence[Row]], Iterator[Row]]] = {
    "rows": iter,
    "multirc": _multirc,
    "squad": _squad,
    "scienceqa": _scienceqa,
}


def flatten(records: Sequence[Row], layout: str, path: Path) -> list[Row]:
    """Records of a published layout, with one row per example. Raises DataError if a record has another layout."""
    try:
        return list(LAYOUTS[layout](records))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise DataError(f"{path}: a record does not have the {layout} layout ({problem})") from None
