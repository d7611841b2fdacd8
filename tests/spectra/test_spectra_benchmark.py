"""The benchmark runs and reports what it says (at toy size; no claim about speed)."""

from __future__ import annotations

import importlib.util

import pytest


def test_matrices_part_at_toy_size(root, monkeypatch, capsys):
    spec = importlib.util.spec_from_file_location("spectra_benchmark", root / "benchmarks" / "spectra.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "WIDTH", 48)
    monkeypatch.setattr(module, "BLOCKS", 2)
    result = module.matrices_part("cpu")
    assert "13 matrices" in capsys.readouterr().out
    assert result["ratios"]["tempbalance"] == 1.0
    assert {len(seconds) for seconds in result["seconds"].values()} == {3}
    assert all(second > 0 for seconds in result["seconds"].values() for second in seconds)
    assert result["alpha_error"] < 1e-4
    exact = module.released(module.weights("cpu")[0])
    assert module.ours(module.weights("cpu")[0]) == pytest.approx(exact, abs=1e-4)
