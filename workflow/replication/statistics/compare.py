"""Compare two results folders: which cells differ, and by how much."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from replication.statistics.cells import ENOUGH_SEEDS, SETTING, read_results, records, values_of
from replication.statistics.numbers import count_text
from replication.statistics.paired import student

CELL = ["experiment", "family", *SETTING, "method"]
COLUMNS = [
    *CELL, "status", "n_a", "n_b", "mean_a", "mean_b", "sd_a", "sd_b", "diverged_a", "diverged_b", "common_seeds",
    "difference", "low", "high", "p_t", "configuration",
]  # fmt: skip
#: Where the runs of a cell are (pandas' merge indicator) -> its status.
ONLY_IN = {("left_only",): "only in A", ("right_only",): "only in B"}


def compare(a: Path, b: Path) -> pd.DataFrame:
    """Every cell of two results folders (with ``<experiment>/runs.csv`` below them), in the paper's units.

    Returns one row per cell: its ``status`` (``equal`` if both folders have the same runs with the same scores,
    ``differs``, ``only in A`` or ``only in B``), runs, means and standard deviations of both folders, ``difference`` (B
    minus A, over common seeds), with three or more common seeds its Student 95 % interval and two-sided p-value, and
    whether the ``configuration`` of the common runs is the ``same`` or ``changed``.

    Raises InputError if a folder has no ``runs.csv``, DataError if one cannot be read.
    """
    merged = _scores(a).merge(_scores(b), on=[*CELL, "seed"], how="outer", suffixes=("_a", "_b"), indicator=True)
    rows = [
        {**dict(zip(CELL, key, strict=True)), **_cell(group)}
        for key, group in merged.groupby(CELL, sort=True, dropna=False)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _scores(folder: Path) -> pd.DataFrame:
    runs = read_results(folder)
    runs["value"] = values_of(runs, "score")
    return runs[[*CELL, "seed", "value", "status", "config_hash"]]


def _cell(group: pd.DataFrame) -> dict[str, Any]:
    both = group[group["_merge"] == "both"]
    status = ONLY_IN.get(tuple(group["_merge"].unique()), "differs")
    row: dict[str, Any] = {"status": status, "common_seeds": len(both), "configuration": ""}
    for side in ("a", "b"):
        values = group[f"value_{side}"].dropna()
        row[f"n_{side}"] = len(values)
        row[f"mean_{side}"] = values.mean()
        row[f"sd_{side}"] = values.std(ddof=1)
        row[f"diverged_{side}"] = int((group[f"status_{side}"] == "diverged").sum())
    if not len(both):
        return row
    row["configuration"] = "same" if (both["config_hash_a"] == both["config_hash_b"]).all() else "changed"
    same = (both["value_a"] == both["value_b"]) | (both["value_a"].isna() & both["value_b"].isna())
    if same.all() and len(both) == len(group):
        row["status"] = "equal"
    return row | _difference((both["value_b"] - both["value_a"]).dropna())


def _difference(differences: pd.Series) -> dict[str, float]:
    if len(differences) < ENOUGH_SEEDS:
        return {"difference": differences.mean()}
    if differences.std() == 0:
        return dict.fromkeys(("difference", "low", "high"), differences.mean())
    low, high, p = student(differences)
    return {"difference": differences.mean(), "low": low, "high": high, "p_t": p}


def comparison_lines(table: pd.DataFrame) -> list[str]:
    """One line per cell that is not equal, largest difference first; the last line counts the cells by status."""
    unequal = table[table["status"] != "equal"]
    unequal = unequal.sort_values("difference", key=lambda values: -values.abs(), na_position="last")
    lines: list[str] = []
    for row in records(unequal):
        cell = f"{row['experiment']}/{row['model']}/{row['dataset']}/ratio={row['ratio']:g}/{row['method']}"
        line = f"{cell}: {row['status']}"
        if row["status"] == "differs":
            line += f", configuration {row['configuration']}" if row["configuration"] else ", no common seed"
        line += "; " + ", ".join(filter(None, (_side(row, "a"), _side(row, "b"))))
        if not pd.isna(row["difference"]):
            line += f"; B - A {row['difference']:+.3g}"
        if not pd.isna(row["low"]):
            line += f", 95 % interval {row['low']:+.3g} to {row['high']:+.3g}"
        lines.append(line)
    counts = table["status"].value_counts()
    shown = [f"{n} {'differ' if status == 'differs' and n > 1 else status}" for status, n in counts.items()]
    return [*lines, f"{count_text(len(table), 'cell')}: {', '.join(shown)}"]


def _side(row: dict[str, Any], side: str) -> str:
    lost = f"{row[f'diverged_{side}']} diverged" if row[f"diverged_{side}"] else ""
    if not row[f"n_{side}"]:
        return f"{side.upper()} {lost}" if lost else ""
    spread = "" if pd.isna(row[f"sd_{side}"]) else f" ± {row[f'sd_{side}']:.2g}"
    runs = ", ".join(filter(None, (f"n = {row[f'n_{side}']}", lost)))
    return f"{side.upper()} {row[f'mean_{side}']:.4g}{spread} ({runs})"
