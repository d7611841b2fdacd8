"""Figures and animation of sample predictions, from rollouts that a formula made."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from replication.errors import DataError
from replication.figures.data import FigureData
from replication.figures.registry import ANIMATIONS, draw
from replication.figures.samples import Sample, edges, number_text
from replication.figures.style import save
from replication.report.player import read_frames
from replication.runs.predictions import error_table, read_rollout
from replication.runs.records import files_of_runs
from replication.settings.paths import RunPath
from synthetic_tables import shipped_index, synthetic_rollout, synthetic_runs


@pytest.fixture
def make(root, tmp_path):
    """Data of a figure from rollouts written to disk; keywords go to one method's rollout."""
    index = shipped_index(root)

    def data(name: str, ndim: int, *, baseline=None, tb=None) -> FigureData:
        runs = synthetic_runs(
            "fig4_cfd_ratio", "sciml", datasets=("flow",), ratios=(0.1,), methods=("baseline", "tb"), seeds=(1,)
        )
        paths = [
            synthetic_rollout(
                tmp_path / f"runs/{run}/predictions.npz", ndim, **{"error": error, **(changes or {})}
            )
            for run, error, changes in zip(runs["run"], (0.2, -0.1), (baseline, tb), strict=True)
        ]  # fmt: skip
        shown = {RunPath.of(path): read_rollout(path) for path in files_of_runs(runs, paths)}
        return FigureData(index.artifacts[name], runs, predictions=shown)

    return data


def images(figure):
    return [axis.get_images()[0] for axis in figure.axes if axis.get_images() and axis.get_label() != "<colorbar>"]


def words(figure) -> list[str]:
    return [text.get_text() for axis in figure.axes for text in axis.texts if text.get_gid() == "words"]


def titles(figure) -> str:
    return "\n".join(axis.get_title() for axis in figure.axes)


def test_a_2d_figure_has_a_row_a_channel_and_one_error_scale_a_row(make):
    data = make("predictions_2d", 2)
    figure = draw(data)
    shown = images(figure)
    assert len(shown) == 4 * 5
    for row in range(4):
        fields, errors = shown[5 * row : 5 * row + 3], shown[5 * row + 3 : 5 * row + 5]
        assert len({image.get_clim() for image in fields}) == 1
        ((low, high),) = {image.get_clim() for image in errors}
        assert low == -high
        predictions = Sample.of(data, 2).predictions
        assert high == pytest.approx(max(np.abs(one.errors[..., -1, row]).max() for one in predictions))
    # An image's rows go up the page: the array is [x, y], so it is shown transposed.
    truth = next(iter(data.predictions.values()))
    np.testing.assert_array_equal(shown[0].get_array(), truth.target[..., -1, 0].T)
    assert [axis.get_ylabel() for axis in figure.axes[:20:5]] == [
        f"({letter}) {name}\ny" for letter, name in zip("abcd", truth.channels, strict=True)
    ]
    assert "t = 0.6" in titles(figure)
    for part in ("Stand-in: synthetic numbers", "10 % (1000 samples), seed 1, test sample 7"):
        assert part in figure.get_suptitle()


def test_a_1d_figure_has_profiles_and_errors_over_time(make):
    data = make("predictions_1d", 1)
    figure = draw(data)
    first = next(iter(data.predictions.values()))
    lines = figure.axes[0].get_lines()
    np.testing.assert_array_equal(lines[0].get_ydata(), first.target[:, -1, 0])
    assert [line.get_label() for line in lines] == ["target", "baseline", "tb"]
    maps = images(figure)
    assert len(maps) == 2 * 3
    assert maps[0].get_clim() == maps[1].get_clim()
    assert maps[0].get_array().shape == (3, 16)
    assert maps[0].get_extent() == pytest.approx((0, 1, 0.35, 0.65))


def test_titles_carry_the_nrmse_of_the_panel(make):
    data = make("predictions_2d", 2)
    target = next(iter(data.predictions.values())).target[..., -1, 0]
    expected = 0.2 / np.sqrt(np.square(target).mean())
    assert f"nRMSE {number_text(expected)}" in draw(data).axes[1].get_title()


def test_nrmse_is_that_of_the_runs_own_metric(make):
    import torch

    from replication.operators.metrics import Errors

    rollout = next(iter(make("predictions_2d", 2, baseline={"noise": 0.3}).predictions.values()))
    errors = Errors()
    errors.update(torch.tensor(rollout.prediction)[None], torch.tensor(rollout.target)[None])
    assert rollout.nrmse().mean() == pytest.approx(errors.result()["nrmse_rollout"], rel=1e-6)


@pytest.mark.parametrize(("name", "ndim", "count"), [("predictions_1d", 1, 3), ("predictions_2d", 2, 8)])
def test_a_run_that_diverged_has_panels_that_say_so(make, name, ndim, count):
    figure = draw(make(name, ndim, tb={"diverged": True}))
    assert words(figure) == ["diverged"] * count
    assert len(words(draw(make(name, ndim, baseline={"diverged": True}, tb={"diverged": True})))) == 2 * count
    ANIMATIONS["rollout_2d"](make("rollout_2d", 2, baseline={"diverged": True}, tb={"diverged": True}))


@pytest.mark.parametrize(("name", "ndim"), [("predictions_1d", 1), ("predictions_2d", 2)])
def test_a_prediction_that_is_not_finite_is_drawn_and_named(make, name, ndim):
    figure = draw(make(name, ndim, tb={"error": np.inf}))
    assert "not finite" in titles(figure)
    assert all(np.isfinite(image.get_clim()).all() for image in images(figure))


