"""The mixed model against statsmodels and the analysis of variance, and the rule on data with known gains."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from replication.statistics.estimates import decide, equivalent, estimate_table, interquartile_mean, smallest_gain
from replication.statistics.mixed import Coefficient, fit_gains
from replication.statistics.published import read_published
from synthetic_tables import shipped_index, synthetic_runs


def study(models: int, datasets: int, seeds: int, *, seed_sd: float = 1.5, trend: float = 0.0) -> pd.DataFrame:
    """Gains with a mean of 2, at ratios 1, 1/2, 1/4 and 1/8."""
    rng = np.random.default_rng(5)
    shape = (models, datasets, 4, seeds)
    index = pd.MultiIndex.from_product(
        [list("mnopqr")[:models], list("defghi")[:datasets], [1.0, 0.5, 0.25, 0.125], range(seeds)],
        names=["model", "dataset", "ratio", "seed"],
    )
    gain = 2 + rng.normal(size=shape) + seed_sd * rng.normal(size=(1, datasets, 1, seeds))
    gain += rng.normal(size=(1, datasets, 1, 1)) + rng.normal(size=(models, 1, 1, 1))
    gain += trend * np.arange(4)[:, None]
    return pd.DataFrame({"gain": gain.ravel()}, index=index).reset_index()


def test_with_one_data_set_the_mean_is_students_over_seeds() -> None:
    gains = study(1, 1, 5)
    fit = fit_gains(gains)
    assert fit is not None
    assert fit.random == ("seed",)
    expected = stats.ttest_1samp(gains.groupby("seed")["gain"].mean(), 0.0).confidence_interval(0.95)
    assert fit.mean.df == pytest.approx(4, rel=1e-3)
    assert fit.mean.interval(0.95) == pytest.approx((expected.low, expected.high), rel=1e-3)


def test_the_trend_is_that_of_the_analysis_of_variance() -> None:
    gains = study(1, 1, 5, trend=0.7)
    fit = fit_gains(gains)
    assert fit is not None
    assert fit.trend is not None
    # In a balanced table, least squares with fixed effects of seeds has the same slope, error and degrees of freedom.
    halvings = np.repeat(np.arange(4), 5)
    design = np.column_stack([halvings, np.eye(5)[gains["seed"]]])
    solution, residual, *_ = np.linalg.lstsq(design, gains["gain"].to_numpy(), rcond=None)
    error = math.sqrt(residual[0] / (20 - 6) * np.linalg.inv(design.T @ design)[0, 0])
    assert fit.trend.estimate == pytest.approx(solution[0])
    assert fit.trend.error == pytest.approx(error, rel=1e-3)
    assert fit.trend.df == pytest.approx(14, rel=1e-3)


def test_estimates_and_errors_are_those_of_statsmodels() -> None:
    import statsmodels.formula.api as smf

    gains = study(3, 5, 4, trend=0.4)
    fit = fit_gains(gains)
    assert fit is not None
    assert fit.trend is not None
    assert set(fit.random) == {"model", "data set", "seed"}
    halvings = -np.log2(gains["ratio"])
    frame = gains.assign(x=halvings - halvings.mean(), all=1, drawn=gains["dataset"] + gains["seed"].astype(str))
    formulas = {name: f"0 + C({name})" for name in ("model", "dataset", "drawn")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = smf.mixedlm("gain ~ x", frame, groups="all", vc_formula=formulas, re_formula="0").fit(method="bfgs")
    assert fit.mean.estimate == pytest.approx(other.params["Intercept"], rel=1e-4)
    assert fit.mean.error == pytest.approx(other.bse_fe["Intercept"], rel=1e-2)
    assert (fit.trend.estimate, fit.trend.error) == pytest.approx((other.params["x"], other.bse_fe["x"]), rel=1e-3)


def test_cells_that_share_seeds_are_not_independent() -> None:
    gains = study(1, 1, 4, seed_sd=3.0)
    fit = fit_gains(gains)
    assert fit is not None
    assert fit.mean.error > 1.5 * stats.sem(gains["gain"])


def test_gains_that_do_not_vary_have_no_model() -> None:
    assert fit_gains(study(1, 1, 3).assign(gain=1.0)) is None
    assert fit_gains(study(1, 1, 3).iloc[:1]) is None


@pytest.mark.parametrize(
    ("mean", "smallest", "result"),
    [
        (Coefficient(2.0, 0.5, 9), 0.5, "gain"),
        (Coefficient(-2.0, 0.5, 9), 0.5, "loss"),
        (Coefficient(0.1, 0.2, 9), 0.5, "no difference"),
        # With two degrees of freedom, the same error leaves it undecided.
        (Coefficient(0.1, 0.2, 2), 0.5, "undecided"),
        (Coefficient(0.1, 0.2, 9), math.nan, "undecided"),
        (Coefficient(-0.3, 0.2, 9), 0.5, "undecided"),
        # A gain that is significant but too small to matter is a gain; the report says that it is small.
        (Coefficient(0.2, 0.05, 9), 0.5, "gain"),
    ],
)
def test_the_rule(mean: Coefficient, smallest: float, result: str) -> None:
    assert decide(mean, smallest) == result


def test_equivalence_is_two_one_sided_tests() -> None:
    values = np.random.default_rng(1).normal(0.1, 1.0, 12)
    mean = Coefficient(float(values.mean()), float(stats.sem(values)), 11)
    for smallest in (0.2, 0.5, 0.7, 1.0):
        above = stats.ttest_1samp(values, -smallest, alternative="greater").pvalue
        below = stats.ttest_1samp(values, smallest, alternative="less").pvalue
        assert equivalent(mean, smallest) == (max(above, below) < 0.05)


def test_interquartile_mean_leaves_out_the_outer_quarters() -> None:
    mean, low, high = interquartile_mean([np.array([1.0, 2.0, 3.0, 100.0]), np.array([-50.0, 2.0, 3.0, 4.0])])
    assert mean == pytest.approx(2.5)
    assert low < mean < high < 60
    # Cells are strata, so without variation over seeds the interval has no width.
    assert interquartile_mean([np.full(3, 1.0), np.full(3, 5.0)]) == pytest.approx((3.0, 3.0, 3.0))


def test_the_table_for_known_gains(root) -> None:
    index = shipped_index(root)
    published = read_published(root / "workflow/resources/published_results.csv")
    plan = index.plan(["fig3_glue_ratio"], scale="smoke")
    artifacts = [*plan.figures.values(), *plan.tables.values()]
    glue = published[published["artifact"] == "table17_fig3"]
    wide = glue.pivot_table(index=["model", "dataset", "ratio"], columns="method", values="mean")
    assert smallest_gain(published, artifacts, ("ft", "tb"), "nlp") == pytest.approx(
        (wide["tb"] - wide["ft"]).mean() / 2
    )
    helps = estimate_table(synthetic_runs(effect=0.02, trend=0.01), published, artifacts).iloc[0]
    assert (helps["result"], helps["trend_result"], helps["unit"]) == ("gain", "grows", "points")
    assert helps["low"] < 3.0 < helps["high"]
    assert helps["iqm_low"] < 3.0 < helps["iqm_high"]
    nothing = estimate_table(synthetic_runs(effect=0.0, trend=0.0), published, artifacts).iloc[0]
    assert (nothing["result"], nothing["cells"], nothing["pairs"]) == ("no difference", 3, 9)
    few = estimate_table(synthetic_runs(seeds=(13, 37)), published, artifacts).iloc[0]
    assert (few["result"], few["cells"], few["left_out"]) == ("undecided", 0, 3)
    assert math.isnan(few["mean"])


def test_a_cell_that_has_learned_nothing_does_not_count() -> None:
    runs = synthetic_runs().assign(trivial="majority", trivial_score=0.75, trivial_undiluted=0.75)
    row = estimate_table(runs, pd.DataFrame(columns=["artifact", "model", "dataset", "ratio", "method"]), []).iloc[0]
    scores = runs.groupby(["ratio", "method"])["score"].mean().unstack().max(axis=1)
    assert row["cells"] == (scores > 0.75).sum()
    assert row["left_out"] == (scores <= 0.75).sum() > 0
