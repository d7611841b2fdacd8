"""Make train, validation and test tables from raw files; all runs use the same."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from replication.errors import ConfigError, DataError
from replication.runs.checkpoint import sha256, write_atomically
from replication.text.readers import Row, flatten, read_records
from replication.text.tasks import SPLITS, HeldOut, Task, parse_task

MANIFEST = "manifest.json"
#: Seed for drawing held-out rows, if the task has no shuffle seed.
HELD_OUT_SEED = 0


def _rename(rows: Sequence[Row], task: Task, path: Path) -> list[dict[str, Any]]:
    """The rows that the task keeps, with the task's column names."""
    present = set(rows[0])
    source = {}
    for name in dict.fromkeys([*task.needed_columns(), *task.keep]):
        accepted = task.columns.get(name, (name,))
        found = next((column for column in accepted if column in present), None)
        if found is None:
            raise DataError(
                f"{path}: column {name!r} is missing (accepted names: {', '.join(accepted)}); "
                f"the file has {', '.join(sorted(map(str, present)))}"
            )
        source[name] = found
    kept = [row for row in rows if all(str(row.get(source[key])) == value for key, value in task.keep.items())]
    return [{**row, **{name: row.get(column) for name, column in source.items()}} for row in kept]


def _read_split(raw: Path, task: Task, name: str) -> list[dict[str, Any]]:
    """All rows of a split: of the first alternative whose files are all there.

    Raises DataError if files, columns or rows are missing.
    """
    alternatives = task.alternatives(name)
    files = next((files for files in alternatives if all((raw / file).is_file() for file in files)), None)
    if files is None:
        wanted = " or ".join(" + ".join(files) for files in alternatives)
        raise DataError(f"{raw}: no file for {name!r}; put {wanted} there")
    rows: list[dict[str, Any]] = []
    for path in (raw / file for file in files):
        records = read_records(path, task.header, skip_ragged=task.skip_ragged)
        if task.split_column is not None and task.split_column in records[0]:
            records = [record for record in records if record.get(task.split_column) == name]
        flat = flatten(records, task.layout, path)
        if not flat:
            raise DataError(f"{path}: no rows for {name!r}")
        rows += _rename(flat, task, path)
    if not rows:
        kept = ", ".join(f"{key} = {value}" for key, value in task.keep.items())
        raise DataError(f"{raw}: no row of {name!r} has {kept}")
    return rows


def _label_number(value: Any, task: Task, where: str) -> int:
    """The class number of a label: its index in the declared values, or the number itself."""
    text = str(value)
    for spelling in (text, text.lower(), text.capitalize()):  # JSON's true is Python's True
        if spelling in task.labels:
            return task.labels.index(spelling)
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if number.is_integer() and 0 <= number < len(task.labels):
        return int(number)
    hint = " (-1 marks a test set whose labels are not published)" if number == -1 and text[:1] == "-" else ""
    raise DataError(f"{where}: label {value!r} is not among the declared labels {', '.join(task.labels)}{hint}")


def _example(row: Row, task: Task, where: str) -> dict[str, Any]:
    """One row of the prepared table."""
    if task.kind == "spans":
        return {
            "id": str(row["id"]), "question": row["question"], "context": row["context"],
            "answers": list(row["answers"]), "starts": [int(start) for start in row["starts"]],
        }  # fmt: skip
    try:
        texts = [template.format_map({k: "" if v is None else v for k, v in row.items()}) for template in task.text]
    except (KeyError, IndexError, ValueError) as error:
        raise ConfigError(f"data set option text: {task.text!r} does not fit the columns ({error})") from None
    example: dict[str, Any] = {f"text_{number}": text for number, text in enumerate(texts)}
    if task.kind == "regression":
        try:
            example["label"] = float(row[task.label])
        except (TypeError, ValueError):
            raise DataError(f"{where}: label {row[task.label]!r} is not a number") from None
        if not np.isfinite(example["label"]):
            raise DataError(f"{where}: label {row[task.label]!r} is not finite")
    else:
        example["label"] = _label_number(row[task.label], task, where)
    if task.kind == "multiple_choice_lm":
        example["n_choices"] = int(row["n_choices"])
    if task.group is not None:
        example["group"] = str(row[task.group])
    return example


