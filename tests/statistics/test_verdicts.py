"""The verdict rule: all branches, on evidence and on data with known gains."""

from __future__ import annotations

import math
import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from replication.report.render import to_latex, to_markdown
from replication.report.verdicts import as_table, with_evidence
from replication.statistics.claims import Evidence, collect, combine
from replication.statistics.paired import gains, paired_table
from replication.statistics.published import read_published
from replication.statistics.verdicts import judge, overall_verdicts, verdict_table
from synthetic_tables import STAND_IN, shipped_index, synthetic_runs


def evidence(**changes: float) -> Evidence:
    values = {
        "cells": 4, "cells_for": 4, "pairs": 12, "estimate": 1.0, "unit": "points", "low": 0.5, "high": 1.5,
        "p_for": 0.01, "p_against": 0.99, "test": "a test",
    }  # fmt: skip
    return Evidence(**{**values, **changes})


@pytest.mark.parametrize(
    ("claim", "found", "published", "verdict"),
    [
        ("better", evidence(), math.nan, "reproduced"),
        # Significant, but only in half of the cells.
        ("better", evidence(cells_for=2), math.nan, "inconclusive"),
        ("better", evidence(p_for=0.2, p_against=0.8), math.nan, "inconclusive"),
        ("better", evidence(cells_for=0, estimate=-1.0, p_for=0.99, p_against=0.01), math.nan, "not reproduced"),
        # The interval rules out half of the published gain.
        ("better", evidence(p_for=0.3, p_against=0.7, low=-0.2, high=0.4), 1.0, "not reproduced"),
        ("better", evidence(p_for=0.3, p_against=0.7, low=-0.2, high=0.6), 1.0, "inconclusive"),
        ("better", evidence(p_for=0.3, p_against=0.7, low=math.nan, high=math.nan), 1.0, "inconclusive"),
        ("low_data", evidence(estimate=-0.9), math.nan, "reproduced"),
        ("low_data", evidence(estimate=0.9, p_for=0.99, p_against=0.01), math.nan, "not reproduced"),
        ("low_data", evidence(estimate=0.9, p_for=0.03, p_against=0.9), math.nan, "inconclusive"),
        ("balances", None, math.nan, "inconclusive"),
    ],
)
def test_the_rule(claim: str, found: Evidence | None, published: float, verdict: str) -> None:
    assert judge(claim, found, published)[0] == verdict


def test_fewer_than_three_seeds_claim_nothing() -> None:
    runs = synthetic_runs(seeds=(13, 37))
    assert all(collect(claim, runs, ("ft", "tb")) is None for claim in ("better", "balances", "low_data", "imbalance"))


def test_sign_test_from_six_cells() -> None:
    table = pd.DataFrame({"gain": [1.0, 2.0, 3.0, 1.0, 2.0, -1.0, 4.0], "p_t": 0.5})
    p_for, p_against, test = combine(table)
    assert p_for == pytest.approx(stats.binomtest(6, 7, alternative="greater").pvalue)
    assert p_against == pytest.approx(stats.binomtest(6, 7, alternative="less").pvalue)
    assert "sign test over 7 cells" in test


@pytest.mark.parametrize(
    ("cells", "test"),
    [
        (1, "paired t-test of 1 cell"),
        (2, "paired t-tests of 2 cells combined (Stouffer)"),
        (6, "sign test over 6 cells"),
    ],
)
def test_the_name_of_the_test_counts_cells(cells: int, test: str) -> None:
    assert combine(pd.DataFrame({"gain": [1.0] * cells, "p_t": 0.5}))[2] == test


@pytest.mark.parametrize("ratios", [(0.01,), (0.01, 0.02, 0.05)])
def test_one_cell_or_curve_is_singular_in_every_sentence(ratios: tuple[float, ...]) -> None:
    rows = overall_verdicts(synthetic_runs(ratios=ratios))
    sentences = [f"{row['reason']} {row.get('test')}" for row in rows]
    assert any(word in text for text in sentences for word in ("1 cell", "1 curve"))
    assert not any(re.search(r"\b1 (cell|curve|seed|run)s", text) for text in sentences)


def test_stouffer_below_six_cells() -> None:
    table = pd.DataFrame({"gain": [1.0, -1.0, 2.0], "p_t": [0.02, 0.4, np.nan]})
    p_for, p_against, _ = combine(table)
    # One-sided p-values: .01, 1 - .2, and .5 for the cell without a test.
    expected = stats.norm.sf(sum(stats.norm.isf([0.01, 0.8, 0.5])) / math.sqrt(3))
    assert p_for == pytest.approx(expected)
    assert p_for + p_against == pytest.approx(1.0)


