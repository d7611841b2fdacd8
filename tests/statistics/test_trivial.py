"""Trivial predictors: their scores, and cells that do not beat them."""

from __future__ import annotations

import json
import math

import h5py
import numpy as np
import pandas as pd
import pytest
import torch

from replication.cli import learned as learned_command
from replication.cli import trivial as command
from replication.operators.rollout import Fields
from replication.operators.trivial import INITIAL_STEPS, trivial_errors, trivial_predictions
from replication.statistics.cells import read_results, read_table
from replication.statistics.published import join_published, read_published
from replication.statistics.trivial import (
    against_trivial,
    join_trivial,
    learned,
    learned_lines,
    not_learned,
    published_sentences,
    sentences,
)
from replication.statistics.verdicts import artifact_verdicts, overall_verdicts
from synthetic_tables import shipped_index, synthetic_runs

FRAMES = 13


@pytest.fixture
def flow(tmp_path):
    """A 1-D flow whose fields grow linearly in time, so that linear extrapolation is exact."""
    rng = np.random.default_rng(0)
    path = tmp_path / "flow.h5"
    with h5py.File(path, "w") as file:
        for name in ("density", "pressure", "Vx"):
            start, slope = rng.uniform(1, 2, (8, 1, 16)), rng.uniform(0.1, 0.2, (8, 1, 16))
            file[name] = (start + slope * np.arange(FRAMES)[None, :, None]).astype(np.float32)
    return path


OPTIONS = {"test_samples": 3, "validation_samples": 2}


def test_errors_of_a_flow_are_those_of_the_formulas(flow):
    found = {(name, measure): value for name, measure, value in trivial_errors(flow, OPTIONS)}
    assert {name for name, _ in found} == {"zero", "training_mean", "persistence", "extrapolation"}
    with h5py.File(flow) as file:
        fields = np.stack([file[name][:] for name in ("density", "pressure", "Vx")])  # [channel, sample, t, x]
    test, train = fields[:, :3, INITIAL_STEPS:], fields[:, 5:, INITIAL_STEPS:]

    def nrmse(predicted):
        return (np.sqrt(((predicted - test) ** 2).mean(-1)) / np.sqrt((test**2).mean(-1))).mean()

    expected = {
        "zero": 1.0,
        "persistence": nrmse(fields[:, :3, INITIAL_STEPS - 1 : INITIAL_STEPS]),
        "training_mean": nrmse(train.mean(1, keepdims=True)),
        "extrapolation": 0.0,
    }
    for name, value in expected.items():
        assert found[name, "nrmse_rollout"] == pytest.approx(value, rel=1e-4, abs=1e-6)
        # PDEBench's metric includes the initial steps, whose error is zero.
        diluted = found[name, "nrmse_rollout"] * (FRAMES - INITIAL_STEPS) / FRAMES
        assert found[name, "nrmse"] == pytest.approx(diluted, rel=1e-5)


def test_a_steady_problem_has_no_persistence():
    fields = Fields(torch.rand(2, 4, 4, 1, 1), torch.rand(2, 4, 4, 1, 1), torch.rand(4, 4, 2), steady=True)
    assert set(trivial_predictions(fields, torch.zeros(4, 4, 1, 1))) == {"zero", "training_mean"}


def test_the_command_writes_a_table(flow, tmp_path):
    out = tmp_path / "out.csv"
    command("sciml", "flow", json.dumps(OPTIONS), flow, out)
    table = read_table(out)
    assert list(table.columns) == ["dataset", "predictor", "metric", "value"]
    assert len(table) == 8


def test_the_majority_class_is_scored_with_the_tasks_metrics(tmp_path):
    from replication.text.preparing import prepare
    from replication.text.trivial import trivial_scores

    raw = tmp_path / "raw"
    raw.mkdir()
    rows = [("no", "yes")[n % 3 == 0] for n in range(30)]
    lines = [json.dumps({"text": f"text {n}", "label": label}) for n, label in enumerate(rows)]
    (raw / "train.jsonl").write_text("\n".join(lines))
    (raw / "test.jsonl").write_text("\n".join(lines[:9]))
    options = {"labels": ["no", "yes"], "metrics": ["accuracy", "f1"], "splits": {"validation": {"rows": 4}}}
    prepare(options, raw, tmp_path / "data")
    found = {metric: value for _, metric, value in trivial_scores(tmp_path / "data", options)}
    assert found == {"accuracy": pytest.approx(6 / 9), "f1": 0.0}


