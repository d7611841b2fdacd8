"""Every cell's gain in one table: what the forest plot shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from replication.settings.artifacts import Artifact
from replication.statistics.cells import SETTING, read_table, title_of
from replication.statistics.paired import Pair, paired_table
from replication.statistics.published import gain_of, join_published
from replication.statistics.trivial import learned

#: The paper's comparison in either family.
MAIN_PAIRS: tuple[Pair, ...] = (("ft", "tb"), ("baseline", "tb"))


def read_gains(path: Path | str) -> pd.DataFrame:
    """The table that :func:`gain_table` made, from its CSV. Raises DataError where it cannot be read."""
    return read_table(path).fillna({"stand_in": ""})


def gain_table(
    runs: pd.DataFrame, published: pd.DataFrame, artifacts: Sequence[Artifact], pairs: Sequence[Pair] = MAIN_PAIRS
) -> pd.DataFrame:
    """The gain of TempBalance in every cell, each once.

    Args:
        runs: tidy table of all runs.
        published: the table of published results.
        artifacts: those that are built, to look up published values.
        pairs: methods to compare.

    Returns columns of :func:`replication.statistics.paired.paired_table`, and ``model_title``, ``dataset_title``,
    ``stand_in`` (empty where model and data are the paper's), ``learned`` (whether either method beats the trivial
    predictors) and ``published`` (the paper's gain in the same unit, missing where it has none).
    """
    once = runs.drop_duplicates(["family", *SETTING, "method", "seed"])
    tables = []
    for family, own in once.groupby("family"):
        for pair in pairs:
            used = own[own["method"].isin(pair)]
            table = paired_table(used, [pair])
            if table.empty:
                continue
            marks = used.assign(learned=learned(used)).drop_duplicates(SETTING)[[*SETTING, "stand_in", "learned"]]
            table = table.merge(marks, on=SETTING)
            table = table.merge(_published(used, published, artifacts, pair, str(family)), on=SETTING, how="left")
            for kind in ("model", "dataset"):
                table[f"{kind}_title"] = [title_of(used, kind, str(name)) for name in table[kind]]
            tables.append(table)
    if not tables:
        return pd.DataFrame(columns=[*SETTING, "family", "unit", "gain", "learned", "stand_in", "published"])
    return pd.concat(tables, ignore_index=True)


def _published(
    runs: pd.DataFrame, published: pd.DataFrame, artifacts: Sequence[Artifact], pair: Pair, family: str
) -> pd.DataFrame:
    """The paper's gain in each setting; of several tables the first that has it."""
    found = [
        join_published(runs, published, artifact.published)
        for artifact in artifacts
        if artifact.published is not None and artifact.family == family
    ]
    rows = pd.concat(found, ignore_index=True) if found else pd.DataFrame()
    if rows.empty:
        return pd.DataFrame(columns=[*SETTING, "published"])
    wide = rows.pivot_table(index=SETTING, columns="method", values="published_mean", aggfunc="first")
    return gain_of(wide, pair, family).rename("published").reset_index()
