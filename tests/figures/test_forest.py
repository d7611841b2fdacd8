"""The forest plot of every gain, and the plot of agreement with the published values."""

from __future__ import annotations

import numpy as np
import pandas as pd
from synthetic_figures import figure_data, labels, published_table

from replication.figures.agreement import draw_agreement
from replication.figures.forest import draw_forest
from replication.statistics.cells import read_table
from replication.statistics.overview import gain_table, measured_table
from synthetic_tables import synthetic_runs


def forest_gains(**changes) -> pd.DataFrame:
    nlp = synthetic_runs(stand_in="")
    pde = synthetic_runs("fig4_cfd_ratio", "sciml", methods=("baseline", "tb"), models=("fno", "unet"), **changes)
    return gain_table(pd.concat([nlp, pde], ignore_index=True), pd.DataFrame(columns=["artifact"]), [])


def test_the_forest_has_a_row_and_an_interval_for_every_cell():
    gains = forest_gains()
    figure = draw_forest(gains)
    points = [[line for line in axis.get_lines() if line.get_gid() == "gain"] for axis in figure.axes]
    assert [len(found) for found in points] == [3, 6]
    shown = [float(line.get_xdata()[0]) for line in points[0]]
    expected = gains[gains["family"] == "nlp"].sort_values("ratio", ascending=False)["gain"]
    np.testing.assert_allclose(shown, expected)
    assert {line.get_markerfacecolor() for line in points[0]} == {"#d55e00"}
    assert {line.get_markerfacecolor() for line in points[1]} == {"white"}  # stand-ins are hollow
    intervals = [line for line in figure.axes[1].get_lines() if line.get_gid() == "interval"]
    np.testing.assert_allclose(intervals[0].get_xdata()[0], gains[gains["family"] == "sciml"]["ci_low"].iloc[2])


def test_a_cell_that_has_learned_nothing_is_grey_and_a_wide_interval_ends_in_an_arrow():
    gains = forest_gains()
    gains.loc[gains.index[-1], ["learned", "ci_high"]] = [False, 1e3]
    figure = draw_forest(gains)
    axis = figure.axes[1]
    assert [line.get_color() for line in axis.get_lines() if line.get_gid() == "arrow"] == ["0.6"]
    assert "+1000.0" in [text.get_text() for text in axis.texts]
    assert "neither method beats the trivial predictors" in labels(figure)
    assert axis.get_xlim()[1] < 50


def test_a_family_in_the_forest_has_room_for_its_own_intervals():
    gains = forest_gains()
    gains.loc[gains["family"] == "nlp", "ci_high"] += 3.0
    for axis, family in zip(draw_forest(gains).axes, ("nlp", "sciml"), strict=True):
        own = gains[gains["family"] == family]
        assert axis.get_xlim()[0] < own["ci_low"].min()
        assert own["ci_high"].max() < axis.get_xlim()[1]
        assert not [line for line in axis.get_lines() if line.get_gid() == "arrow"]


def test_a_point_for_every_cell_with_a_published_value():
    data = figure_data(stand_in="")
    table = published_table(data)
    table = table[table["ratio"] != 0.05]
    measured = measured_table(data.runs, table, [data.artifact])
    assert len(measured) == 4
    axis = draw_agreement(measured).axes[0]
    points = [container.lines[0].get_xydata()[0] for container in axis.containers]
    own = 100 * data.runs.groupby(["ratio", "method"])["score"].mean()
    for point, row in zip(points, measured.itertuples(), strict=True):
        np.testing.assert_allclose(point, [70.0, own[row.ratio, row.method]])
    assert axis.get_xlim() == axis.get_ylim()
    assert "no cell" in draw_agreement(measured.iloc[:0]).texts[0].get_text()


def test_a_forest_without_cells_says_so(tmp_path):
    runs = synthetic_runs()
    gains = gain_table(runs[runs["method"] == "ft"], pd.DataFrame(columns=["artifact"]), [])
    gains.to_csv(tmp_path / "gains.csv", index=False)
    assert "no cell" in draw_forest(read_table(tmp_path / "gains.csv")).texts[0].get_text()
