"""A comparison of two results folders as one self-contained page without scripts."""

from __future__ import annotations

from math import isnan
from pathlib import Path
from typing import Any

import pandas as pd

from replication.report.findings import FAMILIES
from replication.report.page import fill
from replication.statistics.cells import Line, records
from replication.statistics.numbers import gain_text, p_text, percent_text, with_uncertainty

TEMPLATE = Path(__file__).parents[2] / "report" / "comparison.html.j2"
#: Half the width of the small drawing of a difference, in CSS pixels.
HALF = 80.0
UNITS = {"nlp": "points", "sciml": "nRMSE"}


def comparison_page(table: pd.DataFrame, a: Path, b: Path) -> str:
    """The page of :func:`replication.statistics.compare.compare`'s table of the folders ``a`` and ``b``.

    Cells that differ come first, the largest difference on top. Within a family all differences have one scale.
    """
    unequal = table[table["status"] != "equal"]
    groups = [
        {"title": f"{FAMILIES[str(family)]}, B minus A in {UNITS[str(family)]}", "rows": _rows(own)}
        for family, own in unequal.groupby("family")
    ]
    return fill(
        TEMPLATE, a=a, b=b, groups=groups, cells=len(table), half=HALF, counts=table["status"].value_counts().items(),
        equal=[_name(line) for line in records(table[table["status"] == "equal"])],
    )  # fmt: skip


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    table = table.sort_values("difference", key=lambda values: -values.abs(), na_position="last")
    reach = table[["difference", "low", "high"]].abs().max(axis=None) or 1.0
    return [{
        "name": _name(line), "status": line["status"], "configuration": line["configuration"],
        "sides": [_side(line, side) for side in "ab"], "p": p_text(line["p_t"]),
        "difference": "" if isnan(line["difference"]) else gain_text(line["difference"], line["low"], line["high"]),
        "drawn": [None if isnan(line[name]) else HALF + 0.95 * HALF * line[name] / reach
                  for name in ("difference", "low", "high")],
    } for line in records(table)]  # fmt: skip


def _name(line: Line) -> str:
    return f"{line['experiment']}: {line['model']}, {line['dataset']}, {percent_text(line['ratio'])}, {line['method']}"


def _side(line: Line, side: str) -> str:
    runs = f"{line[f'n_{side}']} runs" + f", {line[f'diverged_{side}']} diverged" * bool(line[f"diverged_{side}"])
    mean, deviation = line[f"mean_{side}"], line[f"sd_{side}"]
    return runs if isnan(mean) else f"{with_uncertainty(mean, deviation)} ({runs})"
