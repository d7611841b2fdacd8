"""Figure 1: two layers' empirical spectral densities with their fitted tails, and the exponents of all blocks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from numpy.typing import NDArray

from replication.errors import DataError
from replication.figures.curves import draw_series, even_ticks, mean_label, placed, sides
from replication.figures.data import FigureData
from replication.figures.multiples import Subplot, small_multiples
from replication.figures.style import BALANCED, BASELINE
from replication.statistics.cells import records

BINS = 40
#: Eigenvalues below this share of the largest are rounding errors.
NOISE = 1e-7
#: If an axis has more names than this, numbers replace them.
NAMES = 14
#: With no-break spaces, so that titles do not wrap here.
TIMES = "\N{NO-BREAK SPACE}×\N{NO-BREAK SPACE}"

Array = NDArray[np.floating]


def density(eigenvalues: Array) -> tuple[Array, Array]:
    """Edges ``[BINS + 1]`` of logarithmic bins, and the density ``[BINS]`` of eigenvalues ``[N]`` in them.

    Eigenvalues that are zero to rounding are in no bin; the integral is the share of the others.
    """
    shown = eigenvalues[eigenvalues > NOISE * eigenvalues.max()]
    edges = np.geomspace(shown.min(), shown.max() * (1 + 1e-6), BINS + 1)
    counts, _ = np.histogram(shown, edges)
    return edges, counts / (np.diff(edges) * len(eigenvalues))


def tail_density(eigenvalues: Array, alpha: float, lambda_min: float, points: int = 50) -> tuple[Array, Array]:
    """The fitted power law ``p ~ lambda^-alpha`` above ``lambda_min``, scaled to the tail's share of eigenvalues."""
    share = float((eigenvalues >= lambda_min * (1 - 1e-6)).mean())
    grid = np.geomspace(lambda_min, eigenvalues.max(), points)
    return grid, share * (alpha - 1) / lambda_min * (grid / lambda_min) ** -alpha


Limits = tuple[tuple[float, float], tuple[float, float]]


def common_limits(layers: Sequence[Array]) -> Limits:
    """Limits of both axes that include every layer, so that panels can be compared."""
    edges, heights = (np.concatenate(arrays) for arrays in zip(*(density(layer) for layer in layers), strict=True))
    shown = heights[heights > 0]
    return (edges.min() / 1.2, edges.max() * 1.2), (shown.min() / 3, shown.max() * 3)


def draw_esd(axis: Axes, eigenvalues: Array, alpha: float, lambda_min: float, limits: Limits) -> None:
    """Draw a layer's density on logarithmic axes, its fitted tail, and the start of the tail."""
    edges, heights = density(eigenvalues)
    axis.stairs(heights, edges, fill=True, color="0.78", label="density of eigenvalues")
    axis.axvline(lambda_min, color=BASELINE.color, linestyle=":", linewidth=1.0, label="start of the tail, λ$_{min}$")
    axis.plot(*tail_density(eigenvalues, alpha, lambda_min), color=BALANCED.color, label="fitted tail ∝ λ$^{-α}$")
    axis.set(xscale="log", yscale="log", xlabel="eigenvalue λ of WᵀW", ylabel="density", xlim=limits[0], ylim=limits[1])
    axis.xaxis.set_minor_formatter(NullFormatter())
    if limits[0][1] < 150 * limits[0][0]:  # powers of ten alone would leave one label or none
        axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.xaxis.set_major_formatter("{x:g}")


def two_layers(layers: pd.DataFrame) -> pd.DataFrame:
    """The layers with the smallest and the largest exponent among those of the commonest shape.

    One shape, because an exponent depends on the shape too (larger for flatter matrices): a difference between
    shapes says nothing of training.

    Raises DataError if fewer than two layers have an exponent.
    """
    known = layers.dropna(subset=["alpha"])
    if len(known) < 2:
        raise DataError("fig1_esd: fewer than two layers have an exponent, so there is nothing to compare")
    counts = known["shape"].value_counts()
    same = known[known["shape"] == counts.index[0]] if counts.iloc[0] > 1 else known
    return same.loc[[same["alpha"].idxmin(), same["alpha"].idxmax()]]


def spectra_and_exponents(data: FigureData) -> Figure:
    """Figure 1 from one baseline run's eigenvalues and the exponents of all seeds in the same setting.

    Raises DataError if the baseline's eigenvalues or exponents are missing.
    """
    baseline = data.pair[0]
    run = next((key for key in data.eigenvalues if key.method == baseline), None)
    if run is None or data.layers.empty:
        raise DataError(f"{data.artifact.name}: the eigenvalues or layers.csv of a run of '{baseline}' are missing")
    here = data.runs.loc[data.runs["run"] == str(run), ["experiment", "model", "dataset", "ratio"]].iloc[0]
    layers = data.layers[(data.layers[here.index] == here).all(axis=1) & data.layers["method"].isin(data.pair)]
    chosen = records(two_layers(layers[(layers["method"] == baseline) & (layers["seed"] == run.seed)]))
    spectra = [data.eigenvalues[run][layer["layer"]] for layer in chosen]
    subplots = []
    for what, layer, eigenvalues in zip(("smallest", "largest"), chosen, spectra, strict=True):
        title = f"{what} exponent, α = {layer['alpha']:.2f}\n{short_name(layer['layer'])}"
        fit = {"alpha": layer["alpha"], "lambda_min": layer["lambda_min"]}
        draw = partial(draw_esd, eigenvalues=eigenvalues, **fit, limits=common_limits(spectra))
        subplots.append(Subplot(f"{title} ({layer['shape'].replace('x', TIMES)})", draw))
    column = "block" if layers["block"].notna().any() else "layer"
    draw = partial(draw_exponents, data=data, layers=layers, column=column)
    subplots.append(Subplot(f"exponent of every {column}\nall seeds", draw))
    where = f"{data.setting(run)}; (a, b): {data.title('method', baseline)}, seed {run.seed}"
    return small_multiples(subplots, columns=3, notes=[*data.stand_ins, where], panel_height=2.0)


def short_name(layer: str) -> str:
    """``bert.encoder.layer.3.attention.self.key`` -> ``block 3, attention.self.key``."""
    found = re.search(r"(?:^|\.)(\d+)\.(.+)", layer)
    return f"block {found[1]}, {found[2]}" if found else layer


def draw_exponents(axis: Axes, data: FigureData, layers: pd.DataFrame, column: str) -> None:
    """Draw the mean exponent of every block (of every layer of a model without blocks) for both methods, over seeds."""
    rows = layers.dropna(subset=[column, "alpha"])
    seeds = rows.groupby(["method", "seed", column], sort=False)["alpha"].mean().reset_index(name="value")
    keys = [str(key) for key in dict.fromkeys(seeds[column])]
    labels = [key.rsplit(".", 1)[-1] for key in keys]
    numbered = all(label.isdigit() for label in labels)
    if len(labels) > NAMES and not numbered:
        labels, numbered = [str(number + 1) for number in range(len(keys))], True
    ticks = even_ticks(column, keys, labels, column)
    for method, shift, look in sides(data.pair, ticks):
        points = placed(seeds, method, ticks, shift)
        means = points.groupby("position")["value"].agg(mean="mean", below="std", above="std").reset_index()
        draw_series(axis, points, means, look, joined=True, label=mean_label(data, method, "alpha_mean"))
    ticks.apply(axis)
    if not numbered:
        axis.tick_params(axis="x", rotation=90)
    axis.set_ylabel("mean α of the block" if column == "block" else "α")
