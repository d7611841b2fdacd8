"""Figures drawn from synthetic tables whose truth is known: what is on them, and what must not be."""

from __future__ import annotations

import itertools

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from synthetic_figures import artifact, figure_data, labels, published_table, small_print

from replication.errors import ConfigError, DataError
from replication.figures import esd, multiples
from replication.figures.agreement import draw_agreement
from replication.figures.curves import seeds_text
from replication.figures.data import FigureData, short_count
from replication.figures.multiples import columns_for
from replication.figures.registry import REGISTRY, draw
from replication.figures.style import PAGE, save, style
from replication.statistics import paired
from synthetic_tables import shipped_index, synthetic_runs, write_experiment


@pytest.fixture(scope="module")
def index(root):
    return shipped_index(root)


def test_every_figure_of_the_index_has_a_function(index):
    assert {entry.layout for entry in index.artifacts.values() if entry.kind == "figure"} == set(REGISTRY)


@pytest.mark.parametrize(
    "layout", sorted(set(REGISTRY) - {"fig1_esd", "fig5_domain", "gain_map", "predictions_1d", "predictions_2d"})
)
def test_a_panel_a_model_and_data_set(layout):
    figure = draw(figure_data(layout, models=("m1", "m2"), datasets=("d1", "d2")))
    titles = [axis.get_title() for axis in figure.axes if axis.get_visible()]
    assert len(titles) == (8 if layout in ("fig2_alpha_std_nlp", "fig6_alpha_std_sciml") else 5)
    assert [title[:3] for title in titles] == [f"({letter})" for letter in "abcdefgh"[: len(titles)]]
    assert "synthetic numbers" in small_print(figure)


@pytest.mark.parametrize("note", ["WIDE LETTERS MMM ", "ill-fitting little letters ", "1-D CFD, simulated, 64 cells, "])
def test_small_print_fills_a_page_and_is_no_wider(note):
    figure = Figure(figsize=(PAGE, 1))
    text = figure.suptitle(multiples.small_print([20 * note, "seed 2022, test sample 0"], PAGE), style="italic")
    extent = text.get_window_extent(FigureCanvasAgg(figure).get_renderer())
    assert text.get_text().endswith("…; seed 2022, test sample 0")
    assert 0.85 * figure.bbox.width < extent.width < figure.bbox.width


def test_means_on_the_figure_are_those_of_the_runs():
    data = figure_data()
    line = next(line for line in draw(data).axes[0].get_lines() if len(line.get_xdata()) == 3 and line.get_ls() == "--")
    expected = 100 * data.runs[data.runs["method"] == "ft"].groupby("ratio")["score"].mean()
    np.testing.assert_allclose(np.asarray(line.get_ydata(), float), expected, rtol=1e-12)
    assert line.get_marker() == "s"


def test_every_seed_is_on_the_figure():
    data = figure_data()
    points = [line for line in draw(data).axes[0].get_lines() if len(line.get_xdata()) == 9]
    shown = np.sort(np.concatenate([line.get_ydata() for line in points]))
    np.testing.assert_allclose(shown, np.sort(100 * data.runs["score"]))


def test_ratio_and_number_of_samples_are_on_the_axis():
    axis = draw(figure_data(ratios=(0.0002, 0.05, 1.0))).axes[0]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["0.02\n2", "5\n500", "100\n10k"]


def test_the_number_of_samples_is_left_out_where_data_sets_differ_in_it():
    data = figure_data(datasets=("d1", "d2"))
    data.runs.loc[data.runs["dataset"] == "d2", "n_train"] *= 3
    gains = draw(data).axes[2]
    assert [label.get_text() for label in gains.get_xticklabels()] == ["1", "2", "5"]


@pytest.mark.parametrize(("family", "layout"), [("nlp", "fig3_glue_ratio"), ("sciml", "fig4_cfd_ratio")])
def test_an_improvement_is_above_zero_where_the_method_is_better(family, layout):
    better = draw(figure_data(layout, effect=0.05)).axes[1]
    worse = draw(figure_data(layout, effect=-0.05, trend=0)).axes[1]
    means = [
        next(line.get_ydata() for line in axis.get_lines() if len(line.get_xdata()) == 3 and line.get_ls() == "-")
        for axis in (better, worse)
    ]
    assert (means[0] > 0).all()
    assert (means[1] < 0).all()


