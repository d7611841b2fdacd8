"""Data for the report's browser of spectra and learning curves, small enough to embed in the page."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from replication.runs.spectra import stored_eigenvalues
from replication.settings.paths import RunPath
from replication.statistics.cells import Line, records

Numbers = list[float | None]
IDENTITY = ["experiment", "model", "dataset", "ratio", "method", "seed"]
BINS = 40
#: At most this many epochs of a run are shown, evenly spaced, always with the first and the last.
MAX_EPOCHS = 60
#: Eigenvalues below this share of a layer's largest are rounding noise.
NOISE = 1e-9


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

    First seeds come first, so that a large grid keeps one run per cell. ``shown`` and ``total`` count runs.
    """
    files = {str(RunPath.of(path)): path for path in eigenvalues}
    groups = [dict(iter(frame.groupby(IDENTITY))) if len(frame) else {} for frame in (layers, spectra, history)]
    ordered = runs.assign(rank=runs.groupby(IDENTITY[:-1])["seed"].rank(method="first")).sort_values(
        ["rank", *IDENTITY], kind="stable"
    )
    entries: list[dict[str, Any]] = []
    size = 0
    for line in records(ordered):
        key = tuple(line[name] for name in IDENTITY)
        tables = [group.get(key, pd.DataFrame()) for group in groups]
        entry = {"id": list(key), "metric": line["metric"], **_entry(line["metric"], tables, files.get(line["run"]))}
        size += len(json.dumps(entry, separators=(",", ":")))
        if size > budget:
            break
        entries.append(entry)
    return {"runs": sorted(entries, key=lambda entry: entry["id"]), "shown": len(entries), "total": len(runs)}


def _entry(metric: str, tables: list[pd.DataFrame], eigenvalues: Path | None) -> dict[str, Any]:
    layers, spectra, history = tables
    entry: dict[str, Any] = {"layers": [], "epochs": [], "blocks": {}, "curves": {}}
    values = {} if eigenvalues is None else stored_eigenvalues(eigenvalues)
    trajectories: dict[str, Numbers] = {}
    if len(spectra):
        spectra = _thin(spectra)
        entry["epochs"] = sorted(spectra["epoch"].unique().tolist())
        trajectories = _trajectories(spectra, "layer", "alpha", entry["epochs"])
        entry["blocks"] = _blocks(spectra, entry["epochs"])
    for line in records(layers):
        own = values.get(line["layer"], {})
        entry["layers"].append({**_layer(line, own), "trajectory": trajectories.get(line["layer"], [])})
    if len(history):
        entry["curves"] = _curves(_thin(history), metric)
    return entry


def _layer(line: Line, values: dict[str, NDArray[np.floating]]) -> dict[str, Any]:
    """A layer's fit, its two histograms (:func:`esd_histogram`), and the number of eigenvalues in its tail."""
    start, last = line["lambda_min"], values.get("last")
    return {
        "name": line["layer"], "shape": line["shape"], "alpha": short(line["alpha"]), "start": short(start),
        "ks": short(line["ks_distance"]),
        "tail": None if last is None or np.isnan(start) else int((last >= start).sum()),
        "n": None if last is None else len(last), "why": "" if pd.isna(line["reason"]) else line["reason"],
        "esd": {when: esd_histogram(array) for when, array in values.items()},
    }  # fmt: skip


def _thin(frame: pd.DataFrame) -> pd.DataFrame:
    epochs = np.sort(frame["epoch"].unique())
    if len(epochs) <= MAX_EPOCHS:
        return frame
    kept = epochs[np.unique(np.linspace(0, len(epochs) - 1, MAX_EPOCHS).round().astype(int))]
    return frame[frame["epoch"].isin(kept)]


def _trajectories(spectra: pd.DataFrame, level: str, value: str, epochs: list[int]) -> dict[str, Numbers]:
    """Layer or block (``level``) -> its value, or the mean of its layers' values, at each epoch."""
    wide = spectra.pivot_table(index=level, columns="epoch", values=value).reindex(columns=epochs)
    return {str(name): [short(number) for number in row] for name, row in zip(wide.index, wide.to_numpy(), strict=True)}


def _blocks(spectra: pd.DataFrame, epochs: list[int]) -> dict[str, dict[str, Numbers]]:
    """Block -> its learning rate and mean exponent at each epoch. A layer outside all blocks counts as a block."""
    named = spectra.assign(block=spectra["block"].fillna(spectra["layer"]))
    found = {name: _trajectories(named, "block", name, epochs) for name in ("lr", "alpha")}
    nothing: Numbers = [None] * len(epochs)
    return {
        block: {name: known.get(block, nothing) for name, known in found.items()} for block in named["block"].unique()
    }


def _curves(history: pd.DataFrame, metric: str) -> dict[str, list[Any]]:
    curves: dict[str, list[Any]] = {"epoch": [int(epoch) for epoch in history["epoch"]]}
    for name in ("train_loss", "val_loss", f"val_{metric}", f"test_{metric}"):
        if name in history and history[name].notna().any():
            curves[name] = [short(value) for value in history[name]]
    return curves


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


def short(value: float) -> float | None:
    """A number to five significant figures; None for NaN and infinity, which JSON does not have."""
    return float(f"{value:.5g}") if np.isfinite(value) else None
