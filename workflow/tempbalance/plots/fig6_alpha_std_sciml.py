"""Figure 6: error and STD of alpha of the baseline against the data ratio."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from tempbalance.plots.data import FigureData
from tempbalance.plots.ratio_figures import imbalance_figure


def draw(data: FigureData, style: Mapping[str, Any]) -> Figure:
    """Draw it; raises ConfigError for an unknown style key."""
    return imbalance_figure(data, style)
