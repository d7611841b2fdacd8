"""Simulate data sets in PDEBench's layout, with one seed per sample, in worker processes, resumable."""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pydantic.dataclasses
from numpy.typing import NDArray
from pydantic import Field, StrictFloat, StrictInt
from threadpoolctl import threadpool_limits

from replication.errors import ConfigError, DataError
from replication.runs.checkpoint import fsync, sha256, write_atomically
from replication.settings.checks import DATACLASS, validate, whole_number
from replication.settings.grid import Grid
from replication.settings.spec import digest
from replication.simulation import initial_fields
from replication.simulation.hdf5 import COORDINATES, FLOW_FIELDS, TIMES, write_file

Samples = dict[str, NDArray[np.float32]]
CHUNK = 16
#: Options of every PDE data set that count something.
COUNTS = "test_samples", "validation_samples", "reduced_resolution", "reduced_resolution_t"
REPORT_EVERY_S = 5.0


@pydantic.dataclasses.dataclass(frozen=True, config=DATACLASS)
class Simulation:
    """Options of a simulated data set.

    ``pde`` is ``cfd1d``, ``cfd2d`` (compressible Navier-Stokes), ``darcy``, ``advection2d``, ``burgers2d``,
    ``reaction2d`` (diffusion-reaction), or ``mixture``. The last four are stored as 2-D flow.
    """

    pde: str
    samples: StrictInt = Field(ge=1)  #: sample k depends only on ``seed`` and k
    cells: StrictInt = Field(ge=8)  #: grid cells of the solver along each axis
    stored_cells: StrictInt = Field(0, ge=0)  #: stored cells, as means over ``cells / stored_cells`` cells; 0: all
    frames: StrictInt = Field(21, ge=2)  #: stored times, from 0 to ``t_end`` (not darcy)
    t_end: StrictFloat = Field(1.0, gt=0, lt=1e6)
    seed: StrictInt = Field(0, ge=0)
    eta: StrictFloat = Field(0.01, ge=0, le=10)  #: shear viscosity (flow), viscosity (burgers2d)
    zeta: StrictFloat = Field(0.01, ge=0, le=10)  #: bulk viscosity (flow)
    mach: StrictFloat = Field(0.1, gt=0, lt=1e6)  #: Mach number of the initial velocity (cfd2d)
    lowest_level: StrictFloat = Field(0.1, gt=0, le=1e3)  #: lower limit of the mean density and temperature (cfd2d)
    highest_level: StrictFloat = Field(10.0, gt=0, le=1e3)  #: upper limit of both
    beta: StrictFloat = 100.0  #: constant source (darcy)
    #: ``numba`` is compiled, with one core per worker; ``torch`` (flow only) computes a batch of samples at once, for a
    #: GPU. They agree to 1e-8 but not bit for bit, so the solver is an option of the data set.
    solver: Literal["numba", "torch"] = "numba"
    #: A mixture takes one sample from each of these in turn; they are options that differ from the mixture's.
    parts: tuple[dict[str, Any], ...] = ()

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Simulation:
        """Read the options of a data set. Raises ConfigError with the key, the value and what was expected."""
        read = {key: value for key, value in options.items() if key in cls.__dataclass_fields__}
        simulation: Simulation = validate(cls, read, "simulation")
        if simulation.pde not in PDES:
            raise ConfigError(f"simulation: key 'pde' is {simulation.pde!r}, expected one of {', '.join(PDES)}")
        if simulation.solver == "torch" and simulation.pde not in ("cfd1d", "cfd2d"):
            raise ConfigError(f"simulation: key 'solver' is 'torch', expected numba for {simulation.pde}")
        if simulation.lowest_level > simulation.highest_level:
            raise ConfigError(
                f"simulation: key 'lowest_level' is {simulation.lowest_level}, expected at most highest_level "
                f"({simulation.highest_level})"
            )
        stored = simulation.stored_cells or simulation.cells
        if stored < 4 or simulation.cells % stored:
            raise ConfigError(
                f"simulation: key 'stored_cells' is {stored}, expected a divisor of cells ({simulation.cells}), "
                "at least 4"
            )
        simulation = replace(simulation, stored_cells=stored)
        simulation._check_parts()
        return simulation

    def _check_parts(self) -> None:
        if (self.pde == "mixture") != bool(self.parts):
            raise ConfigError("simulation: key 'parts' belongs to the pde 'mixture', which needs at least one")
        for number, part in enumerate(self.parts):
            if part.get("pde") not in STORED_AS_FLOW or not part.keys() <= OWN:
                raise ConfigError(
                    f"simulation: key 'parts[{number}]' is {part}, expected a pde ({', '.join(STORED_AS_FLOW)}) and no "
                    f"other keys than {', '.join(sorted(OWN))}"
                )
            self.part(number)

    @property
    def ndim(self) -> int:
        """Space dimensions."""
        return 1 if self.pde == "cfd1d" else 2

    def part(self, sample: int) -> Simulation:
        """The simulation of a sample of a mixture."""
        shared = {name: value for name, value in asdict(self).items() if name != "parts"}
        return Simulation.from_options({**shared, **self.parts[sample % len(self.parts)]})

    def recorded(self) -> dict[str, Any]:
        """All options; ``parts`` only for a mixture, so that the manifests of other files do not change."""
        return {name: value for name, value in asdict(self).items() if name != "parts" or value}

    def generator(self, sample: int) -> np.random.Generator:
        """Random generator of a sample, which depends only on its number and ``seed``."""
        return np.random.default_rng(np.random.SeedSequence([self.seed, sample]))