@pytest.mark.parametrize(("stand_in", "says"), [("", False), ("data made here", True)])
def test_published_values_of_stand_ins_are_said_to_be_of_other_data(stand_in, says):
    data = figure_data(stand_in=stand_in)
    figure = draw(FigureData(data.artifact, data.runs, published=published_table(data)))
    marks = [line for line in figure.axes[0].get_lines() if line.get_gid() == "published"]
    assert len(marks) == 2
    assert all((line.get_ydata() == 70.0).all() and line.get_markerfacecolor() == "none" for line in marks)
    published = [label for label in labels(figure) if "published" in label]
    assert ["other data" in label for label in published] == [says, says]


def test_a_legend_below_stays_within_the_figure():
    data = figure_data(stand_in="data made here")
    figure = draw(FigureData(data.artifact, data.runs, published=published_table(data)))
    figure.draw_without_rendering()
    [legend] = figure.legends
    box = legend.get_window_extent()
    assert 0 <= box.x0 < box.x1 <= figure.bbox.width


def test_no_published_value_beside_data_that_the_paper_does_not_name():
    data = figure_data()
    other = published_table(data).assign(dataset="another")
    figure = draw(FigureData(data.artifact, data.runs, published=other))
    assert not [line for line in figure.axes[0].get_lines() if line.get_gid() == "published"]


def test_a_figure_of_stand_ins_and_originals_says_which_panel_is_which():
    data = figure_data(datasets=("d1", "d2"))
    data.runs.loc[data.runs["dataset"] == "d2", "stand_in"] = ""
    titles = [axis.get_title() for axis in draw(data).axes]
    assert "(stand-in)" in titles[0]
    assert "(stand-in)" not in titles[1]


def test_diverged_runs_are_marked_and_counted():
    figure = draw(figure_data(diverged=((0.02, "ft", 13), (0.02, "tb", 37), (0.05, "tb", 13))))
    marks = next(line for line in figure.axes[0].get_lines() if line.get_gid() == "diverged")
    np.testing.assert_allclose(marks.get_xdata(), np.log10([0.02, 0.05]))
    assert {text.get_text() for text in figure.axes[0].texts} == {"2", "1"}
    assert any("diverged" in label for label in labels(figure))
    assert "no claim" in small_print(figure)


def test_a_figure_whose_runs_all_diverged_is_drawn():
    lost = tuple((ratio, method, seed) for ratio in (0.01, 0.02) for method in ("ft", "tb") for seed in (1, 2, 3))
    figure = draw(figure_data(ratios=(0.01, 0.02), seeds=(1, 2, 3), diverged=lost))
    assert any(line.get_gid() == "diverged" for line in figure.axes[0].get_lines())


def test_too_few_seeds_are_said_in_one_line():
    figure = draw(figure_data(seeds=(13, 37), stand_in="a long text, " * 30))
    assert "below 3" in figure.get_suptitle()
    assert figure.get_suptitle().startswith("Stand-in: a long text")
    assert "\n" not in figure.get_suptitle()
    figure.draw_without_rendering()
    assert figure._suptitle.get_window_extent().width <= figure.bbox.width
    assert "below 3" not in draw(figure_data()).get_suptitle()


def drawn(layout: str, tmp_path):
    """A figure of a layout; of Figure 1 with its files."""
    if layout != "fig1_esd":
        return draw(figure_data(layout, datasets=("d1", "d2"), diverged=((0.02, "tb", 37),)))
    paths = write_experiment(tmp_path, synthetic_runs("synthetic", ratios=(0.01,)))
    found = sorted(tmp_path.rglob("seed=13/eigenvalues.npz"))
    return draw(FigureData.read(artifact(layout), runs=[paths["runs"]], layers=[paths["layers"]], eigenvalues=found))


