"""Two ways to show the same: a live display on a terminal, plain lines anywhere else."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, TextIO

from snakemake_logger_plugin_tempbalance import text
from snakemake_logger_plugin_tempbalance.grid import Grid, Job
from snakemake_logger_plugin_tempbalance.heartbeats import Beat

if TYPE_CHECKING:
    from rich.table import Table

RUNNING_SHOWN = 8


class View(Protocol):
    """What the handler needs of a display."""

    def message(self, content: str, style: str = "") -> None:
        """Write a text that stays."""

    def finished(self, job: Job, grid: Grid, seconds: float, left: float | None) -> None:
        """A job ended well."""

    def refresh(self, grid: Grid, beats: Mapping[int, Beat], left: float | None) -> None:
        """Show where the grid is; called about once a second."""

    def close(self) -> None:
        """Take the live part away."""


class LineView:
    """Lines for a log file, a pipe, a CI page.

    Args:
        stream: where to write.
        interval: seconds between two lines about the running jobs.
    """

    def __init__(self, stream: TextIO, interval: float) -> None:
        self.stream = stream
        self.interval = interval
        self._written = time.monotonic()

    def message(self, content: str, style: str = "") -> None:
        """Write a text."""
        self.stream.write(content + "\n")
        self.stream.flush()

    def finished(self, job: Job, grid: Grid, seconds: float, left: float | None) -> None:
        """A line a finished job."""
        self._line(
            f"{text.counts(grid, time.time(), left)}  |  done: {job.rule}  {job.label}  {text.duration(seconds)}"
        )

    def refresh(self, grid: Grid, beats: Mapping[int, Beat], left: float | None) -> None:
        """A line about the running jobs when none was written for ``interval`` seconds."""
        if time.monotonic() - self._written >= self.interval:
            now = time.time()
            running = "; ".join(text.running_lines(grid, beats, now, limit=4))
            self._line(f"{text.counts(grid, now, left)}  |  running: {running or 'none'}")
            self._written = time.monotonic()

    def close(self) -> None:
        """Nothing to take away."""

    def _line(self, content: str) -> None:
        self.message(f"[{time.strftime('%H:%M:%S')}] {content}")


class LiveView:
    """A bar and the running jobs at the bottom of the terminal; messages scroll above it."""

    def __init__(self, stream: TextIO, *, color: bool) -> None:
        from rich.console import Console
        from rich.live import Live

        self.console = Console(file=stream, force_terminal=True, no_color=not color, highlight=False, markup=False)
        self.live = Live(console=self.console, auto_refresh=False, transient=True)

    def message(self, content: str, style: str = "") -> None:
        """Write a text above the live display."""
        from rich.text import Text

        # As a Text: the style given to print() would colour the live display as well.
        self.console.print(Text(content, style=style), soft_wrap=True)

    def finished(self, job: Job, grid: Grid, seconds: float, left: float | None) -> None:
        """The bar tells it; no line is needed."""

    def refresh(self, grid: Grid, beats: Mapping[int, Beat], left: float | None) -> None:
        """Draw the bar and the running jobs."""
        if not self.live.is_started:
            self.live.start()
        self.live.update(self._drawn(grid, beats, left), refresh=True)

    def close(self) -> None:
        """Take the display away."""
        if self.live.is_started:
            self.live.update("", refresh=True)
            self.live.stop()

    def _drawn(self, grid: Grid, beats: Mapping[int, Beat], left: float | None) -> Table:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        now = time.time()
        drawn = Table.grid()
        drawn.add_column(no_wrap=True, overflow="ellipsis")
        drawn.add_row(ProgressBar(total=max(grid.total, 1), completed=grid.done, width=min(72, self.console.width)))
        drawn.add_row(Text(text.counts(grid, now, left), style="bold red" if grid.failures else "bold"))
        for line in text.running_lines(grid, beats, now, limit=RUNNING_SHOWN):
            drawn.add_row(Text("  " + line))
        return drawn
