"""One run of the grid, fully resolved: everything a training job has to know."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any

from replication.errors import ConfigError

Options = dict[str, Any]

#: Raise a family's number when a code change makes its earlier results wrong, incomparable or incomplete: it is part
#: of every run's hash, so old results are kept aside and the runs are done again.
RECIPES = {"nlp": 1, "sciml": 2}


#: What a name that becomes a folder looks like.
NAME = r"[A-Za-z0-9][A-Za-z0-9.+_-]*"


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(value: Any, length: int = 16) -> str:
    """The first ``length`` hexadecimal digits of the SHA-256 of ``canonical_json(value)``."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:length]


def merged_balance(method: Options, hyper: Options, keys: Sequence[str]) -> Options | None:
    """TempBalance's options of a run: its method's, overruled by hyper-parameters; ``s`` stands for both sides.

    Args:
        method: the method's options; ``balance`` is null for one that does not balance.
        hyper: the run's hyper-parameters.
        keys: the hyper-parameters that belong to the balancer.

    Returns None where the method does not balance.
    """
    if method.get("balance") is None:
        return None
    options = dict(method["balance"])
    if "s" in hyper:
        options["s_min"] = options["s_max"] = hyper["s"]
    return options | {key: hyper[key] for key in keys if key in hyper and key != "s"}


@dataclass(frozen=True)
class RunSpec:
    """A cell of the grid with a seed, and (in a search) one candidate ``trial``."""

    experiment: str
    family: str
    scale: str
    model: str
    dataset: str
    ratio: float
    method: str
    seed: int
    trial: Options = field(default_factory=dict)
    model_options: Options = field(default_factory=dict)
    dataset_options: Options = field(default_factory=dict)
    method_options: Options = field(default_factory=dict)
    hyper: Options = field(default_factory=dict)
    stand_in: str = ""
    recipe: int = 1

    @property
    def cell(self) -> str:
        """Path of the cell below the results folder, without trial and seed."""
        return str(PurePosixPath(self.experiment, self.model, self.dataset, f"ratio={self.ratio:g}", self.method))

    @property
    def path(self) -> str:
        """Path of the run below the results folder."""
        cell = PurePosixPath(self.cell)
        if self.trial:
            cell = cell / f"trial={self.trial_name}"
        return str(cell / f"seed={self.seed}")

    @property
    def trial_name(self) -> str:
        """The candidate as a folder name, such as ``lr=0.001,s=0.5``."""
        name = ",".join(f"{key}={value}" for key, value in sorted(self.trial.items()))
        return name if re.fullmatch(r"[A-Za-z0-9=,._+-]{1,120}", name) else digest(self.trial)

    def identity(self) -> Options:
        """What decides the result: two experiments that share a run train it once."""
        labels = ("experiment", "scale", "stand_in", "trial")
        return {key: value for key, value in asdict(self).items() if key not in labels}

    def to_json(self) -> str:
        return canonical_json(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> RunSpec:
        """Raises ConfigError where the text is no run specification, or holds a value that no run can have."""
        try:
            fields = json.loads(text)
            spec = cls(**fields)
        except (ValueError, TypeError) as error:
            raise ConfigError(f"not a run specification: {error}") from None
        spec._check()
        return spec

    def _check(self) -> None:
        for key in ("experiment", "family", "scale", "model", "dataset", "method"):
            value = getattr(self, key)
            if not isinstance(value, str) or not re.fullmatch(NAME, value):
                raise ConfigError(f"run specification: '{key}' is {value!r}, expected letters, digits and . _ + - only")
        for key in ("trial", "model_options", "dataset_options", "method_options", "hyper"):
            if not isinstance(getattr(self, key), dict):
                raise ConfigError(f"run specification: '{key}' is {getattr(self, key)!r}, expected a mapping")
        if self.family not in RECIPES:
            raise ConfigError(f"run specification: 'family' is {self.family!r}, expected one of {', '.join(RECIPES)}")
        if not _is_number(self.ratio, int | float) or not 0 < self.ratio <= 1:
            raise ConfigError(f"run specification: 'ratio' is {self.ratio!r}, expected a number above 0 and at most 1")
        if not _is_number(self.seed, int) or not 0 <= self.seed < 2**32:
            raise ConfigError(
                f"run specification: 'seed' is {self.seed!r}, expected a whole number from 0 to 4294967295"
            )


def _is_number(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)
