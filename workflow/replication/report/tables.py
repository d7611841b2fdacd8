"""The paper's tables from tidy runs, and their numbers as one tidy CSV."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from replication.errors import ConfigError
from replication.report.render import DAGGER, Entry, Row, Table
from replication.settings.artifacts import Artifact
from replication.statistics.artifact import Numbers
from replication.statistics.cells import (
    ENOUGH_SEEDS,
    ROLLOUT,
    SETTING,
    Line,
    predicted_frames_only,
    records,
    stand_ins,
    values_of,
)
from replication.statistics.claims import ALPHA
from replication.statistics.numbers import gain_text, number, p_text, percent_text, with_uncertainty
from replication.statistics.paired import Pair
from replication.statistics.published import ratio_key
from replication.statistics.trivial import TITLES

#: Model, data set and data ratio.
Setting = tuple[str, str, float]
NOT_BETTER = "‡"


class Entries:
    """The numbers of an artifact as entries of a table."""

    def __init__(self, numbers: Numbers) -> None:
        self.numbers = numbers
        self._cells = _keyed(numbers.cells, *SETTING, "method")
        self._gains = _keyed(numbers.gains, "baseline", "method", *SETTING)
        self._published = _keyed(numbers.published, *SETTING, "method")
        self._trivial = _keyed(numbers.trivial, *SETTING, "method")

    @property
    def ddof(self) -> int:
        """Of standard deviations: 0, as in the paper, if published values are shown too, else 1."""
        return 0 if self._published else 1

    def score(self, setting: Setting, method: str) -> Entry:
        """Mean and deviation; bold if the method wins a comparison whose interval excludes zero."""
        key = (*setting, method)
        if key not in self._cells:
            return Entry()
        row = self._cells[key]
        # A single run has no deviation: its sd is missing, but its sd_ddof0 would be zero.
        text = with_uncertainty(row["mean"], row["sd"] if self.ddof or row["n"] < 2 else row["sd_ddof0"])
        if row["diverged"]:
            text += f" ({int(row['diverged'])} of {int(row['diverged'] + row['n'])} diverged)"
        if not self._trivial[key]["beats_trivial"]:
            text += NOT_BETTER
        pairs = [pair for pair in self.numbers.pairs if method in pair]
        return Entry(text, bold=any(self._wins(setting, pair, method) for pair in pairs))

    def _wins(self, setting: Setting, pair: Pair, method: str) -> bool:
        row = self._gains.get((*pair, *setting))
        return row is not None and bool(row["ci_low"] > 0 if method == pair[1] else row["ci_high"] < 0)

    def gain(self, setting: Setting, pair: Pair) -> Entry:
        """Gain with its bootstrap interval; bold if it excludes zero, a dagger if significant after Holm."""
        row = self._gains.get((*pair, *setting))
        if row is None:
            return Entry()
        low, high = row["ci_low"], row["ci_high"]
        text = gain_text(row["gain"], low, high) + DAGGER * bool(row["p_holm"] < ALPHA)
        return Entry(text, bold=bool(low > 0 or high < 0))

    def trivial(self, setting: Setting) -> Entry:
        """The best trivial predictor of the data set, in the metric of the scores."""
        for method in self.numbers.methods:
            row = self._trivial.get((*setting, method))
            if row is not None and not math.isnan(row["trivial_score"]):
                return Entry(f"{row['trivial_score']:.3g} ({TITLES[row['trivial']]})")
        return Entry()

    def published(self, setting: Setting, method: str) -> Entry:
        """The published mean and deviation of a cell, as printed."""
        row = self._published.get((*setting, method))
        if row is None:
            return Entry()
        mean, sd = float(row["published_mean"]), float(row["published_sd"])
        return Entry(f"{mean:g} ± {sd:g}" if math.isfinite(sd) else f"{mean:g}")

    def published_undiluted(self, setting: Setting, method: str) -> Entry:
        """The published error of the predicted frames alone."""
        row = self._published.get((*setting, method))
        if row is None or math.isnan(row["published_undiluted"]):
            return Entry()
        return Entry(f"{row['published_undiluted']:.3g}")

    def diluted(self, settings: Sequence[Setting]) -> bool | None:
        """Whether the score of these settings averages over initial steps too; None if that was not recorded."""
        own = self.numbers.runs
        if ROLLOUT not in own:
            return None
        own = own[pd.MultiIndex.from_frame(own[SETTING]).isin(settings)]
        return not predicted_frames_only(own).all()

    def other_convention(self, setting: Setting, method: str, *, factor: float, column: str) -> Entry:
        """Mean and deviation of a column times a factor."""
        own = self.numbers.runs
        own = own[(own[[*SETTING, "method"]] == [*setting, method]).all(axis="columns")]
        values = factor * values_of(own, column).dropna()
        if values.empty:
            return Entry()
        return Entry(with_uncertainty(values.mean(), values.std(ddof=self.ddof if len(values) > 1 else 1)))


def _keyed(table: pd.DataFrame, *keys: str) -> dict[tuple[Any, ...], Line]:
    return {tuple(line[key] for key in keys): line for line in records(table)}


def build_table(artifact: Artifact, runs: pd.DataFrame, published: pd.DataFrame) -> tuple[Table, pd.DataFrame]:
    """A table in the paper's arrangement, and its numbers as tidy rows.

    Raises ConfigError for an unknown layout, DataError if the runs have no method of the artifact.
    """
    if artifact.layout not in LAYOUTS:
        raise ConfigError(
            f"artifacts.yaml: key 'artifacts.{artifact.name}.layout' is '{artifact.layout}', "
            f"expected one of {', '.join(LAYOUTS)}"
        )
    numbers = Numbers(artifact, runs, published)
    entries = Entries(numbers)
    heads, rows = LAYOUTS[artifact.layout](entries)
    table = Table(artifact.name, artifact.title, tuple(heads), tuple(rows), tuple(notes(entries)))
    return table, numbers.tidy()


Layout = tuple[Sequence[str], list[Row]]


def _by_method(entries: Entries) -> Layout:
    """Rows: model, data set and method, then the gain of each pair; columns: data ratios."""
    numbers = entries.numbers
    rows = []
    for model, dataset in numbers.groups:
        settings = [(model, dataset, ratio) for ratio in numbers.ratios]
        first = (numbers.title("model", model), numbers.title("dataset", dataset))
        rows += _grouped(first, _method_rows(entries, settings))
    heads = ["Model", "Data set", "Method", *_ratio_heads(numbers)]
    return heads, rows


def _by_ratio(entries: Entries) -> Layout:
    """Language: rows ratio and method, columns data sets. PDEs, or one data set: as :func:`_by_method`."""
    numbers = entries.numbers
    datasets = list(dict.fromkeys(dataset for _, dataset in numbers.groups))
    if numbers.artifact.family == "sciml" or len(datasets) < 2:
        return _by_method(entries)
    rows = []
    for model in dict.fromkeys(model for model, _ in numbers.groups):
        for ratio in numbers.ratios:
            settings = [(model, dataset, ratio) for dataset in datasets]
            first = (numbers.title("model", model), percent_text(ratio))
            rows += _grouped(first, _method_rows(entries, settings, average=True))
    return ["Model", "Ratio", "Method", *(numbers.title("dataset", name) for name in datasets), "Average"], rows


def _grouped(first: tuple[str, str], labelled: Sequence[tuple[str, tuple[Entry, ...]]]) -> list[Row]:
    """Rows of one group, with a rule above the first."""
    return [Row((*first, label), found, rule=index == 0) for index, (label, found) in enumerate(labelled)]


def _method_rows(
    entries: Entries, settings: Sequence[Setting], *, average: bool = False
) -> list[tuple[str, tuple[Entry, ...]]]:
    """Labelled rows of some settings: scores of each method, gains of each pair, trivial and published scores."""
    numbers = entries.numbers
    found: list[tuple[str, list[Entry]]] = []
    for method in numbers.methods:
        scores = [entries.score(setting, method) for setting in settings]
        mean = [_average(numbers, settings, method)] if average else []
        found.append((numbers.title("method", method), scores + mean))
    for pair in numbers.pairs:
        base, other = (numbers.title("method", name) for name in pair)
        percent = numbers.artifact.family == "sciml"
        label = f"{other}: error reduction against {base} (%)" if percent else f"{other} minus {base}"
        found.append((label, [entries.gain(setting, pair) for setting in settings]))
    found += _other_convention_rows(entries, settings)
    found.append(("best trivial predictor", [entries.trivial(setting) for setting in settings]))
    for method in numbers.methods:
        title = numbers.title("method", method)
        found.append((f"{title}, published", [entries.published(setting, method) for setting in settings]))
        undiluted = [entries.published_undiluted(setting, method) for setting in settings]
        found.append((f"{title}, published, predicted frames only", undiluted))
    width = len(settings) + average
    return [
        (label, tuple(row + [Entry()] * (width - len(row)))) for label, row in found if any(one.text for one in row)
    ]


def _other_convention_rows(entries: Entries, settings: Sequence[Setting]) -> list[tuple[str, list[Entry]]]:
    """Errors in the other convention than the score's: predicted frames only, or PDEBench's."""
    diluted = entries.diluted(settings)
    if diluted is None:
        return []
    # Darcy's score is the error of the prediction; PDEBench's code counts the coefficient as an error-free frame.
    factor, column = (1.0, ROLLOUT) if diluted else (0.5, "score")
    label = "predicted frames only" if diluted else "as PDEBench averages (coefficient counted as a frame)"
    return [
        (
            f"{entries.numbers.title('method', method)}, {label}",
            [entries.other_convention(setting, method, factor=factor, column=column) for setting in settings],
        )
        for method in entries.numbers.methods
    ]


def _average(numbers: Numbers, settings: Sequence[Setting], method: str) -> Entry:
    """Mean over the data sets; empty unless each has a score."""
    rows = numbers.cells[numbers.cells["method"] == method].set_index(SETTING)["mean"]
    values = [rows.get(setting, math.nan) for setting in settings]
    return Entry(number(sum(values) / len(values), 2)) if all(map(math.isfinite, values)) else Entry()


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


def _t_test(entries: Entries) -> Layout:
    """Rows: model, data set and ratio; columns: the paired tests, and the published p-value."""
    numbers = entries.numbers
    table = numbers.published_table
    published = table[table["artifact"] == numbers.artifact.published]
    p_values = {(row["dataset"], ratio_key(row["ratio"])): row["mean"] for row in records(published)}
    rows = []
    for line in _lines(numbers.gains):
        setting = (line["model"], line["dataset"], line["ratio"])
        pair = (line["baseline"], line["method"])
        tests = [Entry(p_text(line.get(name, math.nan))) for name in ("p_t", "p_holm", "p_wilcoxon")]
        paper = p_values.get((line["dataset"], ratio_key(line["ratio"])))
        found = (
            Entry(str(line["n"])), *(entries.score(setting, method) for method in pair), entries.gain(setting, pair),
            *tests, entries.trivial(setting), Entry("" if paper is None else f"{paper:.3g}"),
        )  # fmt: skip
        rows.append(Row(_labels(numbers, line), found))
    base, other = (numbers.title("method", name) for name in numbers.artifact.pairs[0])
    heads = ["Model", "Data set", "Ratio", "Pairs", base, other, "Gain", "p (paired t)", "p (Holm)", "p (Wilcoxon)"]
    return [*heads, "Best trivial predictor", "p published"], rows


LAYOUTS: dict[str, Callable[[Entries], Layout]] = {"by_method": _by_method, "by_ratio": _by_ratio, "t_test": _t_test}


def _unit(entries: Entries) -> str:
    if entries.numbers.artifact.family == "nlp":
        return "Scores in per cent."
    settings = [tuple(key) for key in entries.numbers.cells[SETTING].itertuples(index=False, name=None)]
    over = ", averaged over the initial steps too, whose error is zero" if entries.diluted(settings) else ""
    return f"nRMSE as PDEBench defines it{over}; lower is better."


def notes(entries: Entries) -> list[str]:
    """What a reader must know: stand-ins, seeds, rounding, marks, and inconsistencies in the paper."""
    numbers = entries.numbers
    runs = numbers.runs
    found = [f"Stand-in: {text}." for text in stand_ins(runs)]
    seeds = runs.groupby([*SETTING, "method"])["seed"].nunique()
    low, high = int(seeds.min()), int(seeds.max())
    if high == 1:
        found.append("One seed per cell.")
    else:
        ddof = "ddof 1" if entries.ddof else "ddof 0, the paper's convention; ddof 1 stands in the CSV"
        found.append(f"Mean ± standard deviation ({ddof}) over {high if low == high else f'{low} to {high}'} seeds.")
    if low < ENOUGH_SEEDS:
        found.append("Cells with fewer than 3 seeds are shown without interval or claim.")
    found.append(_unit(entries) + " Epochs are chosen on validation rows; the paper chose them on the test set.")
    if high >= ENOUGH_SEEDS:
        found.append(
            "Gains are paired by seed, with bootstrap 95 % intervals. Bold: the interval excludes zero, which with "
            "three seeds happens by chance in one cell of four. Dagger: paired t-test, Holm's correction, below .05."
        )
    if not numbers.trivial["beats_trivial"].all():
        found.append(f"{NOT_BETTER} Not better than the best trivial predictor of the data set.")
    if len(numbers.published) and not numbers.published["same_setting"].all():
        found.append("Published rows are of the paper's own models and data, which ours only stand in for.")
    return found + list(numbers.artifact.footnotes)
