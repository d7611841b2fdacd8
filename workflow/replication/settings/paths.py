"""Where a run is stored below the results folder: its path is its identity."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from replication.errors import DataError

#: Folder of all runs, below the results folder.
RUNS = "runs"
#: Pattern of a name that becomes a folder.
NAME = r"[A-Za-z0-9][A-Za-z0-9.+_-]*"
_PATH = re.compile(rf"{RUNS}/({NAME})/({NAME})/ratio=([0-9.e-]+)/({NAME})/([0-9a-f]+)/seed=(\d+)")


def format_ratio(ratio: float) -> str:
    """A data ratio as written in paths and file names: ``0.006``, ``1``."""
    return f"{ratio:.12g}"


@dataclass(frozen=True)
class RunPath:
    """What identifies a run, and its folder ``<model>/<dataset>/ratio=<r>/<method>/<id>/seed=<s>``.

    ``id`` is the hash of every setting that affects the run's numbers, except the seed. Fields are explained in
    :class:`replication.settings.spec.RunSpec`.
    """

    model: str
    dataset: str
    ratio: float
    method: str
    id: str
    seed: int

    def __str__(self) -> str:
        ratio = format_ratio(self.ratio)
        return f"{self.model}/{self.dataset}/ratio={ratio}/{self.method}/{self.id}/seed={self.seed}"

    @classmethod
    def of(cls, file: Path | str) -> RunPath:
        """The run that a file in ``<results>/runs/<run>/`` belongs to. Raises DataError for a file anywhere else."""
        match = _PATH.fullmatch("/".join(Path(file).parts[-8:-1]))
        if match is None:
            raise DataError(
                f"{file}: not the file of a run, {RUNS}/<model>/<dataset>/ratio=<r>/<method>/<id>/seed=<s>/<file>"
            )
        model, dataset, ratio, method, hashed, seed = match.groups()
        return cls(model, dataset, float(ratio), method, hashed, int(seed))
