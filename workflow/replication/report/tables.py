"""The paper's tables from tidy runs, and their numbers as one tidy CSV."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from replication.errors import ConfigError, DataError
from replication.report.render import Cell, Row, Table
from replication.settings.artifacts import Artifact
from replication.statistics.cells import (
    ENOUGH_SEEDS,
    SETTING,
    Line,
    records,
    summarise,
    title_of,
    values_of,
    with_companions,
)
from replication.statistics.claims import ALPHA
from replication.statistics.numbers import gain_text, number, p_text, percent_text, with_uncertainty
from replication.statistics.paired import Pair, paired_table
from replication.statistics.published import join_published, ratio_key

Place = tuple[str, str, float]


class Numbers:
    """Everything a table shows of an artifact: cells, paired gains, published values.

    Raises DataError where the runs have no method of the artifact.
    """

    def __init__(self, artifact: Artifact, runs: pd.DataFrame, published: pd.DataFrame, value: str = "score") -> None:
        self.artifact = artifact
        self.runs = with_companions(runs[runs["experiment"].isin(artifact.sources)], artifact.experiments)
        present = set(self.runs["method"])
        self.pairs: list[Pair] = [pair for pair in artifact.pairs if set(pair) <= present]
        self.methods = [
            name for name in dict.fromkeys(self.runs["method"]) if name in _shown_methods(artifact, present)
        ]
        if not self.methods:
            raise DataError(f"{artifact.name}: the tables of runs have none of its methods, only {sorted(present)}")
        self.runs = self.runs[self.runs["method"].isin(self.methods)].reset_index(drop=True)
        self.published_table = published
        self.cells = summarise(self.runs, value)
        self.gains = paired_table(self.runs, self.pairs, value)
        self.published = join_published(self.runs, published, artifact.published)
        self._cells = _keyed(self.cells, [*SETTING, "method"])
        self._gains = _keyed(self.gains, ["baseline", "method", *SETTING])
        self._published = _keyed(self.published, [*SETTING, "method"])

    @property
    def ratios(self) -> list[float]:
        """Ratios, largest first."""
        return sorted({float(ratio) for ratio in self.runs["ratio"]}, reverse=True)

    @property
    def groups(self) -> list[tuple[str, str]]:
        """(model, data set) in the order of the runs."""
        return list(self.runs[["model", "dataset"]].drop_duplicates().itertuples(index=False, name=None))

    def title(self, kind: str, name: str) -> str:
        """The catalogue's title, else the id."""
        return title_of(self.runs, kind, name)

    def score(self, place: Place, method: str) -> Cell:
        """Mean and deviation; bold where the method wins a comparison whose interval excludes zero."""
        key = (*place, method)
        if key not in self._cells:
            return Cell()
        row = self._cells[key]
        text = with_uncertainty(row["mean"], row["sd"]) if row["n"] else "n/a"
        if row["diverged"]:
            text += f" ({int(row['diverged'])} of {int(row['diverged'] + row['n'])} diverged)"
        return Cell(text, bold=any(self._wins(place, pair, method) for pair in self.pairs))

    def _wins(self, place: Place, pair: Pair, method: str) -> bool:
        key = (*pair, *place)
        if method not in pair or key not in self._gains:
            return False
        row = self._gains[key]
        return bool(excludes_zero(row) and (row["gain"] > 0) == (method == pair[1]))

    def gain(self, place: Place, pair: Pair) -> Cell:
        """Gain with its bootstrap interval; bold where it excludes zero, a dagger where significant after Holm."""
        key = (*pair, *place)
        if key not in self._gains:
            return Cell()
        row = self._gains[key]
        text = gain_text(row["gain"], row.get("ci_low", math.nan), row.get("ci_high", math.nan))
        return Cell(text, bold=excludes_zero(row), dagger=bool(row["p_holm"] < ALPHA))

    def paper(self, place: Place, method: str) -> Cell:
        """The published mean and deviation of a cell."""
        key = (*place, method)
        if key not in self._published:
            return Cell()
        row = self._published[key]
        mean, sd = float(row["published_mean"]), float(row["published_sd"])
        return Cell(f"{mean:g} ± {sd:g}" if math.isfinite(sd) else f"{mean:g}")

    def says_more(self, column: str) -> bool:
        """Whether a further metric was recorded and is not the score itself."""
        return column in self.runs and not np.allclose(self.runs[column], self.runs["score"], equal_nan=True)

    def secondary(self, place: Place, method: str, column: str) -> Cell:
        """Mean and deviation of another metric of the chosen epoch; empty where it says nothing new."""
        if not self.says_more(column):
            return Cell()
        own = self.runs[(self.runs[[*SETTING, "method"]] == [*place, method]).all(axis="columns")]
        values = values_of(own, column).dropna()
        return Cell(with_uncertainty(values.mean(), values.std(ddof=1))) if len(values) else Cell()

    def tidy(self) -> pd.DataFrame:
        """All numbers as one table, a row a cell and comparison: for CSV and for the report."""
        cells = self.cells.merge(self.published, on=[*SETTING, "method"], how="left")
        gains = self.gains.drop(columns=["family", "n_train"]).rename(columns={"n": "pairs"})
        tidy = cells.merge(gains, on=[*SETTING, "method"], how="left")
        tidy["stand_in"] = "; ".join(sorted(set(self.runs["stand_in"]) - {""}))
        return tidy.sort_values([*SETTING, "method"], ignore_index=True)


