"""Schedules: the values of the released code, and properties."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tempbalance import linear_schedule, sigmoid_schedule
from tempbalance.balance import SCHEDULES, exp_schedule, get_schedule, grouped_rates, rank_schedule
from tempbalance.errors import InputError

CASES = json.loads((Path(__file__).parents[1] / "data" / "schedules.json").read_text())
NAMES = {
    "tb_linear_map": "linear", "tb_std_sigmoid": "sigmoid", "tb_sqrt": "sqrt", "tb_log2": "log2", "tbr": "rank",
    "linear_map": "linear",
}  # fmt: skip
fast = settings(max_examples=60, deadline=None)
exponents = st.lists(st.floats(1.01, 30.0), min_size=1, max_size=30)


def parameters(name: str, case: dict) -> dict:
    if name == "sigmoid":
        return {"s_min": case["p1"], "s_max": case["p2"], "tau": case["exp_temp"]}
    return {"min_ratio": case["p1"], "slope": case["p2"]} if name in ("linear", "rank") else {}


def all_equal(case: dict) -> bool:
    return len(set(case["alphas"])) == 1


def test_the_copy_is_complete():
    assert len(CASES) == 57
    assert sum(all_equal(case) for case in CASES) == 9


@pytest.mark.parametrize("index", range(len(CASES)))
def test_matches_the_released_schedules(index):
    case = CASES[index]
    if case["kind"] == "tb_layer_blocks":
        name = NAMES.get(case["schedule_func"], case["schedule_func"])
        ratios = {"min_ratio": case["lr_min_ratio"], "slope": case["lr_slope"]}
        sigmoid = {"s_min": case["sigmoid_min"], "s_max": case["sigmoid_max"], "tau": case["exp_temp"]}
        names = case["layer_names"]
        blocks = [n.split(".layer.")[1].split(".")[0] if ".layer." in n else None for n in names]
        found = grouped_rates(
            case["alphas"],
            blocks,
            case["base_lr"],
            get_schedule(name, **(sigmoid if name == "sigmoid" else ratios)),
            unit={"block": "block", "layer": "layer_in_block"}[case["tb_unit"]],
            normalize=case["tb_lr_normalize"] == "True",
            **ratios,
        )
        np.testing.assert_allclose(found, case["lr"], rtol=1e-6)
        return
    name = NAMES[case["kind"]]
    found = get_schedule(name, **parameters(name, case))(case["alphas"], case["base_lr"])
    if all_equal(case):
        np.testing.assert_allclose(found, case["base_lr"], rtol=1e-12)
        if name in ("linear", "rank"):  # the released value, only on request
            released = get_schedule(name, equal="released", **parameters(name, case))
            np.testing.assert_allclose(released(case["alphas"], case["base_lr"]), case["lr"], rtol=1e-6)
    else:
        np.testing.assert_allclose(found, case["lr"], rtol=1e-6)


# ---- properties ----------------------------------------------------------------------------------------------


@fast
@given(exponents, st.sampled_from(sorted(SCHEDULES)), st.floats(1e-6, 1.0))
def test_monotone_and_proportional_to_the_base_rate(alphas, name, base):
    rates = SCHEDULES[name](alphas, base)
    order = np.argsort(alphas, kind="stable")
    assert (np.diff(rates[order]) >= -1e-12 * base).all()
    np.testing.assert_allclose(rates, base * SCHEDULES[name](alphas, 1.0), rtol=1e-9)
    np.testing.assert_array_equal(SCHEDULES[name](alphas, 0.0), 0)  # the end of a schedule


@fast
@given(st.floats(1.01, 30.0), st.integers(1, 20), st.sampled_from(sorted(SCHEDULES)))
def test_all_equal_gives_the_base_rate(alpha, count, name):
    np.testing.assert_array_equal(SCHEDULES[name]([alpha] * count, 3e-4), 3e-4)


@fast
@given(exponents, st.floats(0, 3), st.floats(0, 3), st.floats(0.1, 20))
def test_sigmoid_bounds_and_mean(alphas, s_min, s_max, tau):
    rates = sigmoid_schedule(alphas, 1.0, s_min=s_min, s_max=s_max, tau=tau)
    assert (rates >= 10 ** (-s_min / 2) * (1 - 1e-12)).all()
    assert (rates <= 10 ** (s_max / 2) * (1 + 1e-12)).all()
    with_mean = sigmoid_schedule([*alphas, np.mean(alphas)], 1.0, s_min=s_min, s_max=s_max, tau=tau)
    # Rounding of the mean moves the exponent by 1e-15, the rate by tau * s * 1e-15.
    assert with_mean[-1] == pytest.approx(1.0, rel=1e-12)


@fast
@given(exponents, st.floats(0, 3), st.floats(0, 3))
def test_exp_is_proportional_to_exp_of_the_standardised_exponent_within_the_sigmoids_bounds(alphas, s_min, s_max):
    rates = exp_schedule(alphas, 1.0, s_min=s_min, s_max=s_max)
    low, high = 10 ** (-s_min / 2), 10 ** (s_max / 2)
    if np.ptp(alphas) > 1e-6:
        factors = np.exp((alphas - np.mean(alphas)) / np.std(alphas))
        np.testing.assert_allclose(rates, np.minimum(np.maximum(factors / factors.mean(), low), high), rtol=1e-6)
    assert (rates >= low * (1 - 1e-12)).all()
    assert (rates <= high * (1 + 1e-12)).all()


@fast
@given(exponents, st.floats(0, 1), st.floats(0, 3))
def test_linear_range(alphas, ratio, slope):
    rates = linear_schedule(alphas, 1.0, min_ratio=ratio, slope=slope)
    if len(set(alphas)) > 1:
        assert rates[np.argmin(alphas)] == pytest.approx(ratio)
        assert rates[np.argmax(alphas)] == pytest.approx(ratio + slope)


def test_equal_exponents_have_their_mean_rank():
    rates = rank_schedule([2.0, 3.0, 3.0, 5.0], 1.0)
    assert rates[1] == rates[2]
    assert list(rank_schedule([3.0, 3.0, 5.0], 1.0, equal="released")) == pytest.approx([0.5, 0.5 + 1 / 3, 0.5 + 2 / 3])


def test_mean_ranks_are_scipys():
    from scipy.stats import rankdata

    values = np.random.default_rng(0).integers(2, 8, 40).astype(float)
    np.testing.assert_allclose(rank_schedule(values, 1.0), 0.5 + (rankdata(values) - 1) / 40)


def test_far_off_exponents_do_not_overflow():
    rates = sigmoid_schedule([2.0, 1e4], 1.0)
    np.testing.assert_allclose(rates, [10**-0.5, 10**0.5])


def test_blocks_are_means_and_count_once():
    schedule = get_schedule("sigmoid")
    rates = grouped_rates([2.0, 4.0, 3.5, 9.0], ["a", "a", "b", None], 1.0, schedule)
    np.testing.assert_allclose(rates[[0, 2]], schedule([3.0, 3.5], 1.0))  # the 9 without a block does not count
    assert rates[0] == rates[1]
    assert rates[3] == 1.0
    assert grouped_rates([], [], 1.0, schedule).size == 0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: sigmoid_schedule([2.0, float("nan")], 1.0), "finite"),
        (lambda: sigmoid_schedule([[2.0]], 1.0), "list of numbers"),
        (lambda: sigmoid_schedule([2.0], 1.0, tau=0), "tau > 0"),
        (lambda: exp_schedule([2.0], 1.0, s_min=-1), "exp schedule: expected s_min >= 0"),
        (lambda: linear_schedule([2.0], 1.0, slope=-1), "slope >= 0"),
        (lambda: rank_schedule([2.0], 1.0, min_ratio=-1), "min_ratio >= 0"),
        (lambda: rank_schedule([2.0], 1.0, equal="top"), "equal is 'top'"),
        (lambda: SCHEDULES["log2"]([0.5], 1.0), "1 or more"),
        (lambda: SCHEDULES["sqrt"]([0.0], 1.0), "positive"),
        (lambda: get_schedule("cosine"), "cosine.*sigmoid"),
        (lambda: get_schedule("sqrt", tau=3), "takes no 'tau'"),
    ],
)
def test_bad_arguments(call, words):
    with pytest.raises(InputError, match=words):
        call()
