"""Every cell in one table: its gain, which the forest plot shows, and its scores beside the published ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from replication.settings.artifacts import Artifact
from replication.statistics.cells import SETTING, read_table, summarise, title_of
from replication.statistics.paired import Pair, paired_table
from replication.statistics.published import gain_of, join_published
from replication.statistics.trivial import against_trivial, learned

#: The paper's comparison in either family.
MAIN_PAIRS: tuple[Pair, ...] = (("ft", "tb"), ("baseline", "tb"))
PUBLISHED = ["published", "published_sd", "published_undiluted"]


def read_overview(path: Path | str) -> pd.DataFrame:
    """A table that the verdicts rule wrote, from its CSV. Raises DataError where it cannot be read."""
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
        for pair in (pair for pair in pairs if set(pair) <= set(own["method"])):
            used = own[own["method"].isin(pair)]
            table = paired_table(used, [pair])
            marks = used.assign(learned=learned(used)).drop_duplicates(SETTING)[[*SETTING, "stand_in", "learned"]]
            table = table.merge(marks, on=SETTING)
            table = table.merge(_published(used, published, artifacts, pair, str(family)), on=SETTING, how="left")
            for kind in ("model", "dataset"):
                table[f"{kind}_title"] = [title_of(used, kind, str(name)) for name in table[kind]]
            tables.append(table)
    if not tables:
        return pd.DataFrame(
            columns=["baseline", "method", "family", *SETTING, "gain", "learned", "stand_in", "published"]
        )
    return pd.concat(tables, ignore_index=True)


def measured_table(
    runs: pd.DataFrame, published: pd.DataFrame, artifacts: Sequence[Artifact], pairs: Sequence[Pair] = MAIN_PAIRS
) -> pd.DataFrame:
    """Measured beside published scores: one row per cell and method of the pairs that has a published value.

    Returns columns ``family``, of the cell, ``method``, ``base`` (whether it is the baseline), ``mean``, ``sd``
    (``ddof=0``), ``n``, ``published``, ``published_sd`` (likewise), ``published_undiluted`` (the error of the predicted
    frames alone, missing for other measures), ``stand_in`` and ``beats_trivial``, in the paper's unit.
    """
    once = runs.drop_duplicates(["family", *SETTING, "method", "seed"])
    once = once[once["method"].isin([name for pair in pairs for name in pair])]
    tables = []
    for family, own in once.groupby("family"):
        found = _published_scores(own, published, artifacts, str(family))
        if found.empty:
            continue
        cells = summarise(own).drop(columns="sd").rename(columns={"sd_ddof0": "sd"})
        marks = own.drop_duplicates([*SETTING, "method"])[[*SETTING, "method", "stand_in"]]
        beats = against_trivial(own)[[*SETTING, "method", "beats_trivial"]]
        keys = [*SETTING, "method"]
        tables.append(cells.merge(found, on=keys).merge(marks, on=keys).merge(beats, on=keys).dropna(subset="mean"))
    columns = ["family", *SETTING, "method", "base", "mean", "sd", "n", *PUBLISHED, "stand_in", "beats_trivial"]
    if not tables:
        return pd.DataFrame(columns=columns)
    table = pd.concat(tables, ignore_index=True)
    return table.assign(base=table["method"].isin([base for base, _ in pairs]))[columns]


def _published(
    runs: pd.DataFrame, published: pd.DataFrame, artifacts: Sequence[Artifact], pair: Pair, family: str
) -> pd.DataFrame:
    """The paper's gain in each setting."""
    rows = _published_scores(runs, published, artifacts, family)
    if rows.empty:
        return pd.DataFrame(columns=[*SETTING, "published"])
    wide = rows.pivot_table(index=SETTING, columns="method", values="published", aggfunc="first")
    return gain_of(wide, pair, family).rename("published").reset_index()


def _published_scores(
    runs: pd.DataFrame, published: pd.DataFrame, artifacts: Sequence[Artifact], family: str
) -> pd.DataFrame:
    """The paper's mean and deviation of each cell and method; of several tables the first that has them."""
    found = [
        join_published(runs, published, artifact.published)
        for artifact in artifacts
        if artifact.published is not None and artifact.family == family
    ]
    keys = [*SETTING, "method"]
    if not found:
        return pd.DataFrame(columns=[*keys, *PUBLISHED])
    rows = pd.concat(found, ignore_index=True).dropna(subset="published_mean").drop_duplicates(keys)
    return rows.rename(columns={"published_mean": "published"})[[*keys, *PUBLISHED]]
