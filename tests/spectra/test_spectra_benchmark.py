"""The benchmark measures what it says (at toy size, without a claim about speed)."""

from __future__ import annotations

import importlib.util

import pytest


@pytest.fixture
def benchmark(root, monkeypatch):
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    spec = importlib.util.spec_from_file_location("spectra_benchmark", root / "benchmarks" / "spectra.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_methods_agree(benchmark):
    matrices = benchmark.noise(*benchmark.block(48))
    assert benchmark.ours(matrices) == pytest.approx(benchmark.full_svd(matrices), abs=1e-4)


def test_a_method_is_left_out_before_it_takes_too_long(benchmark, monkeypatch):
    monkeypatch.setattr(benchmark, "METHODS", {"tempbalance": len, "slow": len})
    monkeypatch.setattr(benchmark, "seconds_of", lambda call: call() * 1.0)
    rows = benchmark.against_size("n", (1, 2, 3, 10), lambda size: [None] * size, power=3)
    assert [(row["size"], row["variant"]) for row in rows if row["variant"] == "slow"] == [
        (1, "slow"),
        (2, "slow"),
        (3, "slow"),
    ]
    assert [row["size"] for row in rows if row["variant"] == "tempbalance"] == [1, 2, 3, 10]


def test_shares_follow_from_the_measured_seconds(benchmark):
    seconds = {
        "training step": [1.0], "TempBalance update": [0.5], "TempBalance update, all layers skipped": [0.1],
        "validation batch": [0.1],
    }  # fmt: skip
    row = benchmark.share(seconds, 0.0002)
    # 13 rows are one step per epoch; every step is measured, and there is one measurement before training.
    assert (row["steps"], row["updates"]) == (10, 11)
    assert row["ours"] == pytest.approx(100 * 5.5 / 15.5)
    assert row["ours, with validation"] == pytest.approx(100 * 5.5 / (15.5 + 10 * 55 * 0.1))
    assert row["ours, all layers skipped"] == pytest.approx(100 * 1.5 / 11.5)
    assert row["published"] == pytest.approx(24.03)
    row = benchmark.share(seconds, 0.05)
    assert (row["steps"], row["updates"]) == (2110, 101)  # every 21st step
