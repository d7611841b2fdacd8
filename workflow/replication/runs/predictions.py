"""Saved rollouts of test samples: which runs figures show, and the errors of their predictions."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from replication.errors import DataError
from replication.runs.records import RUN_COLUMNS, check_file
from replication.settings.artifacts import FLOW_DIMENSIONS, Artifact
from replication.settings.grid import Cell, Experiment
from replication.settings.paths import RunPath
from replication.settings.spec import RunSpec

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.floating]
ARRAYS = ("target", "prediction", "grid", "channels", "times", "samples")


def _dimension(run: RunSpec) -> int | None:
    return FLOW_DIMENSIONS.get(run.dataset_options.get("pde", ""))


def flow_dimensions(experiments: Mapping[str, Experiment]) -> dict[str, set[int]]:
    """Experiment -> space dimensions of the flows that it predicts."""
    return {
        name: {dimension for run in experiment.runs.values() if (dimension := _dimension(run))}
        for name, experiment in experiments.items()
    }


def example_runs(artifact: Artifact, experiments: Mapping[str, Experiment]) -> list[str]:
    """Paths (below the folder of runs) of the runs whose predictions an artifact shows; empty for most artifacts.

    They are of the main experiment's first model on a flow of the artifact's dimension, at its largest ratio, where
    networks have learned most.
    """
    if artifact.flow_dimension is None:
        return []
    cells = experiments[artifact.experiments[0]].cells
    fitting = [cell for cell in cells if _dimension(cell.runs[0]) == artifact.flow_dimension]
    return _pair_of_runs(fitting, artifact.pairs[0], max)


def esd_runs(artifact: Artifact, experiments: Mapping[str, Experiment]) -> list[str]:
    """Paths (below the folder of runs) of the runs whose eigenvalues a figure draws; empty for most figures."""
    if artifact.layout != "fig1_esd":
        return []
    return _pair_of_runs(experiments[artifact.experiments[0]].cells, artifact.pairs[0], min)


def _pair_of_runs(
    cells: Sequence[Cell], methods: Collection[str], choose: Callable[[Iterable[float]], float]
) -> list[str]:
    """Paths of both methods' runs with the first cell's model, data set and first seed, at the ratio that is chosen.

    Of a searched cell, the runs of all trials: which one is shown is not known before they finish.
    """
    first = cells[0]
    here = [cell for cell in cells if (cell.model, cell.dataset) == (first.model, first.dataset)]
    ratio = choose(cell.ratio for cell in here)
    shown = (cell for cell in here if cell.ratio == ratio and cell.method in methods)
    return sorted(run.path for cell in shown for run in cell.candidates(first.seeds[0]))


@dataclass(frozen=True)
class Rollout:
    """One test sample as a run predicted it.

    Attributes:
        target: ``[x, (y), predicted frames, channel]``, in physical units.
        prediction: the same shape; None if the run diverged.
        grid: coordinates ``[x, (y), ndim]``.
        channels: their names.
        times: of the predicted frames, ``[predicted frames]``; empty if the data have none.
        sample: row of the sample in the data file.
    """

    target: Array
    prediction: Array | None
    grid: Array
    channels: tuple[str, ...]
    times: Array
    sample: int

    @property
    def ndim(self) -> int:
        """Space dimensions."""
        return self.grid.shape[-1]

    @property
    def frames(self) -> int:
        """Number of predicted frames."""
        return self.target.shape[-2]

    @property
    def time_axis(self) -> Array:
        """Position of each predicted frame on a time axis: its time, or its number from 1."""
        return self.times if len(self.times) else np.arange(1.0, self.frames + 1)

    def moment(self, frame: int) -> str:
        """Label of a predicted frame (-1: the last): its time, or its number from 1."""
        return f"t = {self.times[frame]:.3g}" if len(self.times) else f"predicted frame {frame % self.frames + 1}"

    def errors(self) -> Array | None:
        """Prediction minus target, in their shape; None if the run diverged."""
        return None if self.prediction is None else self.prediction - self.target

    def nrmse(self) -> Array | None:
        """Root mean square of the error over that of the target, ``[predicted frames, channel]``.

        PDEBench's nRMSE is its mean over frames and channels.
        """
        if (errors := self.errors()) is None:
            return None
        space = tuple(range(self.ndim))
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            root = [np.sqrt(np.square(part, dtype=np.float64).mean(space)) for part in (errors, self.target)]
            return root[0] / root[1]


def read_rollout(path: Path) -> Rollout:
    """The first sample of a ``predictions.npz``.

    Raises DataError, naming the file, if it is damaged or its arrays do not fit each other.
    """
    check_file(path)
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays: dict[str, NDArray[Any]] = {name: stored[name] for name in ARRAYS}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: not a run's sample predictions ({error}); train the run again") from None
    if not _fit(arrays):
        shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in arrays.items())
        raise DataError(f"{path}: its arrays do not fit each other ({shapes}); train the run again")
    prediction = arrays["prediction"]
    return Rollout(
        target=arrays["target"][0],
        prediction=prediction[0] if len(prediction) else None,
        grid=arrays["grid"],
        channels=tuple(str(name) for name in arrays["channels"]),
        times=arrays["times"],
        sample=int(arrays["samples"][0]),
    )


def _fit(arrays: Mapping[str, NDArray[Any]]) -> bool:
    """Whether shapes and types fit; a diverged run has no prediction."""
    target, grid = arrays["target"], arrays["grid"]
    if grid.ndim not in (2, 3) or target.ndim != grid.ndim + 2 or 0 in target.shape:
        return False
    samples, *space, frames, channels = target.shape
    return (
        grid.shape == (*space, len(space))
        and arrays["prediction"].shape in (target.shape, (0, *target.shape[1:]))
        and arrays["channels"].shape == (channels,)
        and arrays["times"].shape in ((frames,), (0,))
        and arrays["samples"].shape == (samples,)
        and all(arrays[name].dtype.kind == "f" for name in ("target", "prediction", "grid", "times"))
    )


def error_table(runs: pd.DataFrame, rollouts: Mapping[RunPath, Rollout]) -> pd.DataFrame:
    """nRMSE of the shown sample: one row per run, predicted frame and channel; NaN if the run diverged."""
    import pandas as pd

    tables = []
    for run, rollout in rollouts.items():
        row, frames, names = runs[runs["run"] == str(run)].iloc[0], rollout.frames, rollout.channels
        times = rollout.times.astype(float) if len(rollout.times) else np.full(frames, np.nan)
        nrmse = rollout.nrmse()
        tables.append(pd.DataFrame({
            **{key: row[key] for key in RUN_COLUMNS}, "flow_dimension": rollout.ndim, "sample": rollout.sample,
            "frame": np.repeat(np.arange(1, frames + 1), len(names)),
            "time": np.repeat(times, len(names)),
            "channel": names * frames,
            "nrmse": np.nan if nrmse is None else nrmse.ravel(),
        }))  # fmt: skip
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
