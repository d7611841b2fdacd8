"""The verdict on a claim: reproduced, not reproduced or inconclusive, by the rule in docs/verdicts.md."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from replication.settings.artifacts import Artifact
from replication.statistics.cells import SETTING, stand_ins, title_of, with_companions
from replication.statistics.claims import ALPHA, TITLES, Evidence, collect
from replication.statistics.numbers import count_text, p_text
from replication.statistics.paired import Pair, by_pair, present_pairs
from replication.statistics.published import published_gains
from replication.statistics.trivial import learned

REPRODUCED, NOT_REPRODUCED, INCONCLUSIVE = "reproduced", "not reproduced", "inconclusive"
VERDICTS = (REPRODUCED, NOT_REPRODUCED, INCONCLUSIVE)
COLUMNS = [
    "claim", "artifact", "family", "verdict", "estimate", "low", "high", "unit", "published", "cells", "cells_for",
    "pairs", "left_out", "test", "p_for", "p_against", "stand_in", "models", "datasets", "reason",
    "claim_id", "baseline", "method",
]  # fmt: skip
#: Why there is no evidence.
TOO_LITTLE = {
    "better": "no cell has three common seeds",
    "balances": "no cell has three common seeds with exponents",
    "low_data": "no model and data set has three ratios with three common seeds",
    "imbalance": "no model and data set has three ratios with three seeds",
}


def judge(claim: str, evidence: Evidence | None, published_gain: float) -> tuple[str, str]:
    """The verdict on a claim (a key of :data:`replication.statistics.claims.TITLES`) and the reason.

    ``evidence`` is None if no cell has three common seeds; ``published_gain``, the paper's mean gain in the same unit,
    is NaN if it has none.
    """
    if evidence is None:
        return INCONCLUSIVE, f"{TOO_LITTLE[claim]}, so nothing is claimed"
    trend = claim in ("low_data", "imbalance")
    right_way = evidence.estimate < 0 if trend else evidence.cells_for > evidence.cells / 2
    shown = f"{evidence.test}, p {_p(evidence.p_for)} for the claim and {p_text(evidence.p_against)} for its opposite"
    if right_way and evidence.p_for < ALPHA:
        return REPRODUCED, shown
    if evidence.p_against < ALPHA:
        return NOT_REPRODUCED, f"the opposite holds: {shown}"
    if not trend and published_gain > 0 and evidence.high < published_gain / 2:
        rest = f"the interval ends at {evidence.high:.3g}, below half the published mean gain of {published_gain:.3g}"
        return NOT_REPRODUCED, f"{rest} ({shown})"
    return INCONCLUSIVE, f"the data allow either: {shown}"


def _p(value: float) -> str:
    text = p_text(value)
    return text if text.startswith(("<", "n")) else f"= {text}"


def artifact_verdicts(artifact: Artifact, runs: pd.DataFrame, published: pd.DataFrame) -> list[dict[str, Any]]:
    """One row per claim of an artifact and pair of its methods."""
    own = with_companions(runs[runs["experiment"].isin(artifact.sources)], artifact.experiments)
    rows = []
    for claim in artifact.claims:
        for pair in present_pairs(artifact.pairs, own):
            used = own[own["method"].isin(pair)]
            gain = math.nan
            if claim == "better":
                gain = published_gains(published, artifact.published, pair, artifact.family)["gain"].mean()
            rows.append(_row(claim, pair, used, artifact.name, gain))
            if claim == "imbalance":
                break  # this claim is about the baseline alone
    return rows


def _row(claim: str, pair: Pair, runs: pd.DataFrame, artifact: str, published_gain: float) -> dict[str, Any]:
    settings = runs.drop_duplicates(SETTING)
    counted = learned(runs)
    left_out = int((~counted[settings.index]).sum())
    evidence = collect(claim, runs[counted], pair) if counted.any() else None
    verdict, reason = judge(claim, evidence, published_gain)
    if not counted.any():
        reason = "neither method beats the trivial predictors in any cell, so nothing is claimed"
    elif left_out:
        cells = count_text(len(settings), "cell")
        reason += f"; {left_out} of {cells} left out: neither method beats the trivial predictors there"
    base, other = (title_of(runs, "method", name) for name in pair)
    shown = vars(evidence) if evidence else {"cells": len(settings)}
    return {
        "claim": TITLES[claim].format(base=base.replace("baseline", "the baseline"), other=other),
        "artifact": artifact, "family": runs["family"].iloc[0],
        "verdict": verdict, "published": published_gain, "left_out": left_out, **shown,
        "stand_in": "; ".join(stand_ins(runs)),
        "models": ", ".join(sorted(set(runs["model"]))), "datasets": ", ".join(sorted(set(runs["dataset"]))),
        "reason": reason, "claim_id": claim, "baseline": pair[0], "method": pair[1],
    }  # fmt: skip


def overall_verdicts(runs: pd.DataFrame) -> list[dict[str, Any]]:
    """The paper's claims over all cells of a family, each counted once."""
    rows = []
    for family, pair, used in by_pair(runs):
        # A setting in which only one of the two methods ran says nothing about the pair.
        both = used.groupby(SETTING)["method"].transform("nunique") == 2
        if both.any():
            rows += [_row(claim, pair, used[both], f"all {family} cells", math.nan) for claim in TITLES]
    return rows


def verdict_table(runs: pd.DataFrame, published: pd.DataFrame, artifacts: Sequence[Artifact]) -> pd.DataFrame:
    """All verdicts, with columns :data:`COLUMNS`: over all cells, then by artifact."""
    rows = overall_verdicts(runs)
    for artifact in artifacts:
        rows += artifact_verdicts(artifact, runs, published)
    return pd.DataFrame(rows, columns=COLUMNS)
