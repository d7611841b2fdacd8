"""A run's path below the results folder, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from replication.errors import DataError

IDENTITY = ("experiment", "model", "dataset", "ratio", "method", "seed")
Key = tuple[str, str, str, float, str, int]


def run_key(values: Mapping[str, Any]) -> Key:
    """A run's identity as a dictionary key; the ratio in four significant figures, as paths have it."""
    return (
        str(values["experiment"]), str(values["model"]), str(values["dataset"]), float(f"{float(values['ratio']):.6g}"),
        str(values["method"]), int(values["seed"]),
    )  # fmt: skip


def key_of_path(path: Path) -> Key:
    """The identity in ``<experiment>/<model>/<dataset>/ratio=<r>/<method>/seed=<s>/<file>``.

    Raises DataError for another path.
    """
    try:
        experiment, model, dataset, ratio, method, seed = path.parts[-7:-1]
        values = (experiment, model, dataset, ratio.removeprefix("ratio="), method, seed.removeprefix("seed="))
        return run_key(dict(zip(IDENTITY, values, strict=True)))
    except ValueError:
        raise DataError(f"{path}: not a file of a run's folder (.../ratio=<r>/<method>/seed=<s>/<file>)") from None
