"""A language task: its texts, labels, files, splits and metrics, parsed from a data set's options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from string import Formatter
from typing import Any

from replication.errors import ConfigError
from replication.text.metrics import known_metrics

#: What a task asks of the model: a class, a number, a span of the context, one of several texts (by an encoder), or
#: one of several answers by the probability that a causal language model gives to their letters.
KINDS = ("classification", "regression", "spans", "multiple_choice", "multiple_choice_lm")
SPAN_COLUMNS = ("id", "question", "context", "answers", "starts")
SPLITS = ("train", "validation", "test")
_DEFAULT_METRIC = {"spans": "span_f1", "regression": "pearson_spearman_mean"}
#: Options that describe a data set to people or to other parts of the pipeline.
NOT_READ_HERE = {"family", "title", "published_as"}


@dataclass(frozen=True)
class HeldOut:
    """A held-out split: a number of rows of the training pool, or a share of them."""

    rows: int | None = None
    share: float | None = None

    def count(self, pool: int) -> int:
        """How many of ``pool`` rows are held out."""
        return self.rows if self.rows is not None else int(pool * (self.share or 0.0))


@dataclass(frozen=True)
class Task:
    """A language task. :func:`parse_task` makes one from options.

    Attributes:
        kind: one of :data:`KINDS`.
        texts: one or two templates over the columns, e.g. ``("{question}", "{sentence}")``.
        labels: the declared label values in order; their position is the class number.
        columns: column -> names it may have in a file, the first found is taken.
        layout: how a file's records become rows (``rows``, ``multirc``, ``squad``, ``scienceqa``).
        keep: column -> value; only rows with these values are kept.
        files: split -> alternatives, each a file name or a list of files to be joined.
        splits: split -> name in ``files``, or :class:`HeldOut`.
        shuffle: seed of the shuffle before rows are held out; None keeps the file's order.
        max_length: longest token sequence; longer texts are truncated and counted.
        header: column names of files that have none.
        group: column of rows that are scored together (MultiRC's questions).
        split_column: column that names a record's split, where one file holds them all.
        skip_ragged: leave out lines of the wrong width instead of refusing the file.
        unique: drop exact copies of a text before rows are held out.
        metrics: names of :mod:`replication.text.metrics`; the first is the primary one.
    """

    kind: str
    texts: tuple[str, ...]
    label: str
    labels: tuple[str, ...]
    columns: Mapping[str, tuple[str, ...]]
    layout: str
    keep: Mapping[str, str]
    files: Mapping[str, tuple[tuple[str, ...], ...]]
    splits: Mapping[str, str | HeldOut]
    shuffle: int | None
    max_length: int
    metrics: tuple[str, ...]
    header: tuple[str, ...] | None
    group: str | None
    split_column: str | None
    unique: bool
    skip_ragged: bool
    source: Mapping[str, Any] = field(default_factory=dict)

    @property
    def primary(self) -> str:
        """The main metric's name."""
        return self.metrics[0]

    def needed_columns(self) -> list[str]:
        """Columns that the texts, the label and the group need."""
        if self.kind == "spans":
            return list(SPAN_COLUMNS)
        names = [name for text in self.texts for _, name, _, _ in Formatter().parse(text) if name]
        extra = [self.group] if self.group else []
        return list(dict.fromkeys([*names, self.label, *extra]))


def _fail(key: str, value: Any, expected: str) -> ConfigError:
    return ConfigError(f"data set option {key}: {value!r} is not valid; expected {expected}")


def _names(key: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, Sequence) and value and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise _fail(key, value, "a name or a list of names")


def _alternatives(split: str, value: Any) -> tuple[tuple[str, ...], ...]:
    if isinstance(value, str):
        return ((value,),)
    if isinstance(value, Sequence) and value:
        return tuple(_names(f"files.{split}", item) for item in value)
    raise _fail(f"files.{split}", value, "a file name, or a list of file names (or lists of files to join)")


def _split(name: str, value: Any) -> str | HeldOut:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping) and set(value) <= {"rows", "share"} and len(value) == 1:
        if isinstance(value.get("rows"), int) and value["rows"] > 0:
            return HeldOut(rows=value["rows"])
        if isinstance(value.get("share"), float) and 0 < value["share"] < 1:
            return HeldOut(share=value["share"])
    raise _fail(f"splits.{name}", value, "the name of a file entry, {rows: N} or {share: 0 < x < 1}")


def parse_task(options: Mapping[str, Any]) -> Task:
    """A task from a data set's options.

    Keys: ``kind`` (default classification), ``text`` (template or two), ``label`` (column), ``labels``, ``columns``,
    ``layout``, ``header`` (names of a file without header), ``keep``, ``files``, ``splits``, ``shuffle``,
    ``max_length``, ``metrics``, ``group``, ``split_column``, ``unique``, ``skip_ragged``, ``source``.

    Raises ConfigError with one sentence that names the key, for unknown keys, missing labels and wrong values.
    """
    known = {item.name for item in fields(Task)} - {"texts"} | {"text"} | NOT_READ_HERE
    unknown = sorted(set(options) - known)
    if unknown:
        raise ConfigError(f"data set option {unknown[0]!r} is unknown; known options are {', '.join(sorted(known))}")
    kind = options.get("kind", "classification")
    if kind not in KINDS:
        raise _fail("kind", kind, f"one of {', '.join(KINDS)}")
    labels = tuple(str(label) for label in options.get("labels", ()))
    if kind == "classification" and len(labels) < 2:
        raise _fail("labels", list(labels), "a list of two or more label values")
    texts = _names("text", options.get("text", "{text}"))
    if len(texts) > 2 and kind != "multiple_choice":
        raise _fail("text", list(texts), "one template or two")
    max_length = options.get("max_length", 128)
    if not isinstance(max_length, int) or max_length < 4:
        raise _fail("max_length", max_length, "a whole number of tokens, at least 4")
    shuffle = options.get("shuffle")
    if shuffle is not None and (not isinstance(shuffle, int) or isinstance(shuffle, bool)):
        raise _fail("shuffle", shuffle, "a seed (whole number), or nothing to keep the file's order")
    splits = {name: _split(name, value) for name, value in options.get("splits", {}).items()}
    if set(splits) - set(SPLITS):
        raise _fail("splits", sorted(splits), f"the keys {', '.join(SPLITS)}")
    splits = {"train": "train", "validation": HeldOut(share=0.1), "test": "test", **splits}
    if not isinstance(splits["train"], str):
        raise _fail("splits.train", options["splits"]["train"], "the name of a file entry")
    metrics = _names("metrics", options.get("metrics", _DEFAULT_METRIC.get(kind, "accuracy")))
    known_names = known_metrics(kind, grouped=options.get("group") is not None)
    if set(metrics) - set(known_names):
        raise _fail("metrics", list(metrics), f"names out of {', '.join(known_names)}")
    header = options.get("header")
    return Task(
        kind=kind,
        texts=texts,
        label=options.get("label", "label"),
        labels=labels,
        columns={key: _names(f"columns.{key}", value) for key, value in options.get("columns", {}).items()},
        layout=options.get("layout", "rows"),
        keep={key: str(value) for key, value in options.get("keep", {}).items()},
        files={split: _alternatives(split, value) for split, value in options.get("files", {}).items()},
        splits=splits,
        shuffle=shuffle,
        max_length=max_length,
        metrics=metrics,
        header=_names("header", header) if header is not None else None,
        group=options.get("group"),
        split_column=options.get("split_column"),
        unique=bool(options.get("unique", False)),
        skip_ragged=bool(options.get("skip_ragged", False)),
        source=options.get("source", {}),
    )
