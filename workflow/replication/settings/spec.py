"""One run of the grid, fully resolved: everything that a training job needs, and nothing that is only shown."""

from __future__ import annotations

import hashlib
import json
from dataclasses import field, fields, replace
from functools import cached_property
from typing import Annotated, Any

import pydantic.dataclasses

from replication.errors import ConfigError
from replication.settings.checks import DATACLASS, Family, Options, Ratio, Seed, known_keys, validate
from replication.settings.hyper import UNSEEN, resolved_hyper
from replication.settings.paths import NAME, RunPath

FolderName = Annotated[str, pydantic.Field(pattern=rf"^{NAME}$")]
ID_LENGTH = 8
_HASHED = ("family", "model", "dataset", "ratio", "method", "model_options", "dataset_options", "subset")


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(value: Any, length: int = 16) -> str:
    """The first ``length`` hexadecimal digits of the SHA-256 of ``canonical_json(value)``."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:length]


@pydantic.dataclasses.dataclass(frozen=True, config=DATACLASS)
class RunSpec:
    """A run: a cell of the grid (model, data set, ratio, method), its settings, and a seed.

    Attributes:
        family: ``nlp`` or ``sciml``.
        model: id in the catalogue; likewise ``dataset`` and ``method``.
        ratio: share of the training pool.
        seed: decides initial weights, order of rows and dropout.
        model_options: options of the model, without labels; likewise ``dataset_options`` and ``method_options``.
        hyper: hyper-parameters; in a grid's runs, these and ``method_options`` are resolved
            (:func:`replication.settings.hyper.resolve`).
        subset: how training rows are chosen, ``rule`` and ``seed``.
    """

    family: Family
    model: FolderName
    dataset: FolderName
    ratio: Ratio
    method: FolderName
    seed: Seed
    model_options: Options = field(default_factory=dict)
    dataset_options: Options = field(default_factory=dict)
    method_options: Options = field(default_factory=dict)
    hyper: Options = field(default_factory=dict)
    subset: Options = field(default_factory=dict)
    _keys = known_keys

    @cached_property
    def id(self) -> str:
        """Hash of all settings that affect numbers, resolved; runs that differ only in the seed share it.

        Raises ConfigError for hyper-parameters or method options that are not valid.
        """
        settings = {key: value for key, value in vars(self).items() if key in _HASHED}
        return digest(settings | resolved_hyper(self.family, self.method_options, self.hyper), ID_LENGTH)

    @cached_property
    def path(self) -> str:
        """Path of the run below ``<results>/runs``."""
        return str(RunPath(self.model, self.dataset, self.ratio, self.method, self.id, self.seed))

    @property
    def unseen(self) -> Options:
        """The hyper-parameters that affect no number."""
        return {key: value for key, value in self.hyper.items() if key in UNSEEN}

    def without_unseen(self) -> RunSpec:
        """The run without the hyper-parameters that affect no number; its id is the same."""
        return replace(self, hyper={key: value for key, value in self.hyper.items() if key not in UNSEEN})

    @property
    def weights(self) -> str | None:
        """The model option that gives a run its first weights, ``weights`` or ``pretrain``; None: from scratch."""
        named = [key for key in ("weights", "pretrain") if key in self.model_options]
        return named[0] if named and self.method_options.get("start") != "random" else None

    @cached_property
    def pretraining(self) -> RunSpec | None:
        """The run whose weights this one starts from, if its model is pretrained here (option ``pretrain``)."""
        given = self.model_options.get("pretrain")
        if given is None or self.weights is None:
            return None
        model = {key: value for key, value in self.model_options.items() if key != "pretrain"}
        method = {"optimizer": "adam", "balance": None}
        return replace(self, ratio=1.0, method="pretraining", model_options=model, method_options=method, **given)

    def to_json(self) -> str:
        """The run without its seed, as JSON for ``replication train --spec``."""
        return canonical_json({one.name: getattr(self, one.name) for one in fields(self) if one.name != "seed"})

    @classmethod
    def from_json(cls, text: str, seed: int) -> RunSpec:
        """The run that :meth:`to_json` wrote, with a seed.

        Raises ConfigError if the text is not a run specification, or has a value that no run can have.
        """
        try:
            values = json.loads(text)
        except ValueError as error:
            raise ConfigError(f"not a run specification: {error}") from None
        values = {"seed": seed, **values} if isinstance(values, dict) else values
        spec: RunSpec = validate(cls, values, "not a run specification")
        return spec
