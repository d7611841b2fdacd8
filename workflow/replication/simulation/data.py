"""Read the requested rows, grid points and times of PDE files in PDEBench's layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from replication.errors import ConfigError, DataError
from replication.runs.seals import check_manifest
from replication.settings.checks import whole_number
from replication.simulation.hdf5 import COORDINATES, FLOW_FIELDS, TIMES

Array = NDArray[np.float32]


class PDEFile:
    """An HDF5 file of a flow (``density, pressure, Vx[, Vy]``) or of Darcy flow (``nu, tensor``); a context manager.

    Opening it reads only the shapes: ``ndim`` space dimensions, ``rows`` samples, ``frames`` (1 for Darcy). ``fields``
    are the channels' names, in order. ``steady``: the file maps a coefficient to a solution (Darcy).

    Raises DataError if the file is missing, damaged or not HDF5, if it lacks a data set, or if shapes differ.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        check_manifest(path)
        try:
            self._file = h5py.File(path, "r")
        except FileNotFoundError:
            raise DataError(f"{path}: no such file") from None
        except OSError as error:
            reason = str(error).split("(")[-1].rstrip(")")
            raise DataError(f"{path}: not a readable HDF5 file ({reason}); make or fetch it again") from None
        try:
            self._check_layout()
        except (RuntimeError, KeyError, OSError) as error:  # broken or circular links
            self._file.close()
            raise DataError(f"{path}: its data sets cannot be read ({error}); make or fetch it again") from None
        except Exception:
            self._file.close()
            raise

    def __enter__(self) -> PDEFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _shape(self, name: str, ndim: int, meaning: str) -> tuple[int, ...]:
        item = self._file.get(name)
        if not isinstance(item, h5py.Dataset):
            raise DataError(
                f"{self.path}: data set '{name}' is missing; expected {meaning}, "
                f"found {', '.join(sorted(self._file)) or 'nothing'}"
            )
        if item.ndim != ndim or item.dtype.kind != "f":
            raise DataError(f"{self.path}: data set '{name}' is {item.dtype}{list(item.shape)}, expected {meaning}")
        return tuple(item.shape)

    def _check_layout(self) -> None:
        self.steady = "tensor" in self._file or "nu" in self._file
        if self.steady:
            self.ndim = 2
            self.fields: tuple[str, ...] = ("tensor",)
            meaning = "float tensor [N, 1, X, Y] and nu [N, X, Y]"
            shape, nu = self._shape("tensor", 4, meaning), self._shape("nu", 3, meaning)
            if shape != (nu[0], 1, *nu[1:]):
                raise DataError(f"{self.path}: tensor {list(shape)} does not fit nu {list(nu)}, expected [N, 1, X, Y]")
            self.rows, self.frames, self._space = nu[0], 1, nu[1:]
        else:
            self.ndim = 2 if "Vy" in self._file else 1
            self.fields = FLOW_FIELDS[self.ndim]
            meaning = f"float {', '.join(self.fields)} {'[N, T, X, Y]' if self.ndim == 2 else '[N, T, X]'}"
            first = self._shape(self.fields[0], self.ndim + 2, meaning)
            for name in self.fields[1:]:
                if (shape := self._shape(name, self.ndim + 2, meaning)) != first:
                    raise DataError(
                        f"{self.path}: data set '{name}' is {list(shape)}, but '{self.fields[0]}' is {list(first)}"
                    )
            self.rows, self.frames, self._space = first[0], first[1], first[2:]
        if min(self.rows, self.frames, *self._space) < 1:
            raise DataError(f"{self.path}: the file has no samples")

    def _get(self, name: str, rows: Sequence[int], resolution: int, time_stride: int) -> NDArray[Any]:
        wanted = np.asarray(rows, dtype=np.int64)
        if len(wanted) and (wanted.min() < 0 or wanted.max() >= self.rows):
            raise DataError(f"{self.path}: row {wanted.max()} was requested, but the file has {self.rows} rows")
        # HDF5 reads only ascending, unique rows; the order and repetitions are restored afterwards.
        unique, back = np.unique(wanted, return_inverse=True)
        space = (slice(None, None, resolution),) * self.ndim
        where = space if name == "nu" else (slice(None, None, time_stride), *space)
        try:
            values = self._file[name][(unique, *where)]
        except OSError as error:
            raise DataError(f"{self.path}: data set '{name}' cannot be read ({error}); the file is damaged") from None
        if not np.isfinite(values).all():
            bad = unique[~np.isfinite(values).reshape(len(unique), -1).all(axis=1)][0]
            raise DataError(f"{self.path}: data set '{name}', row {bad} has values that are not finite")
        return np.asarray(values[back], dtype=np.float32)

    def read(self, rows: Sequence[int], resolution: int = 1, time_stride: int = 1) -> Array:
        """Flow samples ``[sample, x, (y), t, channel]`` float32, in the order of ``rows``.

        ``resolution`` (stride along each space axis) and ``time_stride`` are the data set's options
        ``reduced_resolution`` and ``reduced_resolution_t``.
        """
        # Field by field, because at full size the array has 12 GB, and a second one would not fit into memory.
        values = np.empty(0, dtype=np.float32)
        for channel, name in enumerate(self.fields):
            field = np.moveaxis(self._get(name, rows, resolution, time_stride), 1, -1)
            if channel == 0:
                values = np.empty((*field.shape, len(self.fields)), dtype=np.float32)
            values[..., channel] = field
        return values

    def read_steady(self, rows: Sequence[int], resolution: int = 1) -> tuple[Array, Array]:
        """Darcy samples: coefficient and solution, each ``[sample, x, y, 1]`` float32."""
        nu = self._get("nu", rows, resolution, 1)[..., None]
        return nu, np.moveaxis(self._get("tensor", rows, resolution, 1), 1, -1)

    def grid(self, resolution: int = 1) -> Array:
        """Coordinates of the grid points ``[x, (y), ndim]``; in the unit interval if the file has none."""
        axes = []
        for name, points in zip(COORDINATES, self._space, strict=False):
            stored = self._file.get(name)
            fits = isinstance(stored, h5py.Dataset) and stored.shape == (points,)
            axis = stored[:] if fits else np.linspace(0, 1, points, endpoint=False)
            axes.append(axis[::resolution].astype(np.float32))
        return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)

    def times(self, time_stride: int = 1) -> Array:
        """Times of the frames of a flow ``[t]``; empty if the file has none, and for Darcy."""
        stored = None if self.steady else self._file.get(TIMES)
        # PDEBench's files have one time more than frames.
        if not isinstance(stored, h5py.Dataset) or stored.ndim != 1 or len(stored) < self.frames:
            return np.empty(0, dtype=np.float32)
        return np.asarray(stored[: self.frames : time_stride], dtype=np.float32)


