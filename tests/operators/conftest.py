"""A tiny simulated data set and a run on it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from replication.runs.rundir import RunDir
from replication.settings.spec import RunSpec
from replication.simulation.simulation import simulate

FLOW = {
    "source": "simulate", "pde": "cfd1d", "samples": 16, "cells": 32, "stored_cells": 16, "frames": 13, "t_end": 0.1,
    "test_samples": 4, "validation_samples": 4,
}  # fmt: skip
DARCY = {"source": "simulate", "pde": "darcy", "samples": 16, "cells": 16, "test_samples": 4, "validation_samples": 4}
HYPER = {"epochs": 4, "batch_size": 4, "lr": 5e-3, "standardise": True, "step_size": 2}
SPEC = RunSpec(
    "sciml", "fno", "flow", 1.0, "tb", 1,
    model_options={"kind": "fno", "modes": 4, "width": 20}, dataset_options=FLOW,
    method_options={"optimizer": "adam", "balance": {"schedule": "sigmoid"}}, hyper=HYPER,
)  # fmt: skip
BASELINE = {"optimizer": "adam", "balance": None}


@pytest.fixture(scope="session")
def flow(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("flow") / "data.h5"
    simulate(FLOW, path)
    return path


@pytest.fixture(scope="session")
def darcy(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("darcy") / "data.h5"
    simulate(DARCY, path)
    return path


def run_training(results: Path, data: Path, spec: RunSpec = SPEC, indices=range(8), **changes) -> RunDir:
    """Train a run and return its folder."""
    from replication.operators.training import train

    spec = replace(spec, **changes)
    with RunDir.open(spec, results, inputs={"data": data.name}) as run:
        train(spec, data=data, indices=list(indices), run=run)
        run.publish()
    return run
