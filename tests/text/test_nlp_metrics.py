"""Metrics against values computed by hand, and their properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication.text.metrics import GROUP_METRICS, ROW_METRICS, known_metrics, score
from replication.text.spans import answers_from_logits, normalise, squad_scores, token_f1

TRUE = np.array([1, 1, 1, 0, 0, 0, 0, 0])
GUESS = np.array([1, 1, 0, 1, 0, 0, 0, 0])


def test_glue_metrics_by_hand() -> None:
    found = score(["accuracy", "f1", "accuracy_f1_mean", "matthews"], GUESS, TRUE, {})
    assert found["accuracy"] == 6 / 8
    assert found["f1"] == pytest.approx(2 / 3)
    assert found["accuracy_f1_mean"] == pytest.approx((6 / 8 + 2 / 3) / 2)
    assert found["matthews"] == pytest.approx((2 * 4 - 1 * 1) / np.sqrt(3 * 3 * 5 * 5))


def test_superglue_metrics_by_hand() -> None:
    true, guess = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0])
    assert ROW_METRICS["f1_macro"](guess, true) == pytest.approx((0.5 + 2 / 3 + 0) / 3)
    true, guess, group = np.array([1, 0, 1, 0]), np.array([1, 0, 0, 0]), ["a", "a", "b", "b"]
    assert GROUP_METRICS["group_exact_match"](guess, true, group) == 0.5
    assert GROUP_METRICS["group_f1"](guess, true, group) == 0.5, "1 and 0; over all answers it is 2 / 3"


def test_correlations_of_a_constant_are_zero_not_nan() -> None:
    found = score(["pearson", "spearman", "pearson_spearman_mean"], np.ones(4), np.arange(4.0), {})
    assert set(found.values()) == {0.0}
    assert score(["matthews"], np.ones(4, int), np.array([0, 1, 0, 1]), {})["matthews"] == 0.0


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=30))
def test_micro_f1_is_the_accuracy_and_perfect_guesses_score_one(pairs: list[tuple[int, int]]) -> None:
    guess, true = (np.array(values) for values in zip(*pairs, strict=True))
    assert ROW_METRICS["f1_micro"](guess, true) == pytest.approx(ROW_METRICS["accuracy"](guess, true))
    for name in ("accuracy", "f1_macro", "f1_micro"):
        assert ROW_METRICS[name](true, true) == 1.0
        assert 0 <= ROW_METRICS[name](guess, true) <= 1


def test_metrics_fit_their_kind() -> None:
    assert "group_exact_match" not in known_metrics("classification", grouped=False)
    assert "group_exact_match" in known_metrics("classification", grouped=True)
    assert "accuracy" not in known_metrics("regression", grouped=False)


def test_squad_scores_as_published() -> None:
    assert normalise("The  Eiffel-Tower, a tower!") == "eiffeltower tower"
    assert token_f1("in Paris France", "Paris") == pytest.approx(0.5)
    assert squad_scores(["the Paris.", "x"], [["London", "Paris"], ["y"]]) == {"span_exact_match": 0.5, "span_f1": 0.5}


def test_the_best_valid_span_over_all_windows_is_taken() -> None:
    offsets = [[[-1, -1], [0, 3], [4, 7], [8, 11]], [[-1, -1], [4, 7], [8, 11], [12, 15]]]
    start = np.array([[9.0, 1.0, 2.0, 0.0], [9.0, 0.0, 3.0, 1.0]])
    end = np.array([[9.0, 5.0, 0.0, 1.0], [9.0, 0.0, 1.0, 4.0]])
    # In the second window "two end" has 3 + 4, more than any valid span of the first; question tokens do not count.
    assert answers_from_logits(start, end, [0, 0], offsets, ["abc one two end"]) == ["two end"]
    assert answers_from_logits(start[:1], end[:1], [0], offsets[:1], ["abc one two", "unseen"]) == ["abc", ""]
