"""Verdicts as a table for a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from replication.report.render import Row, Table
from replication.statistics.cells import records
from replication.statistics.numbers import interval, number


def as_table(verdicts: pd.DataFrame) -> Table:
    """The verdicts for a page: claim, artifact, verdict, estimate with its interval, published value."""
    rows = tuple(Row(shown(line), ()) for line in records(verdicts))
    return Table("verdicts", "Verdicts on the paper's claims", HEADS, rows, NOTES)


def with_evidence(verdicts: pd.DataFrame) -> Table:
    """:func:`as_table` with the test and its p-values as a further column."""
    rows = tuple(Row((*shown(line), str(line["reason"])), ()) for line in records(verdicts))
    return Table("verdicts", "Verdicts on the paper's claims", (*HEADS, "Evidence"), rows, NOTES)


HEADS = ("Claim", "Verdict", "Artifact", "Estimate", "Published", "About")


def shown(line: Mapping[Any, Any]) -> tuple[str, ...]:
    """A verdict as a reader sees it, in the order of :data:`HEADS`."""
    published = "" if pd.isna(line["published"]) else number(line["published"], 2, signed=True)
    about = "stand-in" if line["stand_in"] else "the paper's setting"
    return (str(line["claim"]), str(line["verdict"]), str(line["artifact"]), estimate_text(line), published, about)


NOTES = (
    "The rule was written down before the runs; docs/verdicts.md has it, and what changed since.",
    "A verdict is about a direction, not a size: a change of a few hundredths of a per cent can be reproduced. "
    "Read the estimate.",
    "Estimates are means over cells with Student's 95 % interval; trends are mean rank correlations (negative: "
    "stronger with less data).",
    "Published: the paper's mean gain over its own cells of the artifact, in the estimate's unit.",
    "A verdict marked stand-in is about other models and data than the paper's, and neither confirms nor refutes it.",
)


def estimate_text(line: Mapping[Any, Any]) -> str:
    """``+0.8 points [-0.2, +1.8], 5 of 6 cells``; empty where nothing is claimed."""
    if pd.isna(line["estimate"]):
        return ""
    if line["unit"].startswith("rank"):
        return f"rho = {number(line['estimate'], 2)}"
    unit = {"points": " points", "%": " %"}.get(line["unit"], "")
    shown = f"{number(line['estimate'], 2, signed=True)}{unit} {interval(line['low'], line['high'])}".strip()
    return f"{shown}, {int(line['cells_for'])} of {int(line['cells'])} cells positive"
