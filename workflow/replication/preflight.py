"""What is checked before the first job, beside the settings themselves."""

from __future__ import annotations

from replication.settings.grid import Grid
from replication.simulation.simulation import check_datasets


def check_grid(grid: Grid) -> None:
    """Check the options of a grid's PDE data sets and the user's style. Raises ConfigError."""
    check_datasets(grid)
    if grid.config.style:
        # Here, because planning needs matplotlib for nothing else.
        from replication.figures.style import check_style

        check_style(grid.config.style)
