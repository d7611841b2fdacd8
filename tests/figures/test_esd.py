"""Figure 1: the densities of eigenvalues of two layers, with their fitted tails."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from synthetic_figures import artifact

from replication.errors import DataError
from replication.figures import esd
from replication.figures.data import FigureData
from replication.figures.registry import draw
from synthetic_tables import synthetic_runs, write_experiment


@pytest.fixture
def esd_data(tmp_path) -> FigureData:
    paths = write_experiment(tmp_path, synthetic_runs("synthetic", ratios=(0.01,)))
    found = sorted(tmp_path.rglob("seed=13/eigenvalues.npz"))
    return FigureData.read(
        artifact("fig1_esd"), runs=[paths["runs"]], layers=[paths["layers"]], spectra=[paths["spectra"]],
        eigenvalues=found,
    )  # fmt: skip


def test_figure_1_shows_two_layers_and_every_block(esd_data):
    axes = draw(esd_data).axes
    assert [axis.get_xscale() for axis in axes] == ["log", "log", "linear"]
    assert "layer0" in axes[0].get_title()
    assert "layer5" in axes[1].get_title()
    assert [label.get_text() for label in axes[2].get_xticklabels()] == ["0", "1", "2"]


def test_ticks_of_a_narrow_spectrum_do_not_collide(esd_data):
    figure = draw(esd_data)
    figure.canvas.draw()
    axis = figure.axes[0]
    labels = [*axis.xaxis.get_ticklabels(minor=True), *axis.get_xticklabels()]
    boxes = sorted(
        (label.get_window_extent() for label in labels if label.get_text() and label.get_visible()), key=lambda b: b.x0
    )
    low, high = axis.get_window_extent().intervalx
    boxes = [box for box in boxes if low - 1 <= (box.x0 + box.x1) / 2 <= high + 1]
    assert len(boxes) >= 2
    assert all(left.x1 <= right.x0 for left, right in itertools.pairwise(boxes))


def test_figure_1_refuses_to_be_drawn_without_eigenvalues(esd_data):
    with pytest.raises(DataError, match=r"eigenvalues or layers\.csv of a run of 'ft' are missing"):
        draw(FigureData(esd_data.artifact, esd_data.runs, esd_data.layers))


def test_two_layers_are_of_the_commonest_shape():
    layers = pd.DataFrame({"layer": list("abcd"), "alpha": [2.0, 3.0, 2.5, 9.0], "shape": ["4x4"] * 3 + ["8x4"]})
    assert list(esd.two_layers(layers)["layer"]) == ["a", "b"]


def test_a_density_integrates_to_the_share_of_eigenvalues_shown():
    values = np.concatenate([np.zeros(20), np.random.default_rng(0).pareto(2.0, 180) + 1])
    edges, heights = esd.density(values)
    assert (heights * np.diff(edges)).sum() == pytest.approx(0.9)


def test_a_fitted_tail_has_its_share_and_slope():
    values = np.sort(np.random.default_rng(0).pareto(1.5, 4000) + 1)
    start = float(np.median(values))
    grid, heights = esd.tail_density(values, 2.5, start, points=4000)
    beyond = 0.5 * (values.max() / start) ** -1.5
    assert np.trapezoid(heights, grid) == pytest.approx(0.5 - beyond, rel=1e-3)
    slope = np.diff(np.log(heights)) / np.diff(np.log(grid))
    np.testing.assert_allclose(slope, -2.5)


def test_two_layers_spectra_are_on_the_same_axes(esd_data):
    first, second = draw(esd_data).axes[:2]
    assert (first.get_xlim(), first.get_ylim()) == (second.get_xlim(), second.get_ylim())
    assert first.get_xlim()[0] < min(values.min() for values in next(iter(esd_data.eigenvalues.values())).values())
