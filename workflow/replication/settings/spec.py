"""One run of the grid, fully resolved: everything a training job has to know, and nothing that is only shown."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, get_args

from replication.errors import ConfigError
from replication.settings.checks import Family, Options
from replication.settings.hyper import resolved_hyper
from replication.settings.paths import NAME, RunPath

FAMILIES = get_args(Family)
#: Options of models, data sets and methods that are shown and decide no number.
LABELS = ("title", "published_as")
ID_LENGTH = 8
_HASHED = ("family", "model", "dataset", "ratio", "method", "model_options", "dataset_options", "subset")


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(value: Any, length: int = 16) -> str:
    """The first ``length`` hexadecimal digits of the SHA-256 of ``canonical_json(value)``."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:length]


def without_labels(options: Mapping[str, Any]) -> Options:
    """Options without those that are only shown."""
    return {key: value for key, value in options.items() if key not in LABELS}


@dataclass(frozen=True)
class RunSpec:
    """A run: a cell of the grid (model, data set, ratio, method), its settings, and a seed.

    Attributes:
        family: ``nlp`` or ``sciml``.
        model: id in the catalogue; likewise ``dataset`` and ``method``.
        ratio: share of the training pool.
        seed: of weights, order and dropout.
        model_options: without labels; likewise ``dataset_options`` and ``method_options``.
        hyper: hyper-parameters; the grid stores them and ``method_options`` resolved
            (:func:`replication.settings.hyper.resolve`).
        subset: how training rows are chosen, ``rule`` and ``seed``.
    """

    family: str
    model: str
    dataset: str
    ratio: float
    method: str
    seed: int
    model_options: Options = field(default_factory=dict)
    dataset_options: Options = field(default_factory=dict)
    method_options: Options = field(default_factory=dict)
    hyper: Options = field(default_factory=dict)
    subset: Options = field(default_factory=dict)

    @cached_property
    def id(self) -> str:
        """Hash of all settings that decide numbers, resolved; runs of a cell that differ in the seed alone share it.

        Raises ConfigError for hyper-parameters or method options that are not valid.
        """
        settings = {key: value for key, value in vars(self).items() if key in _HASHED}
        return digest(settings | resolved_hyper(self.family, self.method_options, self.hyper), ID_LENGTH)

    @cached_property
    def path(self) -> str:
        """Path of the run below ``<results>/runs``."""
        return str(RunPath(self.model, self.dataset, self.ratio, self.method, self.id, self.seed))

    def to_json(self) -> str:
        """The run without its seed, as ``replication train --spec`` takes it."""
        return canonical_json({key: value for key, value in asdict(self).items() if key != "seed"})

    @classmethod
    def from_json(cls, text: str, seed: int) -> RunSpec:
        """Raises ConfigError where the text is no run specification, or holds a value that no run can have."""
        try:
            spec = cls(**json.loads(text), seed=seed)
        except (ValueError, TypeError) as error:
            raise ConfigError(f"not a run specification: {error}") from None
        spec._check()
        return spec

    def _check(self) -> None:
        for key in ("family", "model", "dataset", "method"):
            value = getattr(self, key)
            if not isinstance(value, str) or not re.fullmatch(NAME, value):
                raise ConfigError(f"run specification: '{key}' is {value!r}, expected letters, digits and . _ + - only")
        for key in ("model_options", "dataset_options", "method_options", "hyper", "subset"):
            if not isinstance(getattr(self, key), dict):
                raise ConfigError(f"run specification: '{key}' is {getattr(self, key)!r}, expected a mapping")
        if self.family not in FAMILIES:
            raise ConfigError(f"run specification: 'family' is {self.family!r}, expected one of {', '.join(FAMILIES)}")
        if not _is_number(self.ratio, int | float) or not 0 < self.ratio <= 1:
            raise ConfigError(f"run specification: 'ratio' is {self.ratio!r}, expected a number above 0 and at most 1")
        if not _is_number(self.seed, int) or not 0 <= self.seed < 2**32:
            raise ConfigError(
                f"run specification: 'seed' is {self.seed!r}, expected a whole number from 0 to 4294967295"
            )


def _is_number(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)
