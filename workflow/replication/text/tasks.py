"""A language task: its texts, labels, files, splits and metrics, from a data set's options."""

from __future__ import annotations

from collections.abc import Mapping
from string import Formatter
from typing import Annotated, Any, Literal

import pydantic
from pydantic import BeforeValidator, Field, Strict
from pydantic_core import PydanticCustomError

from replication.settings.checks import Model, Options, Text, validate
from replication.settings.hyper import LABELS
from replication.text.metrics import known_metrics
from replication.text.readers import READABLE

SPLITS = ("train", "validation", "test")

_LISTED: Any = (BeforeValidator(lambda value: [value] if isinstance(value, str) else value), Strict(False))
#: One or several strings; a single one need not be a list.
Several = Annotated[tuple[Text, ...], *_LISTED, Field(min_length=1)]
Alternatives = Annotated[tuple[Several, ...], *_LISTED, Field(min_length=1)]
AsText = Annotated[str, BeforeValidator(str)]


class HeldOut(Model):
    """A held-out split: a number or a share of the rows of the training pool."""

    rows: int | None = Field(None, ge=1)
    share: float | None = Field(None, gt=0, lt=1)

    @pydantic.model_validator(mode="after")
    def _rows_or_share(self) -> HeldOut:
        if (self.rows is None) == (self.share is None):
            raise PydanticCustomError("held_out", "one of rows and share")
        return self

    def count(self, pool: int) -> int:
        """Number of rows that are held out from ``pool`` rows."""
        return self.rows if self.rows is not None else int(pool * (self.share or 0.0))


Split = Annotated[
    Annotated[str, pydantic.Tag("file")] | Annotated[HeldOut, pydantic.Tag("held out")],
    pydantic.Discriminator(lambda value: "file" if isinstance(value, str) else "held out"),
]


class Splits(Model):
    """The source of each split: the name of an entry of ``files``, or rows held out from training."""

    train: str = "train"
    validation: Split = HeldOut(share=0.1)
    test: Split = "test"


class Task(Model):
    """A language task. Its fields are options of a data set (docs/nlp.md).

    The model predicts a class, a number, a span of the context, or one of several choices. An encoder compares the
    texts of the choices; a causal language model compares the probabilities of their letters.
    """

    kind: Literal["classification", "regression", "spans", "multiple_choice", "multiple_choice_lm"] = "classification"
    text: Several = ("{text}",)  # templates with column names
    label: str = "label"
    labels: Annotated[tuple[AsText, ...], Strict(False)] = Field((), validate_default=True)  # position: class number
    columns: dict[str, Several] = Field({})  # column -> its possible names in a file; the first found is used
    layout: Literal["rows", "multirc", "squad", "scienceqa"] = "rows"
    keep: dict[str, AsText] = Field({})  # keep only rows with these values
    files: dict[str, Alternatives] = Field({})
    splits: Splits = Splits()
    shuffle: int | None = None  # seed for shuffling before rows are held out; None: no shuffling
    max_length: int = Field(128, ge=4)
    header: Several | None = None
    group: str | None = None  # column that identifies rows scored together (MultiRC's questions)
    split_column: str | None = None  # column with the name of the split, if one file has all splits
    unique: bool = False
    skip_ragged: bool = False
    source: Options = Field({})
    metrics: Annotated[tuple[str, ...], *_LISTED] = Field((), validate_default=True)  # the first is the primary metric

    @pydantic.field_validator("text")
    @classmethod
    def _fits_the_tokenizer(cls, text: tuple[str, ...], info: pydantic.ValidationInfo) -> tuple[str, ...]:
        if len(text) > 2 and info.data.get("kind") != "multiple_choice":
            raise PydanticCustomError("text", "one template or two")
        return text

    @pydantic.field_validator("labels")
    @classmethod
    def _classes(cls, labels: tuple[str, ...], info: pydantic.ValidationInfo) -> tuple[str, ...]:
        if len(labels) < 2 and info.data.get("kind") == "classification":
            raise PydanticCustomError("labels", "two or more label values")
        return labels

    @pydantic.field_validator("metrics")
    @classmethod
    def _fit_the_kind(cls, metrics: tuple[str, ...], info: pydantic.ValidationInfo) -> tuple[str, ...]:
        kind = info.data.get("kind", "classification")
        known = known_metrics(kind, grouped=info.data.get("group") is not None)
        if set(metrics) - set(known):
            raise PydanticCustomError("metrics", "names out of {known}", {"known": ", ".join(known)})
        return metrics or (known[0],)

    @property
    def primary(self) -> str:
        """Name of the primary metric."""
        return self.metrics[0]

    def alternatives(self, name: str) -> tuple[tuple[str, ...], ...]:
        """The files that a split may be read from; those of one alternative are joined."""
        # The plain names are always accepted: data from the hub are stored as <name>.parquet.
        return (*self.files.get(name, ()), *((f"{name}{suffix}",) for suffix in READABLE))

    def needed_columns(self) -> list[str]:
        """Columns for the texts, the label and the group."""
        if self.kind == "spans":
            return ["id", "question", "context", "answers", "starts"]
        names = [name for text in self.text for _, name, _, _ in Formatter().parse(text) if name]
        extra = [self.group] if self.group else []
        return list(dict.fromkeys([*names, self.label, *extra]))


def parse_task(options: Mapping[str, Any]) -> Task:
    """A task from a data set's options. Raises ConfigError with the key, the value and what was expected."""
    read = {key: value for key, value in options.items() if key not in ("family", *LABELS)}
    return validate(Task, read, "data set options")