def test_known_gains_are_found() -> None:
    helps = synthetic_runs(effect=0.02, trend=0.01)
    verdicts = {row["claim_id"]: row["verdict"] for row in overall_verdicts(helps)}
    assert verdicts == dict.fromkeys(("better", "low_data", "balances", "imbalance"), "reproduced")
    hurts = synthetic_runs(effect=-0.03, trend=-0.01)
    verdicts = {row["claim_id"]: row["verdict"] for row in overall_verdicts(hurts)}
    assert verdicts["better"] == verdicts["low_data"] == "not reproduced"
    nothing = synthetic_runs(effect=0.0, trend=0.0)
    verdicts = {row["claim_id"]: row["verdict"] for row in overall_verdicts(nothing)}
    assert verdicts["better"] == verdicts["low_data"] == "inconclusive"


def test_errors_count_the_other_way_round() -> None:
    runs = synthetic_runs("fig4_cfd_ratio", "sciml", methods=("baseline", "tb"), effect=0.05, trend=0.02)
    row = next(row for row in overall_verdicts(runs) if row["claim_id"] == "better")
    assert row["verdict"] == "reproduced"
    assert row["estimate"] == pytest.approx(7.0, abs=0.5)
    assert row["unit"] == "%"


def test_the_spread_is_over_blocks_in_language_and_over_layers_in_pdes() -> None:
    nlp = synthetic_runs()
    nlp["alpha_std_block"] = nlp["alpha_std"] * nlp["method"].map({"ft": 1.0, "tb": 0.5})
    pde = synthetic_runs("e", "sciml", methods=("baseline", "tb")).assign(alpha_std_block=1.0)
    for runs, pair, column in ((nlp, ("ft", "tb"), "alpha_std_block"), (pde, ("baseline", "tb"), "alpha_std")):
        found = collect("balances", runs, pair)
        assert found is not None
        assert found.estimate == pytest.approx(paired_table(runs, [pair], column)["gain"].mean())


def test_a_trend_survives_one_diverged_run() -> None:
    runs = synthetic_runs(ratios=(0.01, 0.02, 0.05, 0.1), diverged=((0.01, "tb", 13),))
    found = collect("low_data", runs, ("ft", "tb"))
    assert found is not None
    assert found.estimate == pytest.approx(-1.0)
    # With three ratios the seed is dropped instead, and two seeds are too few.
    assert collect("low_data", synthetic_runs(diverged=((0.01, "tb", 13),)), ("ft", "tb")) is None


def test_trend_of_one_curve_by_scipy() -> None:
    runs = synthetic_runs(effect=0.0, trend=0.002, noise=0.03, ratios=(0.01, 0.02, 0.05, 0.1))
    found = collect("low_data", runs, ("ft", "tb"))
    assert found is not None
    wide = gains(runs, ("ft", "tb")).pivot_table(index="seed", columns="ratio", values="gain")
    rho = [stats.spearmanr(wide.columns, row).statistic for row in wide.to_numpy()]
    assert found.estimate == pytest.approx(np.mean(rho))
    assert found.p_for == pytest.approx(stats.page_trend_test(wide.to_numpy()[:, ::-1]).pvalue)


def test_a_run_that_two_experiments_show_counts_once() -> None:
    runs = synthetic_runs()
    twice = pd.concat([runs, runs.assign(experiment="table1_addon")])
    first, second = (next(iter(overall_verdicts(table))) for table in (runs, twice))
    assert (first["cells"], first["pairs"]) == (second["cells"], second["pairs"]) == (3, 9)


def test_table_of_verdicts_names_stand_ins_and_published_gains(root) -> None:
    index = shipped_index(root)
    published = read_published(root / "workflow/resources/published_results.csv")
    runs = synthetic_runs()
    plan = index.plan(["fig3_glue_ratio"], scale="smoke")
    verdicts = verdict_table(runs, published, [*plan.figures.values(), *plan.tables.values()])
    assert set(verdicts["stand_in"]) == {STAND_IN}
    row = verdicts[(verdicts["artifact"] == "fig3_glue_ratio") & (verdicts["claim_id"] == "better")].iloc[0]
    glue = published[published["artifact"] == "table17_fig3"].pivot_table(
        index=["dataset", "ratio"], columns="method", values="mean"
    )
    assert row["published"] == pytest.approx((glue["tb"] - glue["ft"]).mean())
    # Table 17 has the same verdict as Figure 3, so it has no row.
    assert "table17_glue" not in set(verdicts["artifact"])
    page = to_markdown(with_evidence(verdicts))
    assert page.count("stand-in |") == len(verdicts)
    assert "sign test" in page or "Stouffer" in page
    assert to_latex(as_table(verdicts)).count(r"\\") == len(verdicts) + 1
