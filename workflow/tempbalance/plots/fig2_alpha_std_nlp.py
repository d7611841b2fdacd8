"""Figure 2: score and STD of alpha of fine-tuning against the data ratio."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from tempbalance.plots.data import FigureData
from tempbalance.plots.ratio_figures import imbalance_figure


def draw(data: FigureData, style: Mapping[str, Any]) -> Figure:
    """Draw it; raises ConfigError for an unknown style key."""
    return imbalance_figure(data, style)
