"""Cells of the grid: the runs of one model, data set, ratio and method, over seeds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from replication.errors import DataError, InputError
from replication.runs.seals import check_seal

#: Columns that the two methods of a comparison share; with the method they identify a cell.
SETTING = ["model", "dataset", "ratio"]
#: Column with the test error of the predicted frames alone.
ROLLOUT = "test_selected_nrmse_rollout"
#: Cells with fewer common seeds are shown, but support no claim.
ENOUGH_SEEDS = 3
Line = dict[str, Any]
REQUIRED = [
    "experiment", "family", *SETTING, "n_train", "method", "seed", "status", "score", "stand_in", "config_hash",
]  # fmt: skip


def read_runs(paths: Iterable[Path | str]) -> pd.DataFrame:
    """Concatenate tidy tables of runs. Raises DataError for a file that cannot be read or lacks a column."""
    frames = []
    for path in paths:
        frame = read_table(path)
        if missing := [name for name in REQUIRED if name not in frame]:
            raise DataError(f"{path}: column '{missing[0]}' is missing; collect the runs again")
        frames.append(frame)
    if not frames:
        raise DataError("no table of runs was given; give at least one runs.csv")
    return pd.concat(frames, ignore_index=True)


def read_results(folder: Path) -> pd.DataFrame:
    """All runs of a results folder: every ``<experiment>/runs.csv`` below it.

    Raises InputError if there is none, DataError if one cannot be read.
    """
    tables = sorted(folder.glob("*/runs.csv"))
    if not tables:
        raise InputError(f"{folder}: no <experiment>/runs.csv below it; a results folder was expected")
    return read_runs(tables)


def read_table(path: Path | str) -> pd.DataFrame:
    """Read a CSV. Raises DataError, with the file's name, if it cannot be read or was changed after it was written."""
    check_seal(Path(path))
    try:
        return pd.read_csv(path, low_memory=False).fillna({"stand_in": ""})
    except pd.errors.EmptyDataError:
        return pd.DataFrame()
    except (OSError, UnicodeDecodeError, pd.errors.ParserError) as error:
        raise DataError(f"{path}: cannot be read as CSV ({error})") from None


def read_stacked(paths: Iterable[Path | str]) -> pd.DataFrame:
    """Concatenate CSVs (``layers.csv``, ``spectra.csv``, ``history.csv``)."""
    frames = [frame for frame in map(read_table, paths) if len(frame)]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def with_companions(runs: pd.DataFrame, main: Sequence[str]) -> pd.DataFrame:
    """Runs of the main experiments, and what other experiments (companions) add in the same settings.

    Companions provide the methods that the main experiments lack in a setting (model, data set, ratio): Table 1 uses FT
    and TB from Figure 3's runs.
    """
    own = runs[runs["experiment"].isin(main)]
    others = runs[~runs["experiment"].isin(main)]
    settings = pd.MultiIndex.from_frame(own[SETTING])
    present = pd.MultiIndex.from_frame(own[[*SETTING, "method"]])
    wanted = pd.MultiIndex.from_frame(others[SETTING]).isin(settings)
    wanted &= ~pd.MultiIndex.from_frame(others[[*SETTING, "method"]]).isin(present)
    return pd.concat([own, others[wanted]], ignore_index=True)


def each_once(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs without the copies that several experiments show (Table 1 repeats Figure 3's runs)."""
    return runs.drop_duplicates(["family", *SETTING, "method", "seed"])


def stand_ins(runs: pd.DataFrame) -> list[str]:
    """The distinct stand-in texts of the runs; none if model and data are the paper's."""
    return sorted(set(runs["stand_in"]) - {""})


def higher_is_better(table: pd.DataFrame) -> pd.Series:
    """The column of that name as booleans; CSV files with missing values have text there."""
    return table["higher_is_better"].astype(str).str.lower().eq("true")


def predicted_frames_only(runs: pd.DataFrame) -> pd.Series:
    """For each run: whether scores of its data set are errors of the predicted frames alone (Darcy).

    False for other metrics, for PDEBench's average (which includes the initial steps), and if every run diverged.
    """
    if ROLLOUT not in runs:
        return pd.Series(False, index=runs.index)
    finished = runs[["dataset", "score", ROLLOUT]].dropna(subset="score").astype({"score": float, ROLLOUT: float})
    alone = {dataset: np.isclose(own["score"], own[ROLLOUT]).all() for dataset, own in finished.groupby("dataset")}
    return runs["dataset"].map(lambda dataset: bool(alone.get(dataset, False)))


def display_scale(family: str) -> float:
    """Factor from a run's score to the paper's unit, which is per cent for language tasks."""
    return 100.0 if family == "nlp" else 1.0


def summarise(runs: pd.DataFrame, value: str = "score") -> pd.DataFrame:
    """One row per cell, for a column of the runs.

    Returns the columns of the cell and ``mean``, ``sd`` (``ddof=1``), ``sd_ddof0`` (as the paper prints), ``n``
    (finished runs), ``diverged`` (number of runs) and ``n_train``.
    """
    frame = runs.assign(value=values_of(runs, value), lost=runs["status"] == "diverged")
    groups = frame.groupby(["family", *SETTING, "method"], sort=False, dropna=False)
    table = groups.agg(
        mean=("value", "mean"),
        sd=("value", lambda values: values.std(ddof=1)),
        sd_ddof0=("value", lambda values: values.std(ddof=0)),
        n=("value", "count"),
        diverged=("lost", "sum"),
        n_train=("n_train", "first"),
    ).reset_index()
    return table.sort_values(["model", "dataset", "method", "ratio"], ignore_index=True)


def spread_of(family: str) -> str:
    """The column of the paper's STD of alpha: over the means of blocks for language, over layers for PDEs."""
    return "alpha_std_block" if family == "nlp" else "alpha_std"


def values_of(runs: pd.DataFrame, value: str) -> pd.Series:
    """A column as figures and tables show it: scores in the paper's unit, other columns unchanged.

    NaN for a diverged run, and if there is no such column.
    """
    if value not in runs:
        return pd.Series(float("nan"), index=runs.index)
    values = pd.to_numeric(runs[value], errors="coerce").where(runs["status"] != "diverged")
    return values * runs["family"].map(display_scale).astype(float) if value.startswith("score") else values


def titles(runs: pd.DataFrame, kind: str) -> dict[str, str]:
    """Id -> title in the catalogue, for the models, data sets or methods (``kind``) of the runs."""
    known = runs.reindex(columns=[kind, f"{kind}_title"]).dropna().drop_duplicates(kind)
    return {str(name): str(title) for name, title in known.itertuples(index=False, name=None)}


def title_of(runs: pd.DataFrame, kind: str, name: str) -> str:
    """The title of a model, data set or method in the catalogue, otherwise its id."""
    return titles(runs, kind).get(name, name)


def records(table: pd.DataFrame) -> list[Line]:
    """The rows of a table as dictionaries."""
    return [{str(key): value for key, value in line.items()} for line in table.to_dict("records")]
