"""Figure 1: spectra of two layers with their fitted tails, and the exponent of every block for both methods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tempbalance.analysis.cells import title_of
from tempbalance.errors import DataError
from tempbalance.plots.data import FigureData
from tempbalance.plots.panels import legend, marked, panel_title, percent, stand_in_label
from tempbalance.plots.style import PAGE_WIDTH, styled

BINS = 40
#: Eigenvalues below this share of the largest are rounding, not spectrum.
NOISE = 1e-7


def draw(data: FigureData, style: Mapping[str, Any]) -> Figure:
    """Draw it. Raises DataError where the baseline's eigenvalues or exponents are missing."""
    base = data.pair[0]
    if base not in data.eigenvalues:
        raise DataError(f"fig1_esd: no eigenvalues of the method '{base}' were given")
    model, dataset = data.groups[0]
    ratio = float(data.of(model, dataset)["ratio"].min())
    layers = data.layers
    here = layers[(layers["model"] == model) & (layers["dataset"] == dataset) & (layers["ratio"] == ratio)]
    seed = data.of(model, dataset)["seed"].iloc[0]
    shown = two_layers(here[(here["method"] == base) & (here["seed"] == seed)])
    with styled(style):
        figure = Figure(figsize=(PAGE_WIDTH, 4.1), layout="constrained")
        axes = figure.subplot_mosaic("ab\ncc")
        for axis, (_, row) in zip((axes["a"], axes["b"]), shown.iterrows(), strict=True):
            esd_panel(axis, data.eigenvalues[base][str(row["layer"])], row)
        limits = [axis.get_ylim() for axis in (axes["a"], axes["b"])]
        axes["a"].set_ylim(min(limit[0] for limit in limits), max(limit[1] for limit in limits))
        axes["b"].sharey(axes["a"])
        axes["a"].set_ylabel("Density")
        block_panel(axes["c"], data, here)
        size = int(data.of(model, dataset).query("ratio == @ratio")["n_train"].iloc[0])
        title = panel_title(data, model, dataset).replace("\n", ", ")
        axes["c"].set_title(f"{title}, {percent(ratio)} of the training set ({size} samples)")
        legend(figure, data, marked(data), published=False)
        stand_in_label(figure, data)
    return figure


def two_layers(layers: pd.DataFrame) -> pd.DataFrame:
    """The layers with the smallest and the largest exponent, of the shape that most layers have.

    One shape, because an exponent depends on the shape too: a difference between shapes says nothing of training.
    Raises DataError where fewer than two layers have an exponent.
    """
    known = layers.dropna(subset=["alpha"])
    if len(known) < 2:
        raise DataError("fig1_esd: fewer than two layers have an exponent, so there is nothing to compare")
    counts = known["shape"].value_counts()
    same = known[known["shape"] == counts.index[0]] if counts.iloc[0] > 1 else known
    return same.loc[[same["alpha"].idxmin(), same["alpha"].idxmax()]]


def esd_panel(axis: Axes, eigenvalues: NDArray[np.floating], row: pd.Series) -> None:
    """Histogram of eigenvalues on logarithmic axes, the fitted power law, and where it starts.

    Args:
        axis: where.
        eigenvalues: ``[N]``.
        row: the layer's ``layer``, ``shape``, ``alpha``, ``lambda_min``.
    """
    values = eigenvalues[eigenvalues > NOISE * eigenvalues.max()]
    edges = np.geomspace(values.min(), values.max(), BINS + 1)
    counts, _ = np.histogram(values, bins=edges)
    density = counts / (np.diff(edges) * len(eigenvalues))
    axis.bar(edges[:-1], density, width=np.diff(edges), align="edge", color="#BFD7EA", edgecolor="#7FA6C4",
             linewidth=0.3, label="eigenvalues")  # fmt: skip
    alpha, start = float(row["alpha"]), float(row["lambda_min"])
    tail = np.geomspace(start, values.max(), 50)
    share = float((eigenvalues >= start).mean())
    axis.plot(tail, share * (alpha - 1) / start * (tail / start) ** -alpha, color="#B2182B", linewidth=1.4,
              label=f"tail fit, alpha = {alpha:.2f}")  # fmt: skip
    axis.axvline(start, color="black", linestyle=":", linewidth=0.9, label=f"lambda_min = {start:.2g}")
    axis.set_xscale("log")
    axis.set_yscale("log")
    shown = density[density > 0]
    axis.set_ylim(shown.min() / 3, shown.max() * 3)
    axis.set_xlabel("Eigenvalue of $W^T W$")
    axis.set_title(f"{row['layer']} ({row['shape']})".replace("x", "×"), fontsize="small")
    axis.legend(loc="lower left", fontsize=6)


def block_panel(axis: Axes, data: FigureData, layers: pd.DataFrame) -> None:
    """Mean exponent of every block, mean and standard deviation over seeds, for both methods."""
    blocks = layers.dropna(subset=["alpha", "block"])
    order = list(dict.fromkeys(blocks["block"]))
    means = blocks.groupby(["method", "seed", "block"])["alpha"].mean()
    for (method, mark, _), shift in zip(marked(data), (-0.06, 0.06), strict=True):
        if method not in means.index.get_level_values("method"):
            continue
        own = means[method].reset_index().pivot_table(index="seed", columns="block", values="alpha")[order]
        axis.errorbar(
            np.arange(len(order)) + shift, own.mean(), yerr=own.std(ddof=1).fillna(0.0), color=mark.color,
            linestyle=mark.linestyle, marker=mark.marker, capsize=2, elinewidth=0.8,
            label=f"{title_of(data.runs, 'method', method)}: STD over blocks {own.mean().std(ddof=0):.3f}",
        )  # fmt: skip
    axis.set_xticks(range(len(order)), [short_block(name) for name in order])
    axis.set_xlabel("Block")
    axis.set_ylabel("Mean alpha of the block")
    axis.legend(loc="best", fontsize=6.5)


def short_block(name: str) -> str:
    """``bert.encoder.layer.3`` as ``3``; other names as they are."""
    last = str(name).rsplit(".", 1)[-1]
    return last if last.isdigit() else str(name)
