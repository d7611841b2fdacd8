"""Verdicts as a table, and as a matrix of artifacts and claims."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from replication.report.render import Row, Table
from replication.statistics.cells import Line, records
from replication.statistics.numbers import interval, number

HEADS = ("Claim", "Verdict", "Artifact", "Estimate", "Published", "About")
#: Claim -> its column heading in the matrix.
CLAIMS = {
    "better": "TB does better",
    "low_data": "more so with less data",
    "balances": "TB evens out alpha",
    "imbalance": "less data, less even alpha",
}
NOTES = (
    "The rule was written down before the runs; docs/verdicts.md has it, and what changed since.",
    "A verdict is about a direction, not a size: a change of a few hundredths of a per cent can be reproduced. "
    "Read the estimate.",
    "Estimates are means over cells with Student's 95 % interval; trends are mean rank correlations (negative: "
    "stronger with less data).",
    "Published: the paper's mean gain over its own cells of the artifact, in the estimate's unit.",
    "A verdict marked stand-in is about other models and data than the paper's, and neither confirms nor refutes it.",
)
#: Headings of the verdicts over all cells.
OVERALL = {"all nlp cells": "all language cells", "all sciml cells": "all PDE cells"}


def as_table(verdicts: pd.DataFrame) -> Table:
    """One row per verdict, with columns :data:`HEADS`."""
    rows = []
    for line in records(verdicts):
        published: str = "" if pd.isna(line["published"]) else number(line["published"], 2, signed=True)
        about = "stand-in" if line["stand_in"] else "the paper's setting"
        rows.append(Row((line["claim"], line["verdict"], line["artifact"], estimate_text(line), published, about)))
    return Table("verdicts", "Verdicts on the paper's claims", HEADS, tuple(rows), NOTES)


def with_evidence(verdicts: pd.DataFrame) -> Table:
    """:func:`as_table` with the test and its p-values as a further column."""
    table = as_table(verdicts)
    rows = [Row((*row.labels, reason)) for row, reason in zip(table.rows, verdicts["reason"], strict=True)]
    return replace(table, heads=(*HEADS, "Evidence"), rows=tuple(rows))


def estimate_text(line: Line) -> str:
    """``+0.8 points [-0.2, +1.8], 5 of 6 cells``; empty if nothing is claimed."""
    if pd.isna(line["estimate"]):
        return ""
    if line["unit"].startswith("rank"):
        return f"rho = {number(line['estimate'], 2)}"
    unit = {"points": " points", "%": " %"}.get(line["unit"], "")
    text = f"{number(line['estimate'], 2, signed=True)}{unit} {interval(line['low'], line['high'])}".strip()
    return f"{text}, {int(line['cells_for'])} of {int(line['cells'])} cells positive"


def matrix(verdicts: pd.DataFrame, headings: Mapping[str, str]) -> list[dict[str, Any]]:
    """One row per artifact: its name and heading, its stand-in text, and for every claim its verdicts with evidence.

    An artifact that compares several pairs of methods has several verdicts on one claim.
    """
    rows, titles = [], {**headings, **OVERALL}
    for artifact, own in verdicts.groupby("artifact", sort=False):
        lines = records(own)
        rows.append({
            "artifact": artifact, "stand_in": lines[0]["stand_in"], "title": titles[str(artifact)],
            "claims": [[verdict(line) for line in lines if line["claim_id"] == claim] for claim in CLAIMS],
        })  # fmt: skip
    return rows


def verdict(line: Line) -> dict[str, str]:
    """A verdict for the page: the word, its style, the claim, the estimate and the evidence."""
    return {
        "verdict": line["verdict"], "kind": line["verdict"].replace(" ", "-"), "claim": line["claim"],
        "estimate": estimate_text(line), "reason": line["reason"],
        "pair": f"{line['method']} against {line['baseline']}",
    }  # fmt: skip
