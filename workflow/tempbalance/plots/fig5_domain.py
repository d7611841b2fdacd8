"""Figure 5: FT and TB on domain-specific data sets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tempbalance.analysis.cells import summarise, title_of, values_of
from tempbalance.analysis.published import join_published
from tempbalance.plots.data import FigureData
from tempbalance.plots.panels import legend, marked, percent, stand_in_label
from tempbalance.plots.style import PAGE_WIDTH, styled

WIDTH = 0.36


def draw(data: FigureData, style: Mapping[str, Any]) -> Figure:
    """Draw it; raises ConfigError for an unknown style key."""
    with styled(style):
        figure = Figure(figsize=(PAGE_WIDTH, 2.5), layout="constrained")
        axis = figure.subplots()
        keys = data.runs[["model", "dataset", "ratio"]].drop_duplicates().itertuples(index=False, name=None)
        places = {key: place for place, key in enumerate(keys)}
        published = 0
        for (method, mark, _), side in zip(marked(data), (-0.5, 0.5), strict=True):
            own = data.runs[data.runs["method"] == method]

            def place(table: Any, side: float = side) -> Any:
                keys = table[["model", "dataset", "ratio"]].itertuples(index=False, name=None)
                return np.array([places[key] + side * WIDTH for key in keys])

            cells = summarise(own)
            axis.bar(place(cells), cells["mean"], WIDTH, yerr=cells["sd"].fillna(0.0), color=mark.color,
                     alpha=0.75, capsize=2, error_kw={"elinewidth": 0.8}, hatch="//" if side < 0 else None,
                     edgecolor="white", linewidth=0.4)  # fmt: skip
            axis.scatter(place(own), values_of(own, "score"), s=7, color="black", linewidths=0, zorder=3)
            if data.published is not None:
                points = join_published(own, data.published, data.artifact.published)
                axis.plot(place(points), points["published_mean"], linestyle="none", marker=mark.marker,
                          markerfacecolor="none", markeredgecolor="black", alpha=0.55, gid="published")  # fmt: skip
                published += len(points)
        axis.set_xticks(list(places.values()), [
            f"{title_of(data.runs, 'dataset', dataset)}\n{percent(ratio)}" for _, dataset, ratio in places
        ])  # fmt: skip
        axis.set_ylabel("Test score (%)")
        scores = values_of(data.runs, "score").dropna()
        if len(scores):
            axis.set_ylim(max(0.0, scores.min() - 0.35 * (scores.max() - scores.min()) - 5), None)
        legend(figure, data, marked(data), published=published > 0)
        stand_in_label(figure, data)
    return figure