def _keyed(table: pd.DataFrame, keys: list[str]) -> dict[tuple[Any, ...], Line]:
    return {tuple(line[key] for key in keys): line for line in records(table)}


def excludes_zero(row: Line) -> bool:
    """Whether a gain's bootstrap interval lies on one side of zero; never below three seeds."""
    low, high = row.get("ci_low", math.nan), row.get("ci_high", math.nan)
    return bool(row["n"] >= ENOUGH_SEEDS and (low > 0 or high < 0))


def _shown_methods(artifact: Artifact, present: set[str]) -> set[str]:
    return {method for pair in artifact.pairs for method in pair} & present


def build_table(artifact: Artifact, runs: pd.DataFrame, published: pd.DataFrame) -> tuple[Table, pd.DataFrame]:
    """A table in the paper's arrangement, and its numbers as tidy rows.

    Raises ConfigError for an unknown layout, DataError where the runs have no method of the artifact.
    """
    if artifact.layout not in LAYOUTS:
        raise ConfigError(
            f"artifacts.yaml: key 'artifacts.{artifact.name}.layout' is '{artifact.layout}', "
            f"expected one of {', '.join(LAYOUTS)}"
        )
    numbers = Numbers(artifact, runs, published)
    heads, rows = LAYOUTS[artifact.layout](numbers)
    table = Table(artifact.name, artifact.title, tuple(heads), tuple(rows), tuple(notes(numbers)))
    return table, numbers.tidy()


Layout = tuple[Sequence[str], list[Row]]


def _by_method(numbers: Numbers) -> Layout:
    """Rows: model, data set and method, then the gain of each pair; columns: data ratios."""
    rows = []
    for model, dataset in numbers.groups:
        places = [(model, dataset, ratio) for ratio in numbers.ratios]
        first = (numbers.title("model", model), numbers.title("dataset", dataset))
        blocks = _method_rows(numbers, places)
        rows += [Row((*first, label), cells, rule=index == 0) for index, (label, cells) in enumerate(blocks)]
    heads = ["Model", "Data set", "Method", *_ratio_heads(numbers)]
    return heads, rows


def _by_ratio(numbers: Numbers) -> Layout:
    """Language: rows ratio and method, columns data sets. PDEs, or one data set: as :func:`_by_method`."""
    if numbers.artifact.family == "sciml" or len({dataset for _, dataset in numbers.groups}) < 2:
        return _by_method(numbers)
    rows = []
    models = list(dict.fromkeys(model for model, _ in numbers.groups))
    datasets = list(dict.fromkeys(dataset for _, dataset in numbers.groups))
    for model in models:
        for ratio in numbers.ratios:
            places = [(model, dataset, ratio) for dataset in datasets]
            blocks = _method_rows(numbers, places, average=True)
            first = (numbers.title("model", model), percent_text(ratio))
            rows += [Row((*first, label), cells, rule=index == 0) for index, (label, cells) in enumerate(blocks)]
    return ["Model", "Ratio", "Method", *(numbers.title("dataset", name) for name in datasets), "Average"], rows


def _method_rows(
    numbers: Numbers, places: Sequence[Place], *, average: bool = False
) -> list[tuple[str, tuple[Cell, ...]]]:
    """Scores of each method, gains of each pair and published scores at some places, as labelled rows."""
    blocks = []
    for method in numbers.methods:
        cells = tuple(numbers.score(place, method) for place in places)
        mean = (_average(numbers, places, method),) if average else ()
        blocks.append((numbers.title("method", method), cells + mean))
    unit = "%" if numbers.artifact.family == "sciml" else "points"
    spare = (Cell(),) if average else ()
    for pair in numbers.pairs:
        base, other = (numbers.title("method", name) for name in pair)
        label = f"{other}: error reduction against {base} (%)" if unit == "%" else f"{other} minus {base}"
        blocks.append((label, tuple(numbers.gain(place, pair) for place in places) + spare))
    for column, name in SECONDARY.items():
        blocks += [
            (
                f"{numbers.title('method', method)}, {name}",
                tuple(numbers.secondary(place, method, column) for place in places) + spare,
            )
            for method in numbers.methods
        ]
    for method in numbers.methods:
        cells = tuple(numbers.paper(place, method) for place in places)
        if any(cell.text for cell in cells):
            blocks.append((f"{numbers.title('method', method)}, published", cells + spare))
    return [(label, cells) for label, cells in blocks if any(cell.text for cell in cells)]


