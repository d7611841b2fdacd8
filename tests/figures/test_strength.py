"""The map of gains: each balanced method stands at its s, with the paired gains of its runs."""

import json

import numpy as np
import pandas as pd
import pytest

from replication.errors import DataError
from replication.figures.data import FigureData
from replication.figures.registry import draw
from replication.settings.artifacts import Artifact
from replication.statistics.paired import gains
from replication.statistics.strength import gains_by_strength
from synthetic_tables import synthetic_runs

STRENGTHS = {"tb-s0.25": 0.25, "tb-s1": 1.0}
MAP = Artifact(
    name="gain_map", kind="figure", title="a map", family="sciml", layout="gain_map", needs="nothing",
    experiments=("gain_map",), pairs=tuple(("baseline", method) for method in STRENGTHS),
)  # fmt: skip


def runs_at(strengths: dict[str, float], seeds: tuple[int, ...] = (1, 2, 3)) -> pd.DataFrame:
    """Runs of the baseline and of one balanced method per s, whose gain is the larger, the larger s is."""
    parts = []
    for method, s in strengths.items():
        runs = synthetic_runs("gain_map", "sciml", methods=("baseline", method), seeds=seeds, effect=0.1 * s, trend=0)
        runs.loc[runs["method"] == method, "hyper"] = json.dumps({"balance": {"s_min": s, "s_max": s}})
        parts.append(runs if not parts else runs[runs["method"] == method])
    return pd.concat(parts, ignore_index=True)


def test_every_method_stands_at_its_s_with_its_paired_gain():
    runs = runs_at(STRENGTHS)
    data = FigureData(MAP, runs)
    table = gains_by_strength(data.all_pairs("score"))
    assert table[["method", "s"]].drop_duplicates().set_index("method")["s"].to_dict() == STRENGTHS
    for method in STRENGTHS:
        expected = gains(runs, ("baseline", method)).groupby("ratio")["gain"].mean()
        here = table[table["method"] == method].set_index("ratio")["gain"]
        pd.testing.assert_series_equal(here.sort_index(), expected.sort_index(), check_names=False)


def test_the_figure_has_a_line_for_each_ratio_and_a_tick_for_each_s():
    figure = draw(FigureData(MAP, runs_at(STRENGTHS)))
    axis = figure.axes[0]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["0", "0.25", "1"]
    labels = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert len(labels) == 3
    assert all("3 seeds" in label for label in labels)
    lines = [container.lines[0] for container in axis.containers]
    assert len(lines) == 3
    for line in lines:
        assert np.diff(line.get_ydata()) > 0  # made so: more s, more gain


@pytest.mark.parametrize("sides", [{"s_min": 0.5, "s_max": 1.0}, {"s_min": 0.75, "s_max": 0.75}])
def test_a_method_without_one_s_is_refused(sides):
    runs = runs_at(STRENGTHS)
    runs.loc[runs[runs["method"] == "tb-s1"].index[0], "hyper"] = json.dumps({"balance": sides})
    with pytest.raises(DataError, match="tb-s1"):
        draw(FigureData(MAP, runs))
