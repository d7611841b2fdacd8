"""Data of the report's browser of spectra and learning curves, small enough to be embedded in the page."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from replication.errors import DataError
from replication.runs.records import check_file
from replication.settings.paths import RunPath
from replication.statistics.cells import Line, records

IDENTITY = ("experiment", "model", "dataset", "ratio", "method", "seed")
BINS = 40
#: At most this many epochs of a run are shown, evenly spaced, always with the first and the last.
MAX_EPOCHS = 60
#: Eigenvalues below this share of a layer's largest are rounding noise.
NOISE = 1e-9


Key = tuple[str, str, str, float, str, int]


def run_key(values: Mapping[str, Any]) -> Key:
    """A run's identity as a dictionary key."""
    return (
        str(values["experiment"]), str(values["model"]), str(values["dataset"]), float(values["ratio"]),
        str(values["method"]), int(values["seed"]),
    )  # fmt: skip


def browser_data(
    runs: pd.DataFrame,
    layers: pd.DataFrame,
    spectra: pd.DataFrame,
    history: pd.DataFrame,
    eigenvalues: Iterable[Path],
    *,
    budget: int,
) -> dict[str, Any]:
    """Histograms, exponents, rates and learning curves of as many runs as fit into ``budget`` bytes of JSON.

    Each cell's first seed comes first, so that a large grid keeps one run per cell. ``shown`` and ``total`` count runs.
    """
    files = {str(RunPath.of(path)): path for path in eigenvalues}
    layers_of, spectra_of, history_of = (_by_run(frame) for frame in (layers, spectra, history))
    ordered = runs.assign(rank=runs.groupby([*IDENTITY[:-1]])["seed"].rank(method="first")).sort_values(
        ["rank", *IDENTITY], kind="stable"
    )
    entries: list[dict[str, Any]] = []
    size = 0
    for line in records(ordered):
        key = run_key(line)
        tables = layers_of.get(key), spectra_of.get(key), history_of.get(key)
        entry = _entry(key, str(line["metric"]), *tables, files.get(str(line["run"])))
        size += len(json.dumps(entry, separators=(",", ":")))
        if size > budget:
            break
        entries.append(entry)
    return {"runs": sorted(entries, key=lambda entry: entry["id"]), "shown": len(entries), "total": len(runs)}


def _by_run(frame: pd.DataFrame) -> dict[Key, pd.DataFrame]:
    if not len(frame):
        return {}
    groups = frame.groupby(list(IDENTITY), sort=False)
    return {run_key(dict(zip(IDENTITY, key, strict=True))): group for key, group in groups}


def _entry(
    key: Key,
    metric: str,
    layers: pd.DataFrame | None,
    spectra: pd.DataFrame | None,
    history: pd.DataFrame | None,
    eigenvalues: Path | None,
) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": list(key), "metric": metric, "layers": [], "epochs": [], "blocks": {}, "curves": {}}
    values = {} if eigenvalues is None else _eigenvalues(eigenvalues)
    trajectories = {}
    if spectra is not None:
        spectra = _thin(spectra)
        entry["epochs"] = sorted(int(epoch) for epoch in spectra["epoch"].unique())
        trajectories = _trajectories(spectra, entry["epochs"])
        entry["blocks"] = _blocks(spectra, entry["epochs"])
    if layers is not None:
        entry["layers"] = [
            _layer(line, values.get(str(line["layer"]), {}), trajectories.get(str(line["layer"]), []))
            for line in records(layers)
        ]
    if history is not None:
        entry["curves"] = _curves(_thin(history), metric)
    return entry


def _layer(line: Line, values: dict[str, NDArray[np.floating]], trajectory: list[float | None]) -> dict[str, Any]:
    """A layer's fit, its two histograms (:func:`esd_histogram`), and the number of eigenvalues in its tail."""
    start, reason = short(line.get("lambda_min")), line.get("reason")
    tail = None if start is None or "last" not in values else int((values["last"] >= line["lambda_min"]).sum())
    return {
        "name": str(line["layer"]), "shape": str(line.get("shape", "")), "alpha": short(line["alpha"]),
        "start": start, "ks": short(line.get("ks_distance")), "tail": tail,
        "n": len(values["last"]) if "last" in values else None, "why": reason if isinstance(reason, str) else "",
        "esd": {when: esd_histogram(array) for when, array in values.items()}, "trajectory": trajectory,
    }  # fmt: skip


def _thin(frame: pd.DataFrame) -> pd.DataFrame:
    epochs = np.sort(frame["epoch"].unique())
    if len(epochs) <= MAX_EPOCHS:
        return frame
    kept = epochs[np.unique(np.linspace(0, len(epochs) - 1, MAX_EPOCHS).round().astype(int))]
    return frame[frame["epoch"].isin(kept)]


def _trajectories(spectra: pd.DataFrame, epochs: list[int]) -> dict[str, list[float | None]]:
    wide = spectra.pivot_table(index="layer", columns="epoch", values="alpha", aggfunc="last").reindex(columns=epochs)
    return {str(layer): [short(value) for value in row] for layer, row in zip(wide.index, wide.to_numpy(), strict=True)}


def _blocks(spectra: pd.DataFrame, epochs: list[int]) -> dict[str, dict[str, list[float | None]]]:
    """Block -> its learning rate and mean exponent at each epoch. A layer outside all blocks counts as a block."""
    named = spectra.assign(block=spectra["block"].fillna(spectra["layer"]))
    order = list(dict.fromkeys(named["block"]))
    wide = {
        name: named.pivot_table(index="block", columns="epoch", values=name).reindex(order, columns=epochs)
        for name in ("lr", "alpha")
        if name in named
    }
    return {
        str(block): {name: [short(value) for value in table.loc[block]] for name, table in wide.items()}
        for block in order
    }


def _curves(history: pd.DataFrame, metric: str) -> dict[str, list[Any]]:
    curves: dict[str, list[Any]] = {"epoch": [int(epoch) for epoch in history["epoch"]]}
    for name in ("train_loss", "val_loss", f"val_{metric}", f"test_{metric}"):
        if name in history and history[name].notna().any():
            curves[name] = [short(value) for value in history[name]]
    return curves


def _eigenvalues(path: Path) -> dict[str, dict[str, NDArray[np.floating]]]:
    """Layer -> ``first``/``last`` -> eigenvalues."""
    check_file(path)
    found: dict[str, dict[str, NDArray[np.floating]]] = {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            for key in arrays.files:
                when, _, layer = key.partition("/")
                found.setdefault(layer, {})[when] = arrays[key]
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a file of eigenvalues ({error}); delete it and analyse the run again") from None
    return found


def esd_histogram(eigenvalues: NDArray[np.floating]) -> list[float]:
    """``[low, high, counts...]``: edges as log10, counts of :data:`BINS` bins; empty if no eigenvalue is positive."""
    values = np.asarray(eigenvalues, dtype=np.float64)
    values = values[values > NOISE * values.max()] if len(values) and values.max() > 0 else values[:0]
    if not len(values):
        return []
    logs = np.log10(values)
    low, high = float(logs.min()), float(logs.max())
    if high - low < 1e-6:
        low, high = low - 0.05, high + 0.05
    counts, _ = np.histogram(logs, bins=BINS, range=(low, high))
    return [round(low, 4), round(high, 4), *(int(count) for count in counts)]


def short(value: Any) -> float | None:
    """A number to five significant figures; None for NaN and infinity, which JSON does not have."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return float(f"{number:.5g}") if np.isfinite(number) else None