def table(value: float, metric: str = "accuracy", predictor: str = "majority", **more) -> pd.DataFrame:
    rows = [{"dataset": "synthetic", "predictor": predictor, "metric": metric, "value": value}]
    rows += [{**rows[0], "metric": name, "value": other} for name, other in more.items()]
    return pd.DataFrame(rows)


def test_runs_get_the_best_predictor_of_their_metric():
    nlp = join_trivial(synthetic_runs(), [table(0.5), table(0.6, predictor="zero"), table(0.9, "f1")])
    assert set(nlp["trivial"]) == {"zero"}
    assert set(nlp["trivial_score"]) == {0.6}
    pde = synthetic_runs("e", "sciml", methods=("baseline", "tb"))
    pde = join_trivial(pde, [table(1.0, "nrmse", "zero"), table(0.3, "nrmse", "persistence", nrmse_rollout=0.6)])
    assert set(zip(pde["trivial"], pde["trivial_undiluted"], strict=True)) == {("persistence", 0.6)}
    assert join_trivial(nlp.drop(columns=["trivial", "trivial_score"]), [])["trivial"].isna().all()


def test_a_cell_is_judged_by_its_mean():
    runs = join_trivial(synthetic_runs(effect=0.02, trend=0.0), [table(0.75)])
    # Means: .80, .74 and .68 without TB, .02 more with it.
    cells = against_trivial(runs).set_index(["ratio", "method"])["beats_trivial"]
    assert cells.to_dict() == {
        (0.01, "ft"): False, (0.01, "tb"): False, (0.02, "ft"): False, (0.02, "tb"): True, (0.05, "ft"): True,
        (0.05, "tb"): True,
    }  # fmt: skip
    assert set(runs[~learned(runs)]["ratio"]) == {0.01}
    assert learned(synthetic_runs()).all()


def test_errors_are_judged_the_other_way_round():
    runs = synthetic_runs("e", "sciml", methods=("baseline", "tb"), diverged=((0.05, "tb", 13),))
    runs = join_trivial(runs, [table(0.15, "nrmse", "zero")])
    assert set(runs[learned(runs)]["ratio"]) == {0.05}


def test_a_setting_in_which_neither_method_beats_them_supports_no_claim(root):
    runs = synthetic_runs(effect=0.02, trend=0.01)
    before = {row["claim_id"]: row for row in overall_verdicts(runs)}
    nothing = {row["claim_id"]: row for row in overall_verdicts(join_trivial(runs, [table(0.95)]))}
    assert {row["verdict"] for row in before.values()} == {"reproduced"}
    assert {row["verdict"] for row in nothing.values()} == {"inconclusive"}
    assert "neither method beats the trivial predictors in any cell" in nothing["better"]["reason"]
    part = {row["claim_id"]: row for row in overall_verdicts(join_trivial(runs, [table(0.745)]))}
    assert (part["better"]["cells"], part["better"]["left_out"]) == (2, 1)
    assert part["better"]["reason"].endswith("neither method beats the trivial predictors there")
    artifact = shipped_index(root).artifacts["fig3_glue_ratio"]
    published = read_published(root / "workflow/resources/published_results.csv")
    assert artifact_verdicts(artifact, join_trivial(runs, [table(0.95)]), published)[0]["left_out"] == 3


def test_sentences_name_cell_predictor_and_both_numbers():
    runs = join_trivial(synthetic_runs(ratios=(0.05,), effect=0.02, noise=0.0), [table(0.81)])
    cells = against_trivial(runs)
    assert sentences(cells, lambda kind, name: name.upper()) == [
        "TOY on SYNTHETIC at 5 %, FT: not better than the majority class (80 against 81)."
    ]


