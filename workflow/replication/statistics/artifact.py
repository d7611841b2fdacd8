"""The numbers of a figure or table: cells, paired gains, published values, trivial predictors."""

from __future__ import annotations

from functools import cached_property

import pandas as pd

from replication.errors import DataError
from replication.settings.artifacts import Artifact
from replication.statistics.cells import SETTING, stand_ins, summarise, title_of, with_companions
from replication.statistics.paired import paired_table, present_pairs
from replication.statistics.published import join_published
from replication.statistics.trivial import against_trivial


class Numbers:
    """The numbers of an artifact, of which ``value`` is ``score`` or another column of the runs.

    Attributes:
        runs: the runs of the artifact's methods.
        methods: those of its methods that have runs.
        pairs: pairs of methods that both have runs.
        cells: one row per cell (:func:`replication.statistics.cells.summarise`).
        gains: one row per pair and setting (:func:`replication.statistics.paired.paired_table`).

    Raises DataError if no run has a method of the artifact.
    """

    def __init__(self, artifact: Artifact, runs: pd.DataFrame, published: pd.DataFrame, value: str = "score") -> None:
        own = with_companions(runs[runs["experiment"].isin(artifact.sources)], artifact.experiments)
        named = {method for pair in artifact.pairs for method in pair}
        self.artifact, self.value, self.published_table = artifact, value, published
        self.pairs = present_pairs(artifact.pairs, own)
        self.methods = [name for name in dict.fromkeys(own["method"]) if name in named]
        if not self.methods:
            raise DataError(f"{artifact.name}: the runs have none of its methods, only {sorted(set(own['method']))}")
        self.runs = own[own["method"].isin(self.methods)].reset_index(drop=True)
        self.cells = summarise(self.runs, value)
        self.gains = paired_table(self.runs, self.pairs, value)

    @cached_property
    def published(self) -> pd.DataFrame:
        """Published scores of the cells (:func:`replication.statistics.published.join_published`)."""
        if self.published_table.empty:
            return pd.DataFrame(columns=[*SETTING, "method", "published_mean", "published_sd", "same_setting"])
        return join_published(self.runs, self.published_table, self.artifact.published)

    @cached_property
    def trivial(self) -> pd.DataFrame:
        """The best trivial predictor of every cell (:func:`replication.statistics.trivial.against_trivial`)."""
        return against_trivial(self.runs)

    @property
    def ratios(self) -> list[float]:
        """Data ratios, largest first."""
        return sorted({float(ratio) for ratio in self.runs["ratio"]}, reverse=True)

    @property
    def groups(self) -> list[tuple[str, str]]:
        """(model, data set) in the order of the runs."""
        return list(self.runs[["model", "dataset"]].drop_duplicates().itertuples(index=False, name=None))

    def title(self, kind: str, name: str) -> str:
        """See :func:`replication.statistics.cells.title_of`."""
        return title_of(self.runs, kind, name)

    def tidy(self) -> pd.DataFrame:
        """All numbers as one table, one row per cell and comparison: the CSV of a figure or table."""
        tidy = self.cells.assign(value=self.value)
        if self.value == "score":
            tidy = tidy.merge(self.published, on=[*SETTING, "method"], how="left")
            tidy = tidy.merge(self.trivial.drop(columns="mean"), on=[*SETTING, "method"], how="left")
        gains = self.gains.drop(columns=["family", "n_train"]).rename(columns={"n": "pairs"})
        tidy = tidy.merge(gains, on=[*SETTING, "method"], how="left")
        tidy["stand_in"] = "; ".join(stand_ins(self.runs))
        return tidy.sort_values([*SETTING, "method"], ignore_index=True)