@pytest.mark.parametrize("layout", ["fig1_esd", "fig2_alpha_std_nlp", "fig4_cfd_ratio", "fig5_domain"])
def test_no_text_is_smaller_than_7_points(layout, tmp_path):
    texts = [text for text in drawn(layout, tmp_path).findobj(mpl.text.Text) if text.get_text()]
    assert len(texts) > 10
    assert min(text.get_fontsize() for text in texts) >= 7


def test_panels_of_one_measure_share_an_axis_unless_one_would_be_flat():
    data = figure_data(datasets=("d1", "d2"))
    shared = draw(data).axes
    assert shared[0].get_ylim() == shared[1].get_ylim()
    data.runs.loc[data.runs["dataset"] == "d2", "score"] /= 10
    own = draw(FigureData(data.artifact, data.runs)).axes
    assert own[0].get_ylim() != own[1].get_ylim()


def test_a_ratio_has_its_place_on_a_logarithmic_axis():
    axis = draw(figure_data(ratios=(0.001, 0.01, 1.0))).axes[0]
    np.testing.assert_allclose(axis.get_xticks(), [-3, -2, 0])


def test_tick_labels_do_not_overlap():
    figure = draw(figure_data(ratios=(0.0051, 0.0055, 0.006, 0.01, 0.02, 1.0), datasets=("d1", "d2")))
    figure.draw_without_rendering()
    for axis in figure.axes:
        labels = [label for label in axis.get_xticklabels() if label.get_visible()]
        boxes = [label.get_window_extent() for label in labels]
        assert 3 <= len(boxes) < 6
        assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


def test_an_interval_that_leaves_the_panel_ends_in_an_arrow_with_its_number():
    data = figure_data(datasets=("d1", "d2"), ratios=(0.01, 0.02, 0.05, 0.1), trend=0.0)
    cell = (data.runs["dataset"] == "d2") & (data.runs["ratio"] == 0.01) & (data.runs["method"] == "tb")
    data.runs.loc[cell, "score"] += np.array([-0.6, 0.0, 0.6])
    data = FigureData(data.artifact, data.runs)
    axis = draw(data).axes[2]
    gains = data.numbers("score").gains
    wide = gains[(gains["dataset"] == "d2") & (gains["ratio"] == 0.01)].iloc[0]
    texts = {text.get_text() for text in axis.texts if text.get_gid() == "arrow"}
    assert texts == {f"{wide[name]:.3g}".replace("-", "\N{MINUS SIGN}") for name in ("ci_low", "ci_high")}
    low, high = axis.get_ylim()
    assert wide["ci_low"] < low < gains["gain"].min() < gains["gain"].max() < high < wide["ci_high"]
    # Without it no arrow is drawn.
    assert not [text for text in draw(figure_data(datasets=("d1", "d2"))).axes[2].texts if text.get_gid() == "arrow"]


def test_a_seed_that_leaves_the_panel_is_an_arrow_with_its_number():
    data = figure_data(datasets=("d1", "d2"), ratios=(0.01, 0.02, 0.05, 0.1), trend=0.0, seeds=range(10))
    cell = (data.runs["dataset"] == "d2") & (data.runs["ratio"] == 0.01) & (data.runs["method"] == "tb")
    seed = data.runs.index[cell][0]
    data.runs.loc[seed, "score"] -= 0.06
    data = FigureData(data.artifact, data.runs)
    axis = draw(data).axes[2]
    farthest = paired.gains(data.runs, data.pair, "score")["gain"].min()
    (text,) = [text.get_text() for text in axis.texts if text.get_gid() == "arrow"]
    assert text == f"{farthest:.3g}".replace("-", "\N{MINUS SIGN}")
    assert farthest < axis.get_ylim()[0] < data.numbers("score").gains["ci_low"].min()


@pytest.mark.parametrize("count", range(1, 7))
@pytest.mark.parametrize("layout", ["fig2_alpha_std_nlp", "fig3_glue_ratio"])
def test_no_place_of_the_grid_is_empty(layout, count):
    """At most one place has no panel (two where pairs of panels stand side by side), and the legend is there."""
    figure = draw(figure_data(layout, datasets=tuple(f"d{number}" for number in range(count))))
    rows, columns = figure.axes[0].get_gridspec().get_geometry()
    free = rows * columns - len(figure.axes)
    allowed = (0, 2) if layout == "fig2_alpha_std_nlp" else (0, 1)
    assert free in allowed
    assert figure.legends[0].get_in_layout() is (free == 0)


