"""Style of all figures: sizes, colours, dashes and markers that work in grey and for colour-blind readers."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.typing import LineStyleType

from replication.errors import ConfigError
from replication.runs.checkpoint import write_atomically
from replication.settings.checks import suggestion

#: Widths of the ACL template in inches: one column, and the full text width.
COLUMN = 3.03
PAGE = 6.30
#: Height in inches of the tallest figure: a page's text is 9 in high, and the caption needs room too.
TALLEST = 8.4
#: Height in inches of one panel of a small-multiples figure.
PANEL = 1.75

RC: dict[str, Any] = {
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,  # TrueType: fonts are embedded and text stays text
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib, so a figure looks alike on every machine
    # Figures are printed at the size at which they are drawn, so no text on paper is smaller than 7 pt.
    **dict.fromkeys(("font.size", "axes.titlesize", "axes.labelsize", "xtick.labelsize", "ytick.labelsize"), 7),
    **dict.fromkeys(("legend.fontsize", "figure.titlesize"), 7),
    **dict.fromkeys(("axes.linewidth", "xtick.major.width", "ytick.major.width"), 0.6),
    **dict.fromkeys(("xtick.major.size", "ytick.major.size"), 2.5),
    "grid.linewidth": 0.4,
    "grid.color": "0.88",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.formatter.useoffset": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.8,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "figure.constrained_layout.w_pad": 0.05,
    "figure.constrained_layout.h_pad": 0.05,
}


@dataclass(frozen=True)
class Look:
    """How a curve is drawn. Any two looks differ in more than colour."""

    color: str
    dashes: LineStyleType
    marker: str


#: The colours also differ in lightness, for greyscale printing. They are Okabe and Ito's, the baseline's darkened.
BASELINE = Look("#123a5e", "--", "s")
BALANCED = Look("#d55e00", "-", "o")
#: For curves that are not methods, such as those in a panel of improvements.
SERIES = (
    Look("#d55e00", "-", "o"),
    Look("#0072b2", "--", "s"),
    Look("#009e73", "-.", "^"),
    Look("#7a3f69", ":", "D"),
    Look("#222222", (0, (4, 1, 1, 1, 1, 1)), "v"),
    Look("#b8860b", (0, (6, 2)), "P"),
)
#: The paper's own values: hollow and grey, behind ours.
PUBLISHED: dict[str, Any] = {
    "color": "0.55", "markerfacecolor": "none", "markeredgewidth": 0.8, "markersize": 5.5, "linestyle": "none",
    "zorder": 1, "gid": "published",
}  # fmt: skip
DIVERGED: dict[str, Any] = {
    "color": "#b30000", "marker": "x", "linestyle": "none", "markersize": 4.5, "markeredgewidth": 1.2,
    "clip_on": False, "gid": "diverged",
}  # fmt: skip
#: Colour maps of fields and of signed errors: uniform in lightness and safe for colour-blind readers.
FIELD_COLORS = "viridis"
ERROR_COLORS = "RdBu_r"


@contextmanager
def style(overrides: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Draw and save under the project's style, with a user's rc parameters over it.

    Raises ConfigError for a name or value that matplotlib does not know.
    """
    import seaborn as sns

    with mpl.rc_context():
        parameters: dict[Any, Any] = mpl.rcParams
        parameters.update({**sns.axes_style("ticks"), **RC})
        for name, value in (overrides or {}).items():
            try:
                parameters[name] = value
            except KeyError:
                raise ConfigError(
                    f"config.yaml: key 'style' names {name!r}, "
                    f"which is no matplotlib rc parameter{suggestion(name, list(parameters))}"
                ) from None
            except (ValueError, TypeError) as error:
                raise ConfigError(f"config.yaml: key 'style.{name}' is {value!r}: {error}") from None
        yield


def check_style(overrides: Mapping[str, Any]) -> None:
    """Raise ConfigError for a name or value that matplotlib does not know, before any job starts."""
    with style(overrides):
        pass


def save(figure: Figure, *paths: Path) -> None:
    """Write a figure to each path, in the format of its suffix. Equal figures give equal bytes: no date is written."""
    for path in paths:
        kind, buffer = path.suffix.lstrip("."), io.BytesIO()
        figure.savefig(buffer, format=kind, metadata={"CreationDate": None} if kind == "pdf" else None)
        write_atomically(path, buffer.getvalue())
