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
    summarise,
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
        """Of the standard deviations: 0, as in the paper, beside published values, otherwise 1."""
        return 0 if self._published else 1

    def score(self, setting: Setting, method: str) -> Entry:
        """Mean and deviation; bold if the method wins a comparison whose interval excludes zero."""
        key = (*setting, method)
        if key not in self._cells:
            return Entry()
        row = self._cells[key]
        text = self._mean_text(row, 1.0)
        if row["diverged"]:
            text += f" ({int(row['diverged'])} of {int(row['diverged'] + row['n'])} diverged)"
        if not self._trivial[key]["beats_trivial"]:
            text += NOT_BETTER
        pairs = [pair for pair in self.numbers.pairs if method in pair]
        return Entry(text, bold=any(self._wins(setting, pair, method) for pair in pairs))

    def _mean_text(self, row: Line, factor: float) -> str:
        # A single run has no deviation: its sd is missing, but its sd_ddof0 would be zero.
        sd = row["sd"] if self.ddof or row["n"] < 2 else row["sd_ddof0"]
        return with_uncertainty(factor * row["mean"], factor * sd)

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
        rows = [self._trivial.get((*setting, method)) for method in self.numbers.methods]
        known = [row for row in rows if row is not None and not math.isnan(row["trivial_score"])]
        return Entry(f"{known[0]['trivial_score']:.3g} ({TITLES[known[0]['trivial']]})" if known else "")

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

    def other_convention(self, column: str, factor: float) -> Callable[[Setting, str], Entry]:
        """A function for entries as :meth:`score`: mean and deviation of another column, times a factor."""
        cells = _keyed(summarise(self.numbers.runs, column), *SETTING, "method")

        def entry(setting: Setting, method: str) -> Entry:
            row = cells.get((*setting, method))
            return Entry(self._mean_text(row, factor) if row is not None and row["n"] else "")

        return entry


def _keyed(table: pd.DataFrame, *keys: str) -> dict[tuple[Any, ...], Line]:
    return {tuple(line[key] for key in keys): line for line in records(table)}


