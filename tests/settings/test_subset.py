"""Which rows a data ratio keeps."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication.errors import DataError, InputError
from replication.runs.subset import choose_rows, first_rows, read_subset, strided_rows, write_subset
from replication.simulation.data import split


@pytest.mark.parametrize(
    ("dataset", "n_total", "ratio", "expected"),
    [
        ("sst2", 67349, 0.0002, 13),
        ("mnli", 392702, 0.0002, 78),
        ("qnli", 104743, 0.0002, 20),
        ("qqp", 363846, 0.0002, 72),
    ],
)
def test_the_released_rule_gives_the_papers_row_counts(dataset, n_total, ratio, expected):
    assert choose_rows(family="nlp", dataset=dataset, n_total=n_total, ratio=ratio) == list(range(expected))


@pytest.mark.parametrize(
    ("ratio", "expected"), [(1.0, 9000), (0.5, 4500), (0.25, 2250), (0.1, 900), (0.025, 225), (0.006, 50)]
)
def test_the_strided_rule_gives_the_papers_sample_counts(ratio, expected):
    rows = choose_rows(family="sciml", dataset="1dcfd", n_total=9000, ratio=ratio, strides={"0.006": 180})
    assert len(rows) == expected


@pytest.mark.parametrize(("ratio", "expected"), [(0.1, 25), (0.5, 125), (1.0, 225)])
def test_rows_held_out_for_validation_take_none_from_the_papers_subset(ratio, expected):
    """CB has 250 training rows; only the whole set cannot be kept."""
    held_out = range(125, 250, 5)
    rows = choose_rows(family="nlp", dataset="cb", n_total=225, ratio=ratio, held_out=held_out)
    assert rows == list(range(expected))


@pytest.mark.parametrize(("ratio", "stride"), [(0.5, 2), (0.25, 4), (0.1, 10), (0.025, 40), (0.006, 180)])
def test_samples_held_out_for_validation_leave_the_papers_samples(ratio, stride):
    parts = split(10_000, {"source": "pdebench", "test_samples": 1000, "validation_samples": 100})
    rows = choose_rows(
        family="sciml", dataset="1dcfd", n_total=len(parts.train), ratio=ratio, strides={"0.006": 180},
        held_out=list(parts.validation - 1000),
    )  # fmt: skip
    assert parts.train[rows].tolist() == list(range(1000, 10_000, stride))


@given(n_total=st.integers(2, 5000), ratio=st.floats(0.001, 1.0))
def test_rows_exist_are_unique_and_ascending(n_total, ratio):
    for rows in (first_rows(n_total, ratio), strided_rows(n_total, ratio)):
        assert rows == sorted(set(rows))
        assert all(0 <= row < n_total for row in rows)


@given(n_total=st.integers(10, 2000), small=st.floats(0.01, 1.0), large=st.floats(0.01, 1.0))
def test_more_data_contains_less_data_under_the_first_rows_rule(n_total, small, large):
    small, large = sorted((small, large))
    assert set(first_rows(n_total, small)) <= set(first_rows(n_total, large))


def test_a_whole_ratio_keeps_everything():
    assert first_rows(100, 1.0) == strided_rows(100, 1.0) == list(range(100))


def test_floating_point_does_not_lose_a_row():
    assert len(first_rows(100, 0.29)) == 29


def test_random_draw_depends_on_the_seed_only():
    def draw(seed):
        return choose_rows(family="nlp", dataset="x", n_total=1000, ratio=0.1, rule="random", seed=seed)

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)
    assert len(draw(1)) == 100


@given(st.lists(st.sampled_from("abc"), min_size=30, max_size=300), st.floats(0.2, 1.0))
def test_stratified_draw_keeps_the_shares(labels, ratio):
    try:
        rows = choose_rows(
            family="nlp", dataset="x", n_total=len(labels), ratio=ratio, rule="stratified", labels=labels
        )
    except InputError:
        return
    assert len(rows) == int(len(labels) * ratio + 1e-9)
    kept, whole = Counter(labels[row] for row in rows), Counter(labels)
    for label, count in whole.items():
        assert abs(kept[label] - len(rows) * count / len(labels)) < 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"ratio": 0.0}, "above 0"),
        ({"ratio": 1.01}, "at most 1"),
        ({"ratio": 0.015}, "keeps 1 of 100"),
        ({"ratio": 0.1, "rule": "best"}, "expected released, random or stratified"),
        ({"ratio": 0.1, "rule": "stratified"}, "no classes"),
        ({"ratio": 0.1, "labels": [0] * 50 + [1] * 50}, "no training row of class 1"),
    ],
)
def test_impossible_subsets_are_refused_in_one_sentence(arguments, words):
    with pytest.raises(InputError, match=words):
        choose_rows(**{"family": "nlp", "dataset": "x", "n_total": 100, **arguments})


def test_a_subset_file_is_checked_against_its_hash(tmp_path):
    path = tmp_path / "subset.json"
    write_subset(path, [3, 5, 8], dataset="x", ratio=0.1)
    assert read_subset(path) == [3, 5, 8]
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "rows": [3, 5, 9]}))
    with pytest.raises(DataError, match="do not agree with their hash"):
        read_subset(path)
    path.write_text("{")
    with pytest.raises(DataError, match="not a subset file"):
        read_subset(path)
