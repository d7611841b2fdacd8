"""The hyper-parameter search: choose one trial of a cell, by a rule that is part of the output."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from replication.errors import InputError
from replication.runs.checkpoint import link_or_copy, write_atomically
from replication.runs.records import read_record
from replication.runs.rundir import FILES


def choose_trial(records: Sequence[dict[str, Any]], select_on: str) -> dict[str, Any]:
    """The best trial by the mean over its seeds.

    Args:
        records: contents of the ``metrics.json`` of every trial and seed of one cell.
        select_on: ``validation`` (honest: the test set is not looked at) or ``test`` (the paper's protocol).

    Returns the chosen trial, the rule, and every trial's mean. A trial with a diverged seed is chosen only
    when all have one.
    """
    if not records:
        raise InputError("a search without trials: nothing to choose from")
    groups: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        groups.setdefault(json.dumps(record["run"]["trial"], sort_keys=True), []).append(record)
    higher = bool(records[0]["higher_is_better"])
    table = []
    for text, members in groups.items():
        scores = [_score(member, select_on) for member in members]
        finite = all(math.isfinite(score) for score in scores)
        mean = statistics.fmean(scores) if finite else None
        table.append({"trial": json.loads(text), "mean": mean, "n": len(scores)})
    ranked = [row for row in table if row["mean"] is not None]
    best = (max if higher else min)(ranked, key=lambda row: row["mean"]) if ranked else table[0]
    return {
        "trial": best["trial"],
        "select_on": select_on,
        "rule": f"best mean {records[0]['primary']} over seeds on {select_on}; diverged trials last",
        "trials": table,
    }


def _score(record: dict[str, Any], select_on: str) -> float:
    metrics = record["metrics"]
    values = metrics.get("val", {}).get("selected") if select_on == "validation" else (
        metrics.get("test", {}).get("paper") or metrics.get("test", {}).get("selected")
    )  # fmt: skip
    value = (values or {}).get(record["primary"])
    return math.nan if record["status"] == "diverged" or value is None else float(value)


def write_selection(records: Sequence[Path], select_on: str, out: Path) -> None:
    """Choose among the trials whose ``metrics.json`` files are given, and write the choice."""
    choice = choose_trial([read_record(path) for path in records], select_on)
    write_atomically(out, json.dumps(choice, indent=1))


def adopt(selection: Path, trial_records: Sequence[Path], target: Path) -> None:
    """Publish the chosen trial's files of one seed as the cell's own run.

    Args:
        selection: the cell's ``selection.json``.
        trial_records: ``metrics.json`` of each trial of this seed.
        target: folder of the cell's run.
    """
    chosen = json.loads(selection.read_text())["trial"]
    for path in trial_records:
        if read_record(path)["run"]["trial"] == chosen:
            target.mkdir(parents=True, exist_ok=True)
            for name in FILES:
                if (path.parent / name).is_file():
                    link_or_copy(path.parent / name, target / name)
            return
    raise InputError(f"{selection}: none of the trials of {target} is the chosen one, {chosen}")
