"""The sentences at the top of the report. None claims more than its verdict or estimate."""

from __future__ import annotations

from typing import Any

import pandas as pd

from replication.report.verdicts import CLAIMS, verdict
from replication.statistics.cells import Line, records
from replication.statistics.estimates import GAIN, LOSS, NO_DIFFERENCE, UNDECIDED
from replication.statistics.numbers import count_text, gain_text, number

FAMILIES = {"nlp": "Language models", "sciml": "Neural operators on PDEs"}
#: The wording of each result; nothing else on the page says whether TB does better.
CONCLUSIONS = {
    GAIN: "TB does better",
    LOSS: "TB does worse",
    NO_DIFFERENCE: "TB makes no difference of interest",
    UNDECIDED: "this does not settle whether TB does better or worse",
}
TRENDS = {
    "grows": "the gain grows as the data shrink",
    "shrinks": "the gain shrinks as the data shrink",
    UNDECIDED: "this shows no trend",
}


def findings(verdicts: pd.DataFrame, estimates: pd.DataFrame) -> list[dict[str, Any]]:
    """One entry per family and pair: the mixed model in two sentences, and two verdicts over all cells."""
    overall = verdicts[verdicts["artifact"].str.startswith("all ")]
    found = []
    for line in records(estimates):
        own = overall[(overall["family"] == line["family"]) & (overall["method"] == line["method"])]
        own = own[(own["baseline"] == line["baseline"]) & own["claim_id"].isin(["better", "low_data"])]
        found.append({
            "family": FAMILIES[str(line["family"])] + " (stand-ins)" * bool(line["stand_in"]),
            "claims": [{"head": CLAIMS[each["claim_id"]], **verdict(each)} for each in records(own)],
            "mean": mean_sentence(line), "trend": trend_sentence(line),
        })  # fmt: skip
    return found


def mean_sentence(line: Line) -> str:
    """The mean gain of a row of :func:`replication.statistics.estimates.estimate_table`, and its conclusion."""
    if pd.isna(line["mean"]):
        return "No cell has three common seeds and beats the trivial predictors, so nothing is estimated"
    gain = _with_unit(line, line["mean"], line["low"], line["high"])
    cells = count_text(line["cells"], "cell")
    text = f"Mean gain over {cells} and {line['pairs']} pairs: {gain}; {CONCLUSIONS[line['result']]}"
    if pd.isna(line["smallest"]):
        return text
    small = line["equivalence_high"] < line["smallest"] and -line["smallest"] < line["equivalence_low"]
    less = ", but by less than matters" if line["result"] in (GAIN, LOSS) and small else ""
    smallest = f"{number(line['smallest'], 2)} {line['unit']}"
    return f"{text}{less} (smallest gain of interest: {smallest}, half of the published gain)"


def trend_sentence(line: Line) -> str:
    """The change of the gain with each halving of the data, and its conclusion; empty for a single ratio."""
    if pd.isna(line["trend"]):
        return ""
    change = _with_unit(line, line["trend"], line["trend_low"], line["trend_high"])
    return f"Change of the gain with each halving of the data: {change}; {TRENDS[line['trend_result']]}"


def _with_unit(line: Line, gain: float, low: float, high: float) -> str:
    """``+1.2 points [+0.4, +1.9]``."""
    return gain_text(gain, low, high).replace(" [", f" {line['unit']} [", 1)