def _average(numbers: Numbers, places: Sequence[Place], method: str) -> Cell:
    """Mean over the data sets; empty unless each has a score."""
    rows = numbers.cells[numbers.cells["method"] == method].set_index(SETTING)["mean"]
    values = [rows.get(place, math.nan) for place in places]
    return Cell(number(sum(values) / len(values), 2)) if all(map(math.isfinite, values)) else Cell()


def _ratio_heads(numbers: Numbers) -> list[str]:
    heads = []
    for ratio in numbers.ratios:
        sizes = numbers.runs.loc[numbers.runs["ratio"] == ratio, "n_train"]
        low, high = int(sizes.min()), int(sizes.max())
        heads.append(f"{percent_text(ratio)} (n = {low}{'' if low == high else f'–{high}'})")
    return heads


def _lines(table: pd.DataFrame) -> list[Line]:
    """Rows of a paired table in reading order: largest ratio first."""
    table = table.sort_values(["model", "dataset", "ratio"], ascending=[True, True, False])
    return records(table)


def _labels(numbers: Numbers, line: Line) -> tuple[str, str, str]:
    names = (numbers.title(kind, line[kind]) for kind in ("model", "dataset"))
    return (*names, percent_text(line["ratio"]))  # type: ignore[return-value]


def _t_test(numbers: Numbers) -> Layout:
    """Rows: model, data set and ratio; columns: the paired tests, and the published p-value."""
    table = numbers.published_table
    published = table[table["artifact"] == numbers.artifact.published]
    p_values = {(row["dataset"], ratio_key(row["ratio"])): row["mean"] for row in records(published)}
    rows = []
    for line in _lines(numbers.gains):
        place = (line["model"], line["dataset"], line["ratio"])
        pair = (line["baseline"], line["method"])
        tests = [Cell(p_text(line.get(name, math.nan))) for name in ("p_t", "p_holm", "p_wilcoxon")]
        paper = p_values.get((line["dataset"], ratio_key(line["ratio"])))
        cells = (
            Cell(str(line["n"])), *(numbers.score(place, method) for method in pair), numbers.gain(place, pair),
            *tests, Cell("" if paper is None else f"{paper:.3g}"),
        )  # fmt: skip
        rows.append(Row(_labels(numbers, line), cells))
    base, other = (numbers.title("method", name) for name in numbers.artifact.pairs[0])
    heads = ["Model", "Data set", "Ratio", "Pairs", base, other, "Gain", "p (paired t)", "p (Holm)", "p (Wilcoxon)"]
    return [*heads, "p published"], rows


#: Metrics shown below the score.
SECONDARY = {"test_selected_nrmse_rollout": "predicted frames only"}
LAYOUTS: dict[str, Callable[[Numbers], Layout]] = {
    "by_method": _by_method,
    "by_ratio": _by_ratio,
    "t_test": _t_test,
}


def _unit(numbers: Numbers) -> str:
    if numbers.artifact.family == "nlp":
        return "Scores in per cent."
    diluted = any(numbers.says_more(column) for column in SECONDARY)
    over = ", averaged over the given frames too, whose error is zero" if diluted else ""
    return f"nRMSE as PDEBench defines it{over}; lower is better."


def notes(numbers: Numbers) -> list[str]:
    """What a reader must know: stand-ins, seeds, rounding, meaning of bold and dagger, the paper's inconsistencies."""
    runs = numbers.runs
    found = [f"Stand-in: {text}." for text in sorted(set(runs["stand_in"]) - {""})]
    seeds = runs.groupby([*SETTING, "method"])["seed"].nunique()
    low, high = int(seeds.min()), int(seeds.max())
    if high == 1:
        found.append("One seed a cell.")
    else:
        found.append(f"Mean ± standard deviation over {high if low == high else f'{low} to {high}'} seeds.")
    if low < ENOUGH_SEEDS:
        found.append("Cells with fewer than 3 seeds are shown without interval or claim.")
    found.append(_unit(numbers) + " Epochs are chosen on validation rows; the paper chose them on the test set.")
    if high >= ENOUGH_SEEDS:
        found.append(
            "Gains are paired by seed, with bootstrap 95 % intervals. Bold: the interval excludes zero, which with "
            "three seeds happens by chance in one cell of four. Dagger: paired t-test, Holm's correction, below .05."
        )
    if len(numbers.published) and not numbers.published["same_setting"].all():
        found.append("Published rows are of the paper's own models and data, which ours only stand in for.")
    return found + list(numbers.artifact.footnotes)


__all__ = ["LAYOUTS", "Numbers", "build_table", "excludes_zero", "notes"]