def test_the_legend_takes_a_free_place_of_the_grid():
    figure = draw(figure_data(datasets=("d1", "d2", "d3", "d4")))
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert not [axis for axis in figure.axes if axis.get_window_extent().overlaps(box)]
    assert 0 <= box.x0 < box.x1 <= figure.bbox.width


def test_the_spread_before_training_is_that_of_epoch_0():
    data = figure_data("fig7_alpha_std_tb_nlp")
    first = data.spectra[data.spectra["epoch"] == 0]
    # The paper's STD in language: over the means of blocks.
    blocks = first.groupby(["ratio", "method", "seed", "block"])["alpha"].mean()
    expected = blocks.groupby(["ratio", "method", "seed"]).std(ddof=0).mean()
    assert data.spread_before(data.runs) == pytest.approx(expected)
    line = next(line for line in draw(data).axes[0].get_lines() if line.get_label() == "before training")
    assert line.get_ydata()[0] == pytest.approx(expected)


def test_the_spread_is_the_papers_over_blocks_in_language_and_over_layers_in_pdes():
    for layout, column, other in (
        ("fig7_alpha_std_tb_nlp", "alpha_std_block", {"alpha_std"}), ("fig8_alpha_std_tb_sciml", "alpha_std", set())
    ):  # fmt: skip
        data = figure_data(layout)
        pair = data.artifact.pairs[0]
        line = next(
            line for line in draw(data).axes[0].get_lines() if len(line.get_xdata()) == 3 and line.get_ls() == "--"
        )
        expected = data.runs[data.runs["method"] == pair[0]].groupby("ratio")[column].mean()
        np.testing.assert_allclose(np.asarray(line.get_ydata(), float), expected)
        # The CSV holds the other one too.
        assert set(data.table()["value"]) == {column, *other}


@pytest.mark.parametrize(
    ("layout", "score"), [("fig3_glue_ratio", 0.75), ("fig5_domain", 0.75), ("fig4_cfd_ratio", 0.2)]
)
def test_the_best_trivial_predictor_is_a_dotted_line_with_its_name(layout, score):
    data = figure_data(layout)
    runs = data.runs.assign(trivial="persistence", trivial_score=score, trivial_undiluted=score)
    axis = draw(FigureData(data.artifact, runs, published=data.published)).axes[0]
    line = next(line for line in axis.get_lines() if line.get_gid() == "trivial")
    assert line.get_ydata()[0] == pytest.approx(score * (1 if "cfd" in layout else 100))
    assert line.get_linestyle() == ":"
    assert "persistence" in [text.get_text() for text in axis.texts]
    # Far off the panel it is an arrow, so that the curves keep their room.
    name = next(text for text in axis.texts if text.get_gid() == "trivial")
    axis.figure.draw_without_rendering()
    edges, box = axis.get_window_extent(), name.get_window_extent()
    assert edges.y0 < box.y0 < box.y1 < edges.y1 + 1
    far = draw(FigureData(data.artifact, runs.assign(trivial_score=50.0), published=data.published)).axes[0]
    assert not [line for line in far.get_lines() if line.get_gid() == "trivial"]
    assert any(text.get_text().startswith("↑ persistence") for text in far.texts)


@pytest.mark.parametrize(("dataset", "ddof"), [("synthetic", 0), ("another", 1)])
def test_deviations_have_the_papers_convention_where_its_values_stand_beside(dataset, ddof):
    data = figure_data()
    published = published_table(data).assign(dataset=dataset)
    figure = draw(FigureData(data.artifact, data.runs, published=published))
    assert any(f"SD with ddof {ddof}" in label for label in labels(figure))
    bars = figure.axes[0].containers[0].lines[2][0].get_segments()
    own = data.runs[(data.runs["method"] == "ft") & (data.runs["ratio"] == 0.01)]["score"] * 100
    assert bars[0][1, 1] - bars[0][0, 1] == pytest.approx(2 * own.std(ddof=ddof))