def _hold_out(rows: int, kept: int, count: int, seed: int, split: str) -> list[int]:
    """Draw ``count`` of ``rows`` row numbers, ascending, none among the first ``kept``.

    The paper's subsets are the first rows of the training set, so these must stay in it.
    """
    if count < 1 or count > rows - kept:
        raise ConfigError(
            f"data set option splits.{split}: {count} rows cannot be taken from the second half "
            f"of the training rows, which has {rows - kept} left"
        )
    generator = np.random.default_rng([seed, SPLITS.index(split)])
    return sorted((kept + generator.permutation(rows - kept)[:count]).tolist())


def prepare(options: Mapping[str, Any], raw: Path, out_dir: Path) -> None:
    """Write ``train``, ``validation`` and ``test`` Parquet tables and ``manifest.json`` (checksums, rows, labels).

    Raises DataError for missing files or columns and for undeclared labels, ConfigError for options that do not fit the
    data.
    """
    task = parse_task(options)
    examples: dict[str, list[dict[str, Any]]] = {}
    for split, source in task.splits:
        if isinstance(source, str):
            rows = _read_split(raw, task, source)
            examples[split] = [_example(row, task, f"{raw.name}/{source}, row {n}") for n, row in enumerate(rows)]
    pool = examples["train"]
    if task.unique:  # copies could be on both sides of a held-out split
        pool = [pool[row] for row in pd.DataFrame(pool).filter(like="text_").drop_duplicates().index]
    if task.shuffle is not None:
        pool = [pool[n] for n in np.random.default_rng(task.shuffle).permutation(len(pool))]
    total, drawn = len(pool), []
    for split in ("test", "validation"):
        source = getattr(task.splits, split)
        if isinstance(source, HeldOut):
            seed = HELD_OUT_SEED if task.shuffle is None else task.shuffle
            drawn = _hold_out(len(pool), total // 2, source.count(total), seed, split)
            examples[split] = [pool[n] for n in drawn]
            pool = [pool[n] for n in sorted(set(range(len(pool))) - set(drawn))]
    examples["train"] = pool
    # If the test rows are held out too, there is no published training set that ratios could refer to.
    held_out = [] if isinstance(task.splits.test, HeldOut) else drawn
    out_dir.mkdir(parents=True, exist_ok=True)
    manifest: dict[str, Any] = {"kind": task.kind, "labels": list(task.labels), "splits": {}}
    for split in SPLITS:
        path = out_dir / f"{split}.parquet"
        pq.write_table(pa.Table.from_pylist(examples[split]), path, compression="zstd")
        about = manifest["splits"][split] = {"rows": len(examples[split]), "sha256": sha256(path)}
        if split == "train":
            about["held_out"] = held_out
        if task.kind == "classification":
            counts = Counter(row["label"] for row in examples[split])
            about["labels"] = {label: counts[n] for n, label in enumerate(task.labels)}
            if split == "train" and len(counts) == 1:
                raise DataError(
                    f"{raw}: every training row is of class {task.labels[min(counts)]!r}, so there is nothing to learn"
                )
    write_atomically(out_dir / MANIFEST, json.dumps(manifest, indent=1))


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a prepared folder or a token cache. Raises DataError if it cannot be read."""
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
        manifest["kind"], manifest["splits"]["train"]["rows"]  # every manifest has these
        return manifest
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder / MANIFEST}: cannot be read ({error}); delete {folder} and run again") from None


def read_table(folder: Path, split: str) -> Any:
    """The table (pyarrow) of a split, after its checksum is verified. Raises DataError if the file is damaged."""
    manifest = read_manifest(folder)
    path = folder / f"{split}.parquet"
    if not path.is_file() or sha256(path) != manifest["splits"][split]["sha256"]:
        raise DataError(f"{path}: does not match its checksum in {MANIFEST}; delete {folder} and run again")
    return pq.read_table(path)


def count_training_rows(data: Path) -> int:
    """Number of rows of the training pool."""
    return int(read_manifest(data)["splits"]["train"]["rows"])


def held_out_rows(data: Path) -> list[int]:
    """Positions in the published training set of the rows held out for validation."""
    return list(read_manifest(data)["splits"]["train"].get("held_out", ()))


def training_labels(data: Path) -> list[int] | None:
    """The class number of every row of the training pool; None if the task is not a classification."""
    if read_manifest(data)["kind"] != "classification":
        return None
    return read_table(data, "train").column("label").to_pylist()
