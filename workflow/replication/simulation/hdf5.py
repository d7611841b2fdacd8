"""PDEBench's HDF5 layout."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

FLOW_FIELDS = {1: ("density", "pressure", "Vx"), 2: ("density", "pressure", "Vx", "Vy")}
COORDINATES = ("x-coordinate", "y-coordinate")
TIMES = "t-coordinate"


def write_file(
    path: Path,
    rows: int,
    chunks: Iterable[Mapping[str, NDArray[Any]]],
    coordinates: Mapping[str, NDArray[Any]],
    attributes: Mapping[str, float],
) -> None:
    """Write a file from chunks (data set -> array ``[n, ...]``) of ``rows`` samples in all, with one chunk in memory.

    All arrays are stored as float32.
    """
    with h5py.File(path, "w", libver="latest", track_order=False) as file:
        start = 0
        for chunk in chunks:
            count = len(next(iter(chunk.values())))
            for name, values in chunk.items() if start == 0 else ():
                file.create_dataset(name, shape=(rows, *values.shape[1:]), dtype="float32", track_times=False)
            for name, values in chunk.items():
                file[name][start : start + count] = values
            start += count
        for name, values in coordinates.items():
            file.create_dataset(name, data=np.asarray(values, dtype=np.float32), track_times=False)
        file.attrs.update(attributes)