def test_the_spread_before_training_needs_the_same_layers():
    data = figure_data("fig7_alpha_std_tb_nlp")
    part = data.spectra[data.spectra["layer"] != "layer0"]
    assert FigureData(data.artifact, data.runs, data.layers, part).spread_before(data.runs) is None


# ---- files, style, small things --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pdf", "png"])
def test_equal_data_give_equal_files(tmp_path, kind):
    paths = [tmp_path / f"{name}.{kind}" for name in "ab"]
    for path in paths:
        save(draw(figure_data()), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert b"CreationDate" not in paths[0].read_bytes()


def test_fonts_are_embedded_as_truetype(tmp_path):
    save(draw(figure_data()), tmp_path / "a.pdf")
    content = (tmp_path / "a.pdf").read_bytes()
    assert b"/FontFile2" in content
    assert b"/Type3" not in content


def test_figures_fit_the_page():
    assert draw(figure_data(datasets=("d1", "d2", "d3"))).get_figwidth() == pytest.approx(6.3)
    assert draw_agreement(pd.DataFrame({"family": []})).get_figwidth() == pytest.approx(3.03)


@pytest.mark.parametrize("layout", ["fig2_alpha_std_nlp", "fig6_alpha_std_sciml", "fig3_glue_ratio"])
def test_seven_data_sets_fit_a_page_and_nothing_overlaps(layout):
    figure = draw(figure_data(layout, datasets=tuple(f"data set {number}" for number in range(7))))
    assert figure.get_figheight() <= 8.5
    figure.draw_without_rendering()
    boxes = [axis.get_tightbbox() for axis in figure.axes] + [figure.legends[0].get_window_extent()]
    assert not [pair for pair in itertools.combinations(boxes, 2) if pair[0].overlaps(pair[1])]
    assert all(0 <= box.x0 < box.x1 <= figure.bbox.width for box in boxes)
    assert all(axis.get_window_extent().height > 0.6 * figure.dpi for axis in figure.axes)


def test_a_users_style_is_laid_over_ours_and_taken_off_again():
    before = mpl.rcParams["font.size"]
    with style({"font.size": 13}):
        assert mpl.rcParams["font.size"] == 13
        assert mpl.rcParams["pdf.fonttype"] == 42
    assert mpl.rcParams["font.size"] == before


@pytest.mark.parametrize(
    ("overrides", "words"),
    [({"font.sise": 9}, "'font.sise', which is no matplotlib"), ({"font.size": "big one"}, "style.font.size")],
)  # fmt: skip
def test_a_wrong_style_is_one_sentence(overrides, words):
    with pytest.raises(ConfigError, match=words), style(overrides):
        pass


def test_runs_without_the_pair_are_refused():
    data = figure_data()
    with pytest.raises(DataError, match="not both of one of the pairs"):
        draw(FigureData(data.artifact, data.runs[data.runs["method"] == "ft"]))


def test_an_unknown_layout_is_refused():
    with pytest.raises(ConfigError, match="expected one of fig1_esd"):
        draw(FigureData(artifact("fig99"), figure_data().runs))


def test_small_texts():
    assert (short_count(9999), short_count(19635)) == ("9999", "19.6k")
    assert seeds_text(pd.Series([3, 3])) == "3 seeds"
    assert seeds_text(pd.Series([1, 3])) == "1–3 seeds"
    assert seeds_text(pd.Series([1])) == "1 seed"
    assert [columns_for(count) for count in range(1, 8)] == [1, 2, 3, 2, 3, 3, 2]
    assert esd.short_name("bert.encoder.layer.3.attention.self.key") == "block 3, attention.self.key"
    assert esd.short_name("w.0") == "w.0"


def test_two_metrics_on_one_axis_share_their_per_cent():
    data = figure_data()
    both = pd.concat([data.runs.assign(metric="f1_micro"), data.runs.assign(metric="f1_macro")])
    assert data.score_label(both) == "micro F1, macro F1, %"
    assert data.score_label(both.assign(metric="f1_macro")) == "macro F1, %"
    assert data.score_label(both.assign(metric=float("nan"))) == "score"
    pde = figure_data("fig4_cfd_ratio")
    assert pde.score_label(pde.runs) == "nRMSE"
