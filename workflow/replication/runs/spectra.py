"""The spectra of a finished run, read off its saved weights."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from replication.errors import DataError
from replication.runs.checkpoint import write_atomically
from replication.runs.records import read_record


def spectra_options(record: dict[str, Any]) -> dict[str, Any]:
    """Which preset, and which changed options, a run's spectra are read with.

    They belong to the model, not to the method: a baseline and a balanced run are measured alike.
    """
    run = record["run"]
    return {"preset": run["family"], **run["model_options"].get("spectra", {})}


def analyse_run(folder: Path, *, device: str = "cpu") -> None:
    """Write ``layers.csv`` (a row a layer) and ``eigenvalues.npz`` (``first/<layer>``, ``last/<layer>``) of a run.

    Args:
        folder: a finished run's, with ``metrics.json``, ``model.safetensors`` and ``initial_eigenvalues.npz``.
        device: torch device that solves for the eigenvalues.

    Raises DataError where a file is missing or damaged.
    """
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from tempbalance.spectra import eigenvalues_by_layer, state_dict_spectra
    from tempbalance.spectra.metrics import metrics_table

    record = read_record(folder / "metrics.json")
    try:
        tensors = load_file(folder / "model.safetensors", device=device)
    except (OSError, SafetensorError) as error:
        raise DataError(f"{folder / 'model.safetensors'}: cannot be read ({error}); train the run again") from None
    try:
        with np.load(folder / "initial_eigenvalues.npz", allow_pickle=False) as arrays:
            first = {f"first/{name}": arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise DataError(
            f"{folder / 'initial_eigenvalues.npz'}: cannot be read ({error}); train the run again"
        ) from None
    spectra = state_dict_spectra(tensors, **spectra_options(record))
    if not spectra:
        raise DataError(f"{folder / 'model.safetensors'}: holds no weight matrix; train the run again")
    last = {f"last/{name}": values for name, values in eigenvalues_by_layer(spectra).items()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **first, **last)
    write_atomically(folder / "eigenvalues.npz", buffer.getvalue())
    write_atomically(folder / "layers.csv", metrics_table(spectra).to_csv())