def build_table(artifact: Artifact, runs: pd.DataFrame, published: pd.DataFrame) -> tuple[Table, pd.DataFrame]:
    """A table in the paper's layout, and its numbers as tidy rows.

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
        first = (numbers.title("model", model), numbers.title("dataset", dataset))
        rows += _group(entries, first, [(model, dataset, ratio) for ratio in numbers.ratios])
    return ["Model", "Data set", "Method", *_ratio_heads(numbers)], rows


def _by_ratio(entries: Entries) -> Layout:
    """Language: rows ratio and method, columns data sets. PDEs, or one data set: as :func:`_by_method`."""
    numbers = entries.numbers
    datasets = list(dict.fromkeys(dataset for _, dataset in numbers.groups))
    if numbers.artifact.family == "sciml" or len(datasets) < 2:
        return _by_method(entries)
    rows = []
    for model in dict.fromkeys(model for model, _ in numbers.groups):
        for ratio in numbers.ratios:
            first = (numbers.title("model", model), percent_text(ratio))
            rows += _group(entries, first, [(model, dataset, ratio) for dataset in datasets])
    return ["Model", "Ratio", "Method", *(numbers.title("dataset", name) for name in datasets), "Average"], rows


def _group(entries: Entries, first: tuple[str, str], settings: Sequence[Setting]) -> list[Row]:
    """The rows of some settings: scores of each method, gains of each pair, trivial and published scores.

    With several data sets, the last column is the average of the scores.
    """
    numbers = entries.numbers
    titles = {method: numbers.title("method", method) for method in numbers.methods}
    found: list[tuple[str, list[Entry]]] = []

    def add(label: str, entry: Callable[..., Entry], *key: Any) -> None:
        found.append((label, [entry(setting, *key) for setting in settings]))

    several = len({dataset for _, dataset, _ in settings}) > 1
    for method, title in titles.items():
        add(title, entries.score, method)
        if several:
            found[-1][1].append(_average(numbers, settings, method))
    for pair in numbers.pairs:
        base, other = (titles[name] for name in pair)
        percent = numbers.artifact.family == "sciml"
        add(f"{other}: error reduction against {base} (%)" if percent else f"{other} minus {base}", entries.gain, pair)
    if (diluted := entries.diluted(settings)) is not None:
        # Darcy's score is the error of the prediction; PDEBench's code counts the coefficient as an error-free frame.
        label = "predicted frames only" if diluted else "as PDEBench averages (coefficient counted as a frame)"
        entry = entries.other_convention(*((ROLLOUT, 1.0) if diluted else ("score", 0.5)))
        for method, title in titles.items():
            add(f"{title}, {label}", entry, method)
    add("best trivial predictor", entries.trivial)
    for method, title in titles.items():
        add(f"{title}, published", entries.published, method)
        add(f"{title}, published, predicted frames only", entries.published_undiluted, method)
    shown = [(label, row + [Entry()] * several) for label, row in found if any(entry.text for entry in row)]
    width = len(settings) + several
    return [Row((*first, label), tuple(row[:width]), rule=not index) for index, (label, row) in enumerate(shown)]


def _average(numbers: Numbers, settings: Sequence[Setting], method: str) -> Entry:
    """Mean over the data sets; empty unless each has a score."""
    rows = numbers.cells[numbers.cells["method"] == method].set_index(SETTING)["mean"]
    mean = rows.reindex(list(settings)).mean(skipna=False)
    return Entry("" if math.isnan(mean) else number(mean, 2))


def _ratio_heads(numbers: Numbers) -> list[str]:
    heads = []
    for ratio in numbers.ratios:
        sizes = numbers.runs.loc[numbers.runs["ratio"] == ratio, "n_train"]
        low, high = int(sizes.min()), int(sizes.max())
        heads.append(f"{percent_text(ratio)} (n = {low}{'' if low == high else f'–{high}'})")
    return heads


def _t_test(entries: Entries) -> Layout:
    """Rows: model, data set and ratio; columns: the paired tests, and the published p-value."""
    numbers = entries.numbers
    table = numbers.published_table
    published = table[table["artifact"] == numbers.artifact.published]
    p_values = {(row["dataset"], ratio_key(row["ratio"])): row["mean"] for row in records(published)}
    rows = []
    # In reading order: largest ratio first.
    for line in records(numbers.gains.sort_values(SETTING, ascending=[True, True, False])):
        model, dataset, ratio = setting = (line["model"], line["dataset"], line["ratio"])
        pair = (line["baseline"], line["method"])
        tests = [Entry(p_text(line[name])) for name in ("p_t", "p_holm", "p_wilcoxon")]
        paper = p_values.get((dataset, ratio_key(ratio)))
        found = (
            Entry(str(line["n"])), *(entries.score(setting, method) for method in pair), entries.gain(setting, pair),
            *tests, entries.trivial(setting), Entry("" if paper is None else f"{paper:.3g}"),
        )  # fmt: skip
        labels = (numbers.title("model", model), numbers.title("dataset", dataset), percent_text(ratio))
        rows.append(Row(labels, found))
    base, other = (numbers.title("method", name) for name in numbers.artifact.pairs[0])
    heads = ["Model", "Data set", "Ratio", "Pairs", base, other, "Gain", "p (paired t)", "p (Holm)", "p (Wilcoxon)"]
    return [*heads, "Best trivial predictor", "p published"], rows


LAYOUTS: dict[str, Callable[[Entries], Layout]] = {"by_method": _by_method, "by_ratio": _by_ratio, "t_test": _t_test}


def _unit(entries: Entries) -> str:
    if entries.numbers.artifact.family == "nlp":
        return "Scores in per cent."
    settings = list(entries.numbers.cells[SETTING].itertuples(index=False, name=None))
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
