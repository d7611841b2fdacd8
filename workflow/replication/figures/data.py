"""The data of a figure: an artifact's runs and spectra, split into panels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from replication.settings.artifacts import Artifact
from replication.settings.paths import RunPath
from replication.statistics.artifact import Numbers
from replication.statistics.cells import read_runs, read_stacked, spread_of, title_of, with_companions
from replication.statistics.numbers import percent_text
from replication.statistics.paired import Pair, present_pairs
from replication.runs.records import files_of_runs
from replication.runs.spectra import stored_eigenvalues
from replication.runs.predictions import Rollout, error_table, read_rollout
from replication.statistics.published import read_published
from replication.statistics.strength import gains_by_strength
from replication.errors import DataError

METRICS = {
    "accuracy_f1_mean": "mean of accuracy and F1",
    "group_f1": "F1 per question",
    "f1": "F1",
    "f1_macro": "macro F1",
    "f1_micro": "micro F1",
    "span_f1": "F1",
    "matthews": "Matthews correlation",
    "pearson_spearman_mean": "mean of Pearson and Spearman",
    "nrmse": "nRMSE",
}

#: Layouts that show scores. The other layouts with a data ratio show the STD of alpha.
SCORE_LAYOUTS = ("fig3_glue_ratio", "fig4_cfd_ratio", "fig5_domain")


@dataclass(frozen=True)
class FigureData:
    """Everything that a figure may show.

    Attributes:
        artifact: the figure's entry in the index.
        runs: ``runs.csv`` of its experiments below each other.
        layers: their ``layers.csv``.
        spectra: their ``spectra.csv``.
        published: the table of published results.
        eigenvalues: trained weights' spectra of the runs that Figure 1 shows: layer -> ``[N]`` ascending.
        predictions: rollouts of one test sample, of the runs that a figure of sample predictions shows.
    """

    artifact: Artifact
    runs: pd.DataFrame
    layers: pd.DataFrame = field(default_factory=pd.DataFrame)
    spectra: pd.DataFrame = field(default_factory=pd.DataFrame)
    published: pd.DataFrame = field(default_factory=pd.DataFrame)
    eigenvalues: Mapping[RunPath, Mapping[str, NDArray[np.floating]]] = field(default_factory=dict)
    predictions: Mapping[RunPath, Rollout] = field(default_factory=dict)
    _numbers: dict[str, Numbers] = field(default_factory=dict, repr=False)

    @classmethod
    def read(
        cls,
        artifact: Artifact,
        *,
        runs: Sequence[Path],
        layers: Sequence[Path] = (),
        spectra: Sequence[Path] = (),
        eigenvalues: Sequence[Path] = (),
        predictions: Sequence[Path] = (),
        published: Path | None = None,
    ) -> FigureData:
        """The data of an artifact from its files. Raises DataError if one cannot be read."""
        table = read_runs(runs)
        return cls(
            artifact=artifact,
            runs=table,
            layers=read_stacked(layers),
            spectra=read_stacked(spectra),
            published=pd.DataFrame() if published is None else read_published(published),
            eigenvalues={RunPath.of(path): read_eigenvalues(path) for path in files_of_runs(table, eigenvalues)},
            predictions={RunPath.of(path): read_rollout(path) for path in files_of_runs(table, predictions)},
        )

    @cached_property
    def pair(self) -> Pair:
        """Baseline and balanced method. Raises DataError if the runs have none of the artifact's pairs."""
        pairs = present_pairs(self.artifact.pairs, self.runs)
        if not pairs:
            raise DataError(
                f"{self.artifact.name}: the runs have the methods {', '.join(sorted(set(self.runs['method'])))}, "
                f"but not both of one of the pairs {list(self.artifact.pairs)}"
            )
        return pairs[0]

    @cached_property
    def shown(self) -> pd.DataFrame:
        """Runs of the pair's methods."""
        own = with_companions(self.runs, self.artifact.experiments)
        return own[own["method"].isin(self.pair)].reset_index(drop=True)

    @cached_property
    def panels(self) -> list[tuple[str, pd.DataFrame]]:
        """Title and runs of one panel per model and data set, in the order of the tables."""
        mixed = 0 < (self.shown["stand_in"] != "").sum() < len(self.shown)
        panels = []
        for (model, dataset), runs in self.shown.groupby(["model", "dataset"], sort=False):
            title = f"{self.title('model', str(model))}\n{self.title('dataset', str(dataset))}"
            panels.append((title + " (stand-in)" * bool(mixed and (runs["stand_in"] != "").any()), runs))
        return panels

    @cached_property
    def stand_ins(self) -> list[str]:
        """Small print: what the models and data of the figure's runs stand in for."""
        return [f"Stand-in: {text}" for text in dict.fromkeys(self.shown["stand_in"]) if text]

    def numbers(self, value: str) -> Numbers:
        """Cells, gains and published values of the pair, for ``score`` or another column; computed once."""
        if value not in self._numbers:
            artifact = replace(self.artifact, pairs=(self.pair,))
            self._numbers[value] = Numbers(artifact, self.runs, self.published, value)
        return self._numbers[value]

    def all_pairs(self, value: str) -> Numbers:
        """The same for every pair of the artifact that the runs have."""
        return Numbers(self.artifact, self.runs, self.published, value)

    @property
    def spread(self) -> str:
        """The column of the paper's STD of alpha."""
        return spread_of(self.artifact.family)

    @property
    def value(self) -> str:
        """What a figure with a data ratio is about: ``score``, or the column of the STD of alpha."""
        return "score" if self.artifact.layout in SCORE_LAYOUTS else self.spread

    def spread_before(self, runs: pd.DataFrame) -> float | None:
        """STD of the exponents before training, mean over a panel's runs; None if it was not recorded.

        Over the layers that count after training, so that the two compare.
        """
        if self.spectra.empty or self.layers.empty:
            return None
        keys = ["experiment", "model", "dataset", "ratio", "method", "seed"]
        counted = runs[keys].merge(self.layers.dropna(subset=["alpha"])[[*keys, "layer", "block"]], on=keys)
        first = self.spectra[self.spectra["epoch"] == 0][[*keys, "layer", "alpha"]]
        joined = counted.merge(first, on=[*keys, "layer"], how="left")
        if joined.empty or joined["alpha"].isna().any():
            return None
        if self.spread == "alpha_std_block":
            joined = joined.dropna(subset=["block"]).groupby([*keys, "block"])["alpha"].mean().reset_index()
        return float(joined.groupby(keys)["alpha"].std(ddof=0).mean())

    def table(self) -> pd.DataFrame:
        """The numbers of the figure, for its CSV."""
        if self.artifact.flow_dimension is not None:
            return error_table(self.runs, self.predictions)
        if self.artifact.layout == "fig1_esd":
            return block_exponents(self.shown, self.layers)
        if self.artifact.layout == "gain_map":
            return pd.concat([gains_by_strength(self.all_pairs(value)) for value in ("score", self.spread)])
        # The STD over layers stands beside the paper's over blocks.
        values = [self.value, "alpha_std"] if self.value == "alpha_std_block" else [self.value]
        tables = [self.numbers(value).tidy() for value in values]
        return pd.concat([table.dropna(axis="columns", how="all") for table in tables], ignore_index=True)

    def title(self, kind: str, name: str) -> str:
        """The catalogue's title of a model, data set or method, else its id."""
        return title_of(self.runs, kind, name)

    def setting(self, run: RunPath) -> str:
        """Small print: ``<model> on <data set>, 0.88 % (67 samples)``."""
        count = self.runs.loc[self.runs["run"] == str(run), "n_train"].iloc[0]
        share = f"{percent_text(run.ratio)} ({short_count(count)} samples)"
        return f"{self.title('model', run.model)} on {self.title('dataset', run.dataset)}, {share}"

    def score_label(self, runs: pd.DataFrame) -> str:
        """Axis label for scores, with the unit."""
        labels = [METRICS.get(name, name.replace("_", " ")) for name in dict.fromkeys(runs["metric"].dropna())]
        if not labels:
            return "score"
        return ", ".join(labels if (runs["family"] == "sciml").all() else [*labels, "%"])


def block_exponents(runs: pd.DataFrame, layers: pd.DataFrame) -> pd.DataFrame:
    """Exponent of each block at the smallest ratio: mean and SD over seeds, one row per method and block."""
    first = runs[["experiment", "model", "dataset"]].iloc[0]
    here = layers[(layers[first.index] == first).all(axis=1)]
    keys = ["model", "dataset", "ratio", "method", "block"]
    seeds = here[here["ratio"] == here["ratio"].min()].groupby([*keys, "seed"])["alpha"].mean()
    return seeds.groupby(keys).agg(alpha_mean="mean", alpha_sd="std", seeds="count").reset_index()


def read_eigenvalues(path: Path) -> dict[str, NDArray[np.floating]]:
    """Layer -> eigenvalues after training, of an ``eigenvalues.npz``. Raises DataError if it is damaged."""
    last = {layer: own["last"] for layer, own in stored_eigenvalues(path).items() if "last" in own}
    if not last:
        raise DataError(f"{path}: holds no eigenvalues of trained weights; delete {path.parent} and run again")
    return last


def short_count(count: float) -> str:
    """A number of samples, short enough for a tick: ``67``, ``19.6k``."""
    return f"{count:.0f}" if count < 10_000 else f"{count / 1000:.3g}k"
