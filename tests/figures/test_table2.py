"""Table 2 and its figures from synthetic runs: four methods, of which zero-shot has one seed."""

from __future__ import annotations

import pytest

from replication.figures.data import FigureData
from replication.figures.registry import draw
from replication.figures.style import style
from replication.report.tables import build_table
from replication.statistics.published import read_published
from replication.statistics.verdicts import artifact_verdicts
from synthetic_tables import STAND_IN, shipped_index, synthetic_layers, synthetic_runs, synthetic_spectra


@pytest.fixture(scope="module")
def runs():
    runs = synthetic_runs(
        "table2_dpot", "sciml", models=("dpot-mini",), datasets=("2dcfd-dpot32",), ratios=(0.05, 0.1, 0.25, 0.5, 1.0),
        methods=("baseline", "tb", "scratch", "zero-shot"), seeds=(2022, 2023, 2024),
    )  # fmt: skip
    return runs[(runs["method"] != "zero-shot") | (runs["seed"] == 2022)].reset_index(drop=True)


@pytest.fixture(scope="module")
def published(root):
    return read_published(root / "workflow/resources/published_results.csv")


def test_the_table_has_a_row_of_every_method_and_says_what_pretraining_bought(root, runs, published):
    table, tidy = build_table(shipped_index(root).artifacts["table2_dpot"], runs, published)
    rows = {row.labels[-1]: row.entries for row in table.rows}
    assert {"baseline", "tb", "scratch", "zero-shot"} <= set(rows)
    assert all(entry.text for entry in rows["zero-shot"])
    assert any("error reduction against scratch" in label for label in rows)
    assert set(tidy["method"]) == {"baseline", "tb", "scratch", "zero-shot"}


@pytest.mark.parametrize(("name", "method"), [("table2_ratio", "tb"), ("table2_pretraining", "scratch")])
def test_its_figures_show_a_pair_each_and_carry_the_stand_in(root, runs, published, name, method):
    artifact = shipped_index(root).artifacts[name]
    data = FigureData(artifact, runs, synthetic_layers(runs), synthetic_spectra(runs), published)
    assert set(data.shown["method"]) == {"baseline", method}
    with style():
        figure = draw(data)
    words = " ".join(text.get_text() for text in figure.findobj(lambda item: hasattr(item, "get_text")))
    assert STAND_IN[:20] in " ".join(words.split())


def test_the_verdict_is_about_balancing_alone(root, runs, published):
    index = shipped_index(root)
    rows = [row for name in ("table2_dpot", "table2_ratio", "table2_pretraining")
            for row in artifact_verdicts(index.artifacts[name], runs, published)]  # fmt: skip
    assert [(row["baseline"], row["method"]) for row in rows] == [("baseline", "tb")]