def check_datasets(grid: Grid) -> None:
    """Check the options of a grid's PDE data sets before the first job.

    Raises ConfigError, naming the data set, the key, the value and what was expected.
    """
    for name, options in grid.datasets.items():
        try:
            for key in COUNTS if grid.families[name] == "sciml" else ():
                whole_number(options, key, 1)
            strides = options.get("strides", {})
            if not isinstance(strides, dict):
                raise ConfigError(f"key 'strides' is {strides!r}, expected a stride for each data ratio")
            for ratio in strides:
                whole_number(strides, ratio, 1, "stride of data ratio")
            if options.get("source") == "simulate":
                Simulation.from_options(options)
        except ConfigError as error:
            raise ConfigError(f"data set {name}: {error}") from None


def _coarse(values: NDArray[np.float64], stored: int, axes: int) -> NDArray[np.float64]:
    """Means over blocks of cells along the last ``axes`` axes."""
    for axis in range(values.ndim - axes, values.ndim):
        shape = values.shape
        values = values.reshape(*shape[:axis], stored, shape[axis] // stored, *shape[axis + 1 :]).mean(axis=axis + 1)
    return values


def _flow_start(simulation: Simulation, sample: int) -> NDArray[np.float64]:
    """The initial fields ``[4, nx, ny]``."""
    generator = simulation.generator(sample)
    if simulation.ndim == 1:
        return initial_fields.cfd1d(simulation.cells, generator)
    levels = (simulation.lowest_level, simulation.highest_level)
    return initial_fields.cfd2d(simulation.cells, simulation.mach, generator, levels)


def _flow_grid(simulation: Simulation) -> tuple[float, NDArray[np.float64]]:
    """Width of a cell (x in [-1, 1], or the unit square), and the stored times."""
    width = (2.0 if simulation.ndim == 1 else 1.0) / simulation.cells
    return width, np.linspace(0.0, simulation.t_end, simulation.frames)


def _flow_stored(simulation: Simulation, frames: NDArray[np.float64]) -> Samples:
    """The arrays to store for ``[frames, 4, nx, ny]``."""
    frames = frames[..., 0] if simulation.ndim == 1 else frames
    density, vx, vy, pressure = _coarse(frames, simulation.stored_cells, simulation.ndim).swapaxes(0, 1)
    values = {"density": density, "pressure": pressure, "Vx": vx, "Vy": vy}
    return {name: values[name].astype(np.float32) for name in FLOW_FIELDS[simulation.ndim]}


def _flow(simulation: Simulation, sample: int) -> Samples:
    from replication.simulation import euler

    start = _flow_start(simulation, sample)
    return _flow_stored(simulation, euler.evolve(start, *_flow_grid(simulation), simulation.eta, simulation.zeta))


def flow_batch(simulation: Simulation, samples: Sequence[int], device: str) -> list[Samples]:
    """Simulate samples of a flow as one batch on a torch device; agrees with the compiled solver to 1e-8."""
    import torch

    from replication.simulation import euler_torch

    width, times = _flow_grid(simulation)
    starts = torch.from_numpy(np.stack([_flow_start(simulation, sample) for sample in samples])).to(device)
    frames = euler_torch.evolve(starts, width, times.tolist(), simulation.eta, simulation.zeta)
    return [_flow_stored(simulation, sample) for sample in frames.cpu().numpy()]


def _darcy(simulation: Simulation, sample: int) -> Samples:
    from replication.simulation import darcy

    coefficient = initial_fields.darcy_coefficient(simulation.cells, simulation.generator(sample))
    solution = darcy.solve(coefficient, simulation.beta)
    coefficient, solution = (_coarse(field, simulation.stored_cells, 2) for field in (coefficient, solution))
    return {"nu": coefficient.astype(np.float32), "tensor": solution[None].astype(np.float32)}


def _semilinear(simulation: Simulation, sample: int) -> Samples:
    """Advection (density), Burgers (velocities) or diffusion-reaction (density, pressure) as channels of a 2-D flow.

    Channels that an equation does not have are 1.
    """
    from replication.simulation import semilinear

    generator, cells = simulation.generator(sample), simulation.cells
    _, times = _flow_grid(simulation)
    fields = np.stack([initial_fields.random_field(cells, generator) for _ in range(2)])
    frames = np.ones((simulation.frames, 4, cells, cells))  # density, velocities, pressure
    if simulation.pde == "advection2d":
        frames[:, :1] = semilinear.advection(fields[:1], generator.uniform(-1, 1, 2), times)
    elif simulation.pde == "burgers2d":
        frames[:, 1:3] = semilinear.burgers(generator.uniform(0.2, 0.6) * fields, simulation.eta, times)
    else:
        frames[:, ::3] = semilinear.reaction(fields, times)
    return _flow_stored(simulation, frames)


def _mixture(simulation: Simulation, sample: int) -> Samples:
    part = simulation.part(sample)
    return PDES[part.pde](part, sample)


PDES: dict[str, Callable[[Simulation, int], Samples]] = {
    "cfd1d": _flow,
    "cfd2d": _flow,
    "darcy": _darcy,
    "advection2d": _semilinear,
    "burgers2d": _semilinear,
    "reaction2d": _semilinear,
    "mixture": _mixture,
}
#: PDEs of a mixture, and options that its parts may change.
STORED_AS_FLOW = ("cfd2d", "advection2d", "burgers2d", "reaction2d")
OWN = {"pde", "cells", "t_end", "eta", "zeta", "mach"}


def _simulate_chunk(simulation: Simulation, folder: Path, device: str, first: int) -> Path:
    """Simulate up to CHUNK samples into a part file, unless the file exists."""
    path = folder / f"{first:08d}.npz"
    if path.is_file():
        return path
    numbers = range(first, min(first + CHUNK, simulation.samples))
    if simulation.solver == "torch":
        samples = flow_batch(simulation, numbers, device)
    else:
        samples = [PDES[simulation.pde](simulation, sample) for sample in numbers]
    for sample, values in zip(numbers, samples, strict=True):
        if not all(np.isfinite(array).all() for array in values.values()):
            raise DataError(
                f"simulation: sample {sample} of {simulation.pde} (seed {simulation.seed}) is not finite; "
                "use more cells or a larger viscosity"
            )
    # A worker of a killed simulation must not write into the file of its successor.
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **{name: np.stack([s[name] for s in samples]) for name in samples[0]})
    fsync(temporary)
    temporary.replace(path)
    return path


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _start_worker() -> None:
    """Limit a worker to one thread, now and in libraries that are not yet loaded, and end it with its parent.

    Otherwise the workers of a killed parent would compete with those of the next call.
    """
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
    threadpool_limits(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _parts(simulation: Simulation, folder: Path, workers: int, device: str) -> Iterator[Path]:
    """Part files in order; missing ones are simulated."""
    starts = range(0, simulation.samples, CHUNK)
    work = partial(_simulate_chunk, simulation, folder, device)
    processes = min(workers, len(starts)) if simulation.solver == "numba" else 1
    if processes == 1:
        yield from map(work, starts)
        return
    # spawn, because a forked process would inherit the state of numba's and torch's threads.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_start_worker) as pool:
        yield from pool.map(work, starts)


def _chunks(simulation: Simulation, parts: Iterable[Path]) -> Iterator[Samples]:
    """Read the part files, and report progress."""
    reported, done = time.monotonic(), 0
    for path in parts:
        with np.load(path, allow_pickle=False) as part:
            chunk = {name: part[name] for name in part.files}
        done += len(next(iter(chunk.values())))
        if time.monotonic() - reported > REPORT_EVERY_S or done == simulation.samples:
            reported = time.monotonic()
            print(f"{simulation.pde}  sample {done}/{simulation.samples}", file=sys.stderr, flush=True)
        yield chunk


def _coordinates(simulation: Simulation) -> dict[str, NDArray[Any]]:
    n = simulation.stored_cells
    unit = (np.arange(n) + 0.5) / n
    coordinates: dict[str, NDArray[Any]] = dict.fromkeys(
        COORDINATES[: simulation.ndim], 2 * unit - 1 if simulation.ndim == 1 else unit
    )
    if simulation.pde != "darcy":
        # PDEBench's files have one time more than frames.
        coordinates[TIMES] = np.arange(simulation.frames + 1) * (simulation.t_end / (simulation.frames - 1))
    return coordinates


def _attributes(simulation: Simulation) -> dict[str, float]:
    if simulation.pde == "darcy":
        return {"beta": simulation.beta}
    attributes = {"eta": simulation.eta, "zeta": simulation.zeta}
    return attributes | ({"M": simulation.mach} if simulation.pde == "cfd2d" else {})


def simulate(options: Mapping[str, Any], out: Path, *, workers: int = 1, device: str = "cpu") -> None:
    """Simulate a data set into an HDF5 file, with a manifest ``<out>.json``.

    Samples are first stored as part files in ``<out>.parts-<hash>``, so that a killed simulation can be resumed. The
    file has the same bytes for any number of workers and interruptions. Meanwhile it needs twice its size on disk.

    ``options`` are those of :class:`Simulation`; other keys are ignored. The compiled solver has ``workers`` processes,
    each on one thread; the batched solver uses ``device``.

    Raises ConfigError for options that are not valid, DataError if a sample is not finite.
    """
    simulation = Simulation.from_options(options)
    folder = out.with_name(f"{out.name}.parts-{digest(simulation.recorded())}")
    folder.mkdir(parents=True, exist_ok=True)
    partial_file = out.with_name(out.name + ".partial")
    chunks = _chunks(simulation, _parts(simulation, folder, workers, device))
    write_file(partial_file, simulation.samples, chunks, _coordinates(simulation), _attributes(simulation))
    fsync(partial_file)
    manifest = {"sha256": sha256(partial_file), "rows": simulation.samples, "options": simulation.recorded()}
    partial_file.replace(out)
    write_atomically(out.with_name(out.name + ".json"), json.dumps(manifest, indent=1))
    shutil.rmtree(folder)
