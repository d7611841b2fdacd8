"""The spectra of a trained model, measured when its run is finished, and its file of eigenvalues."""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replication.errors import DataError
from replication.runs.records import check_file
from replication.settings.spec import RunSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def spectra_options(spec: RunSpec) -> dict[str, Any]:
    """Preset and options with which a run's spectra are measured: the model's, whatever the method is."""
    return {"preset": spec.family, **spec.model_options.get("spectra", {})}


def final_spectra(
    tensors: Mapping[str, Any], spec: RunSpec, measured: Collection[str]
) -> tuple[list[dict[str, Any]], dict[str, NDArray[Any]]]:
    """A trained model's layers: one row of metrics each, and their eigenvalues ``[N]`` ascending.

    ``measured`` are the layers that the training measured. Raises DataError if there is no weight matrix.
    """
    from tempbalance.spectra import eigenvalues_by_layer, state_dict_spectra

    options = spectra_options(spec)
    spectra = state_dict_spectra(tensors, **options)
    if options.get("transposed") == "skip":
        # Name and shape do not show which convolution is transposed. The training saw the modules and left it out.
        spectra = [spectrum for spectrum in spectra if spectrum.layer.name in measured]
    if not spectra:
        raise DataError(f"{spec.path}: the model has no weight matrix, so there is no spectrum to measure")
    return [spectrum.row() for spectrum in spectra], eigenvalues_by_layer(spectra)


def stored_eigenvalues(path: Path) -> dict[str, dict[str, NDArray[np.floating]]]:
    """Layer -> ``first`` (before training) and ``last`` -> eigenvalues, of a run's ``eigenvalues.npz``.

    Raises DataError, naming the file, if it is damaged.
    """
    import numpy as np

    check_file(path)
    found: dict[str, dict[str, NDArray[np.floating]]] = {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            for key in arrays.files:
                when, _, layer = key.partition("/")
                found.setdefault(layer, {})[when] = arrays[key]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: not a file of eigenvalues ({error}); delete {path.parent} and run again") from None
    return found
