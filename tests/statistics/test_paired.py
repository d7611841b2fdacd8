"""Paired statistics against scipy, statsmodels and values computed by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from replication.errors import DataError
from replication.statistics.cells import read_runs, summarise, with_companions
from replication.statistics.paired import compare_pairs, gains, holm, paired_table
from synthetic_tables import synthetic_runs


def runs_of(base: list[float], other: list[float], *, family: str = "nlp", status: str = "finished") -> pd.DataFrame:
    """One cell: one row per seed and method."""
    rows = []
    for method, scores in (("ft", base), ("tb", other)):
        for seed, score in enumerate(scores):
            rows.append({
                "experiment": "x", "family": family, "model": "m", "dataset": "d", "ratio": 0.1, "n_train": 10,
                "method": method, "seed": seed, "status": status, "score": score, "stand_in": "",
                "higher_is_better": family == "nlp",
            })  # fmt: skip
    return pd.DataFrame(rows)


def test_language_gains_are_points_and_match_scipy() -> None:
    base, other = [0.70, 0.72, 0.69, 0.75], [0.74, 0.73, 0.73, 0.77]
    row = paired_table(runs_of(base, other), [("ft", "tb")]).iloc[0]
    expected = stats.ttest_rel(np.array(other) * 100, np.array(base) * 100)
    assert row["gain"] == pytest.approx(2.75)
    assert row["unit"] == "points"
    assert row["p_t"] == pytest.approx(expected.pvalue)
    assert (row["t_low"], row["t_high"]) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert row["p_wilcoxon"] == pytest.approx(stats.wilcoxon(np.array(other) - np.array(base)).pvalue)
    assert row["effect"] > 0


def test_an_error_that_falls_is_a_positive_gain_in_per_cent() -> None:
    table = gains(runs_of([0.2, 0.4], [0.1, 0.3], family="sciml"), ("ft", "tb"))
    assert table["gain"].tolist() == pytest.approx([50.0, 25.0])
    assert set(table["unit"]) == {"%"}


def test_a_smaller_spread_of_alpha_is_a_positive_gain_for_both_families() -> None:
    for family in ("nlp", "sciml"):
        runs = runs_of([0.5], [0.5], family=family).assign(alpha_std=[0.4, 0.3])
        assert gains(runs, ("ft", "tb"), "alpha_std")["gain"].tolist() == pytest.approx([25.0])


def test_bootstrap_of_three_seeds_spans_them_and_is_repeatable() -> None:
    runs = runs_of([0.70, 0.70, 0.70], [0.71, 0.73, 0.78])
    first, second = (paired_table(runs, [("ft", "tb")]).iloc[0] for _ in range(2))
    # With three values, 1/27 of the resamples are all the smallest, which is more than the 2.5 % below the interval.
    assert (first["ci_low"], first["ci_high"]) == pytest.approx((1.0, 8.0))
    assert first.equals(second)


def test_two_seeds_are_shown_without_statistics() -> None:
    row = paired_table(runs_of([0.7, 0.7], [0.8, 0.9]), [("ft", "tb")]).iloc[0]
    assert row["n"] == 2
    assert row["gain"] == pytest.approx(15.0)
    assert row[["ci_low", "ci_high", "p_t", "p_holm", "effect"]].isna().all()


def test_a_diverged_run_is_dropped_with_its_partner() -> None:
    runs = runs_of([0.7, 0.7, 0.7, 0.7], [0.8, 0.8, 0.9, 0.1])
    runs.loc[(runs["method"] == "tb") & (runs["seed"] == 3), "status"] = "diverged"
    row = paired_table(runs, [("ft", "tb")]).iloc[0]
    assert row["n"] == 3
    assert row["gain"] == pytest.approx(100 * (0.1 + 0.1 + 0.2) / 3)
    cell = summarise(runs).set_index("method").loc["tb"]
    assert (cell["n"], cell["diverged"]) == (3, 1)


def test_equal_differences_have_an_interval_but_no_test() -> None:
    row = compare_pairs(np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 4.0]), np.array([1.0, 1.0, 1.0]))
    assert row["ci_low"] == row["ci_high"] == 1.0
    assert np.isnan(row["p_t"])


def test_holm_by_hand_and_missing_values_do_not_count() -> None:
    corrected = holm(pd.Series([0.01, np.nan, 0.04, 0.03]))
    assert corrected[[0, 3, 2]].tolist() == pytest.approx([0.03, 0.06, 0.06])
    assert np.isnan(corrected[1])


def test_summary_in_per_cent() -> None:
    cell = summarise(runs_of([0.7, 0.8, 0.9], [0.7, 0.8, 0.9])).iloc[0]
    assert (cell["mean"], cell["sd"], cell["n"]) == pytest.approx((80.0, 10.0, 3))


def test_companions_add_only_missing_methods() -> None:
    own = synthetic_runs("table1_addon", methods=("sam", "sam+tb"), ratios=(0.01,))
    lender = synthetic_runs("fig3_glue_ratio", ratios=(0.01, 0.02))
    both = with_companions(pd.concat([own, lender]), ["table1_addon"])
    assert set(both["method"]) == {"sam", "sam+tb", "ft", "tb"}
    assert set(both["ratio"]) == {0.01}
    again = with_companions(pd.concat([own, own.assign(experiment="other")]), ["table1_addon"])
    assert len(again) == len(own)


def test_a_table_without_its_columns_is_refused(tmp_path) -> None:
    (tmp_path / "runs.csv").write_text("model,dataset\nm,d\n")
    with pytest.raises(DataError, match="column 'experiment' is missing"):
        read_runs([tmp_path / "runs.csv"])
    with pytest.raises(DataError, match="cannot be read"):
        read_runs([tmp_path / "none.csv"])
