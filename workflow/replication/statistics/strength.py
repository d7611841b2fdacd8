"""Gains of methods that differ in the strength of balancing, s."""

from __future__ import annotations

import json
import math

import pandas as pd

from replication.errors import DataError
from replication.statistics.artifact import Numbers


def gains_by_strength(numbers: Numbers) -> pd.DataFrame:
    """``numbers.gains`` with the columns ``value`` and ``s``, the strength of each balanced method.

    Raises DataError if no method balances, or if the runs of a method do not all have the same s on both sides.
    """
    balanced = {method for _, method in numbers.pairs}
    runs = numbers.runs[numbers.runs["method"].isin(balanced)]
    if runs.empty:
        raise DataError(f"{numbers.artifact.name}: the runs have no balanced method beside the baseline")
    sides = runs["hyper"].map(lambda hyper: json.loads(hyper)["balance"])
    strengths = runs.assign(s=[side["s_max"] if side["s_min"] == side["s_max"] else math.nan for side in sides])
    known = strengths.groupby("method")["s"].agg(["first", "nunique", "count", "size"])
    unfit = known.index[(known["nunique"] != 1) | (known["count"] != known["size"])]
    if len(unfit):
        raise DataError(
            f"{numbers.artifact.name}: the runs of {unfit[0]} do not all have the same s, so they cannot be shown by s"
        )
    return numbers.gains.assign(value=numbers.value, s=numbers.gains["method"].map(known["first"]))