def test_one_prediction_far_off_does_not_flatten_the_target(make):
    data = make("predictions_2d", 2, tb={"error": 1e6})
    sample = Sample.of(data, 2)
    target = sample.truth.target[..., -1, 0]
    (low, high), pointed = sample.field_limits(0, slice(2, 3))
    assert high - low <= 3.001 * (target.max() - target.min())
    assert pointed == "max"


def test_frames_without_times_are_numbered(make):
    bare = {"times": False}
    figure = draw(make("predictions_2d", 2, baseline=bare, tb=bare))
    assert "predicted frame 3" in titles(figure)
    assert "predicted frame" in draw(make("predictions_1d", 1, baseline=bare, tb=bare)).axes[1].get_ylabel()


def test_equal_rollouts_give_equal_files(make, tmp_path):
    for name in ("a", "b"):
        save(draw(make("predictions_2d", 2)), tmp_path / f"{name}.png", tmp_path / f"{name}.pdf")
        ANIMATIONS["rollout_2d"](make("rollout_2d", 2)).save(tmp_path / f"{name}.gif")
    for kind in ("png", "pdf", "gif"):
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()


def test_an_animation_has_a_picture_and_a_label_a_frame(make, tmp_path):
    path = tmp_path / "rollout.gif"
    ANIMATIONS["rollout_2d"](make("rollout_2d", 2)).save(path)
    assert path.stat().st_size < 1_000_000
    with Image.open(path) as gif:
        assert gif.n_frames == 3
        assert gif.info["loop"] == 0
    frames = read_frames(path)
    assert len(set(frames.pictures)) == 3
    assert [label.split(":")[0] for label in frames.labels] == ["t = 0.4", "t = 0.5", "t = 0.6"]
    assert "baseline nRMSE" in frames.labels[0]


def test_missing_and_mixed_rollouts_are_refused(make):
    data = make("predictions_2d", 2)
    first = dict(list(data.predictions.items())[:1])
    with pytest.raises(DataError, match="the sample predictions of a run of 'tb' are missing"):
        draw(FigureData(data.artifact, data.runs, predictions=first))
    with pytest.raises(DataError, match="flow has 1 space dimensions, expected 2"):
        draw(make("predictions_2d", 1))
    with pytest.raises(DataError, match="of different samples"):
        draw(make("predictions_2d", 2, tb={"phase": 1.0}))


def test_small_texts():
    assert [number_text(value) for value in (1.0, 0.58, 123.4, np.nan)] == ["1.00", "0.580", "123", "not finite"]


def test_edges_of_cells():
    assert edges(np.array([0.25, 0.75])) == (0.0, 1.0)
    assert edges(np.array([3.0])) == (2.5, 3.5)


# ---- the file --------------------------------------------------------------------------------------------


@pytest.fixture
def written(tmp_path):
    return synthetic_rollout(tmp_path / "runs/toy/flow/ratio=0.1/tb/0a/seed=1/predictions.npz", 2)


def test_errors_are_tabled_frame_by_frame(tmp_path):
    runs = synthetic_runs("e", "sciml", datasets=("flow",), ratios=(0.1,), methods=("baseline", "tb"), seeds=(1,))
    run = runs.loc[runs["method"] == "tb", "run"].item()
    path = synthetic_rollout(tmp_path / "runs" / run / "predictions.npz", 2)
    table = error_table(runs, {RunPath.of(path): read_rollout(path)})
    assert len(table) == 3 * 4
    rollout = read_rollout(path)
    np.testing.assert_allclose(table["nrmse"], rollout.nrmse().ravel())
    assert table["time"].tolist() == pytest.approx(np.repeat(rollout.times, 4))
    assert set(table["flow_dimension"]) == {2}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(b"PK broken"), "not a run's sample predictions"),
        (lambda path: path.write_bytes(b""), "not a run's sample predictions"),
        (lambda path: path.write_bytes(path.read_bytes()[:-200]), "not a run's sample predictions"),
        (lambda path: path.unlink(), "not a run's sample predictions"),
        (lambda path: np.savez(path, target=np.zeros(3)), "not a run's sample predictions"),
        (lambda path: rewrite(path, grid=np.zeros((5, 5, 2))), "its arrays do not fit each other"),
        (lambda path: rewrite(path, channels=np.array(["density"])), "its arrays do not fit each other"),
        (lambda path: rewrite(path, prediction=np.zeros((2, 16))), "its arrays do not fit each other"),
        (lambda path: rewrite(path, times=np.float32(1)), "its arrays do not fit each other"),
        (lambda path: rewrite(path, target=np.array(["a"] * 2)), "its arrays do not fit each other"),
    ],
)
def test_a_damaged_file_is_one_sentence_that_names_it(written, damage, message):
    damage(written)
    with pytest.raises(DataError, match=message) as caught:
        read_rollout(written)
    assert str(caught.value).startswith(str(written))
    assert "\n" not in str(caught.value)


def rewrite(path, **changes) -> None:
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    np.savez(path, **{**arrays, **changes})


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n"])
def test_a_damaged_animation_is_named(tmp_path, content):
    path = tmp_path / "rollout.gif"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"rollout\.gif: not an animation"):
        read_frames(path)
    Image.new("P", (4, 4)).save(path)
    with pytest.raises(DataError, match="1 pictures with 0 labels"):
        read_frames(path)
