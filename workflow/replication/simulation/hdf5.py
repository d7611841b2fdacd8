"""PDEBench's HDF5 layout: names and shapes of its data sets."""

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
    shapes: Mapping[str, tuple[int, ...]],
    chunks: Iterable[Mapping[str, NDArray[Any]]],
    coordinates: Mapping[str, NDArray[Any]],
    attributes: Mapping[str, float],
) -> None:
    """Write a file from a stream of chunks of samples; memory holds one chunk.

    Args:
        path: the file.
        shapes: data set -> shape ``[N, ...]``, float32.
        chunks: data set -> array ``[n, ...]``, in order.
        coordinates: name -> 1-D array.
        attributes: the file's attributes.
    """
    with h5py.File(path, "w", libver="latest", track_order=False) as file:
        targets = {
            name: file.create_dataset(name, shape=shape, dtype="float32", track_times=False)
            for name, shape in shapes.items()
        }
        at = 0
        for chunk in chunks:
            count = len(next(iter(chunk.values())))
            for name, target in targets.items():
                target[at : at + count] = chunk[name]
            at += count
        for name, values in coordinates.items():
            file.create_dataset(name, data=np.asarray(values, dtype=np.float32), track_times=False)
        for name, value in attributes.items():
            file.attrs[name] = value
