"""Comparing two result folders."""

from __future__ import annotations

import pytest
from scipy import stats

from replication.errors import InputError
from replication.statistics.compare import compare
from synthetic_tables import synthetic_runs


def write(folder, runs) -> None:
    target = folder / runs["experiment"].iloc[0]
    target.mkdir(parents=True)
    runs.to_csv(target / "runs.csv", index=False)


def test_equal_changed_and_missing_cells(tmp_path) -> None:
    runs = synthetic_runs()
    changed = runs.copy()
    mine = (changed["method"] == "tb") & (changed["ratio"] == 0.01)
    changed.loc[mine, "score"] += [0.01, 0.02, 0.04]
    changed.loc[mine, "config_hash"] = "changed"
    write(tmp_path / "a", runs[runs["ratio"] != 0.05])
    write(tmp_path / "b", changed[~((changed["method"] == "ft") & (changed["ratio"] == 0.02))])
    table = compare(tmp_path / "a", tmp_path / "b").set_index(["ratio", "method"])
    assert table["status"].to_dict() == {
        (0.01, "ft"): "equal", (0.01, "tb"): "differs", (0.02, "ft"): "only in A", (0.02, "tb"): "equal",
        (0.05, "ft"): "only in B", (0.05, "tb"): "only in B",
    }  # fmt: skip
    row = table.loc[(0.01, "tb")]
    test = stats.ttest_1samp([1.0, 2.0, 4.0], 0.0)
    assert row["difference"] == pytest.approx(7 / 3)
    assert (row["low"], row["high"]) == pytest.approx(tuple(test.confidence_interval(0.95)))
    assert row["p_t"] == pytest.approx(test.pvalue)
    assert row["configuration"] == "changed"
    assert table.loc[(0.01, "ft"), "configuration"] == "same"
    assert table.loc[(0.01, "ft"), "difference"] == 0.0


def test_a_run_that_diverges_in_one_folder_makes_a_difference(tmp_path) -> None:
    write(tmp_path / "a", synthetic_runs())
    write(tmp_path / "b", synthetic_runs(diverged=((0.01, "tb", 13),)))
    row = compare(tmp_path / "a", tmp_path / "b").set_index(["ratio", "method"]).loc[(0.01, "tb")]
    assert (row["status"], row["n_a"], row["n_b"], row["diverged_b"]) == ("differs", 3, 2, 1)


def test_a_folder_without_results_is_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="a results folder was expected"):
        compare(tmp_path, tmp_path)