@pytest.mark.parametrize(
    ("family", "trivial", "unlearned"),
    [
        # At the largest ratio, accuracies are .80 and .82, so errors are .20 and .18; nRMSEs are .100 and .098.
        ("nlp", 0.75, set()),
        ("nlp", 0.79, {"ft"}),
        ("nlp", 0.95, {"ft", "tb"}),
        ("sciml", 0.15, set()),
        ("sciml", 0.11, {"baseline"}),
        ("sciml", 0.05, {"baseline", "tb"}),
    ],
)
def test_a_cell_at_its_largest_ratio_has_learned_with_a_tenth_less_error_than_the_trivial_predictor(
    family, trivial, unlearned
):
    methods, metric = (("ft", "tb"), "accuracy") if family == "nlp" else (("baseline", "tb"), "nrmse")
    runs = synthetic_runs("e", family, methods=methods, effect=0.02, trend=0.0, noise=0.0)
    runs = join_trivial(runs, [table(trivial, metric, "majority")])
    found = not_learned(runs)
    assert set(found["method"]) == unlearned
    assert set(found["ratio"]) <= {0.05}
    lines = learned_lines(runs, lambda kind, name: name)
    assert len(lines) == max(1, len(unlearned))
    assert all("not clearly better than the majority class" in line for line in lines) == bool(unlearned)


def test_a_cell_without_a_finished_run_has_not_learned_and_one_without_trivial_predictor_is_not_judged():
    lost = tuple((0.05, "tb", seed) for seed in (13, 37, 43))
    runs = synthetic_runs("e", "sciml", methods=("baseline", "tb"), diverged=lost)
    assert not_learned(runs).empty
    found = not_learned(join_trivial(runs, [table(1.0, "nrmse", "zero")]))
    assert list(found["method"]) == ["tb"]


def test_the_command_names_what_has_not_learned(tmp_path, capsys):
    (tmp_path / "e").mkdir()
    join_trivial(synthetic_runs(), [table(0.95)]).to_csv(tmp_path / "e/runs.csv", index=False)
    learned_command(tmp_path)
    assert capsys.readouterr().out.count("not clearly better than the majority class (95)") == 2


def test_the_demo_has_learned(root):
    """With the results of `make figures`, if they are here."""
    if not list(root.glob("results/*/runs.csv")):
        pytest.skip("no results here; `make figures` makes them")
    runs = read_results(root / "results")
    if set(runs["scale"]) != {"demo"}:
        pytest.skip("the results here are not the demo's")
    assert not_learned(runs).empty, "\n".join(learned_lines(runs, lambda kind, name: name))


def test_published_errors_are_compared_over_predicted_frames(root):
    published = read_published(root / "workflow/resources/published_results.csv")
    runs = synthetic_runs(
        "fig4_cfd_ratio", "sciml", models=("unet",), datasets=("1dcfd",), ratios=(0.006,), methods=("baseline", "tb"),
    )  # fmt: skip
    persistence = table(0.322, "nrmse", "persistence", nrmse_rollout=0.322 * 21 / 11).assign(dataset="1dcfd")
    runs = join_trivial(runs, [persistence])
    joined = join_published(runs, published, "table19_fig4")
    np.testing.assert_allclose(joined["published_undiluted"], joined["published_mean"] * 21 / 11)
    cells = against_trivial(runs).merge(joined, on=["model", "dataset", "ratio", "method"]).assign(family="sciml")
    found = published_sentences(cells, lambda kind, name: name)
    assert len(found) == 2
    assert "Published unet on 1dcfd at 0.6 %, baseline: not better than persistence on our data (0.661" in found[0]
    # With another number of predicted frames, the task is another one.
    other = cells.assign(trivial_undiluted=cells["trivial_score"] * 13 / 3)
    assert published_sentences(other, lambda kind, name: name) == []
    assert math.isnan(join_published(synthetic_runs("table2_dpot", "sciml", models=("dpot-tiny",), datasets=("2dcfd",),
        ratios=(0.05,), methods=("baseline", "tb")), published, "table2")["published_undiluted"].iloc[0])  # fmt: skip