class Split(NamedTuple):
    """Row numbers of the splits of a file; ``train`` is the training pool, of which data ratios take a part."""

    test: NDArray[np.int64]
    validation: NDArray[np.int64]
    train: NDArray[np.int64]


def split(rows: int, options: Mapping[str, Any]) -> Split:
    """Test, validation and training rows of a file.

    The first ``test_samples`` rows are the test set, as in the released code. The next ``validation_samples`` rows
    are held out for choosing epochs and hyper-parameters (in a published file every second row: the paper's strides
    above 1 are even, so its training samples stay in the pool). The rest is the training pool.

    Raises ConfigError if no rows are left to train on.
    """
    test, validation = whole_number(options, "test_samples", 1000), whole_number(options, "validation_samples", 100)
    if test + validation + 2 > rows:
        raise ConfigError(
            f"data set options test_samples {test} and validation_samples {validation} leave "
            f"{max(rows - test - validation, 0)} of {rows} rows to train on; at least 2 are needed"
        )
    pool = np.arange(test, rows)
    every_second = options.get("source") == "pdebench" and len(pool) >= 2 * validation
    candidates = pool[1::2] if every_second else pool
    held_out = candidates[:validation]
    return Split(np.arange(test), held_out, np.setdiff1d(pool, held_out))


def count_training_rows(data: Path, options: Mapping[str, Any]) -> int:
    """Number of rows of the training pool. Raises DataError for a bad file, ConfigError for options that do not fit."""
    with PDEFile(data) as file:
        return len(split(file.rows, options).train)


def held_out_rows(data: Path, options: Mapping[str, Any]) -> list[int]:
    """Positions in the published training set of the samples held out for validation; none if simulated."""
    if options.get("source") != "pdebench":
        return []
    with PDEFile(data) as file:
        parts = split(file.rows, options)
    return [int(row) for row in parts.validation - len(parts.test)]
