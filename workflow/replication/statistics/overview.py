"""Every cell in one table: its gain, for the forest plot, and its scores with the published ones."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from replication.settings.artifacts import Artifact
from replication.statistics.cells import SETTING, each_once, predicted_frames_only, summarise, title_of
from replication.statistics.paired import MAIN_PAIRS, by_pair, paired_table
from replication.statistics.published import gain_of, join_published
from replication.statistics.trivial import against_trivial, learned

PUBLISHED = ["published", "published_sd", "published_undiluted"]


def gain_table(runs: pd.DataFrame, published: pd.DataFrame, artifacts: Sequence[Artifact]) -> pd.DataFrame:
    """The gain of TempBalance in every cell, each cell once; published values are those of the artifacts.

    Returns the columns of :func:`replication.statistics.paired.paired_table`, and ``model_title``, ``dataset_title``,
    ``stand_in`` (empty if model and data are the paper's), ``learned`` (whether one of the methods beats the trivial
    predictors) and ``published`` (the paper's gain in the same unit, missing if it has none).
    """
    tables = []
    for family, pair, used in by_pair(runs):
        marks = used.assign(learned=learned(used)).drop_duplicates(SETTING)[[*SETTING, "stand_in", "learned"]]
        scores = _published_scores(used, published, artifacts, family)
        wide = scores.pivot_table(index=SETTING, columns="method", values="published", aggfunc="first")
        paper = gain_of(wide, pair, family).rename("published").reset_index()
        table = paired_table(used, [pair]).merge(marks, on=SETTING).merge(paper, on=SETTING, how="left")
        for kind in ("model", "dataset"):
            table[f"{kind}_title"] = [title_of(used, kind, str(name)) for name in table[kind]]
        tables.append(table)
    if not tables:
        return pd.DataFrame(
            columns=["baseline", "method", "family", *SETTING, "gain", "learned", "stand_in", "published"]
        )
    return pd.concat(tables, ignore_index=True)


def measured_table(runs: pd.DataFrame, published: pd.DataFrame, artifacts: Sequence[Artifact]) -> pd.DataFrame:
    """Measured and published scores of the methods of :data:`MAIN_PAIRS`: one row per cell with a published value.

    Returns columns ``family``, those of the cell, ``base`` (whether its method is the baseline), ``mean``, ``sd`` and
    ``published_sd`` (``ddof=0``), ``n``, ``published``, ``published_undiluted`` (the error of the predicted frames
    alone, missing for other metrics), ``stand_in`` and ``beats_trivial``; scores are in the paper's unit. Where ours is
    the error of the predicted frames alone (Darcy), ``published`` is too.
    """
    wanted = runs[runs["method"].isin([name for pair in MAIN_PAIRS for name in pair])]
    tables = []
    for family, own in each_once(wanted).groupby("family"):
        found = _published_scores(own, published, artifacts, str(family))
        if found.empty:
            continue
        cells = summarise(own).drop(columns="sd").rename(columns={"sd_ddof0": "sd"})
        keys = [*SETTING, "method"]
        marks = own.assign(alone=predicted_frames_only(own)).drop_duplicates(keys)[[*keys, "stand_in", "alone"]]
        beats = against_trivial(own)[[*keys, "beats_trivial"]]
        tables.append(cells.merge(found, on=keys).merge(marks, on=keys).merge(beats, on=keys).dropna(subset="mean"))
    columns = ["family", *SETTING, "method", "base", "mean", "sd", "n", *PUBLISHED, "stand_in", "beats_trivial"]
    if not tables:
        return pd.DataFrame(columns=columns)
    table = pd.concat(tables, ignore_index=True)
    factor = (table["published_undiluted"] / table["published"]).where(table["alone"], 1.0)
    table[["published", "published_sd"]] = table[["published", "published_sd"]].mul(factor, axis=0)
    return table.assign(base=table["method"].isin([base for base, _ in MAIN_PAIRS]))[columns]


def _published_scores(
    runs: pd.DataFrame, published: pd.DataFrame, artifacts: Sequence[Artifact], family: str
) -> pd.DataFrame:
    """The paper's mean and standard deviation of each cell, from the first table that has them."""
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
