"""The record: its pages show its tables, and its experiment has what its search chose."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pandas as pd
import pytest

from replication.settings.config import Config
from replication.settings.grid import load_grid
from replication.statistics import paired
from replication.statistics.overview import measured_table
from replication.statistics.published import read_published

ROOT = Path(__file__).resolve().parents[2]
spec = importlib.util.spec_from_file_location("make_record", ROOT / "docs/make_record.py")
make_record = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make_record)


@pytest.mark.parametrize("page", make_record.PAGES, ids=lambda page: page.name)
def test_a_page_shows_the_tables_of_the_record(page):
    text = page.read_text(encoding="utf-8")
    assert make_record.BLOCK.search(text)
    assert text == make_record.filled(page)


def test_the_record_trained_what_its_search_chose():
    grid = load_grid(ROOT, Config.from_mapping({"scale": "desk", "experiments": ["record_flow"]}, ROOT))
    search = make_record.read("search.csv")
    chosen = {(row.ratio, row.method): json.loads(row.trial) for row in search[search["chosen"]].itertuples()}
    trained = {(cell.ratio, cell.method): cell.runs[0] for cell in grid.experiments["record_flow"].cells}
    assert set(trained) == set(chosen)
    for cell, run in trained.items():
        balance = run.method_options["balance"]
        assert {"lr": run.hyper["lr"], **({"s": balance["s_max"]} if balance else {})} == chosen[cell]


def test_what_the_record_says_of_the_search_is_what_the_search_shows():
    search = make_record.read("search.csv")
    scores = search[search["ratio"] == 0.025].groupby("method")["mean_validation"].apply(sorted)
    assert len(scores["baseline"]) == 3
    assert len(scores["tb"]) == 9
    assert 1 - scores["tb"][0] / scores["baseline"][0] == pytest.approx(0.05, abs=0.005)
    assert sum(score > scores["baseline"][-1] for score in scores["tb"]) == 6


def test_what_the_record_says_of_the_seed_of_the_search_is_what_the_runs_show():
    runs = make_record.read("runs.csv")
    flow = paired.gains(runs[runs["dataset"] == "1dcfd-sim256"], ("baseline", "tb"))
    searched = flow["seed"] == 2022
    assert flow[searched].set_index("ratio")["gain"].round(1).to_dict() == {0.006: 5.9, 0.025: 5.8}
    others = flow[~searched].groupby("ratio")["gain"]
    assert others.mean().round(1).to_dict() == {0.006: -2.5, 0.025: -1.4}
    assert others.size().to_dict() == {0.006: 9, 0.025: 9}
    assert (others.mean().abs() < 2 * others.sem()).all()


@pytest.mark.parametrize(
    ("table", "experiments"), [("runs.csv", make_record.RUNS), ("checks.csv", (make_record.CHECKS,))]
)
def test_every_number_of_the_record_has_its_provenance(table, experiments):
    runs = make_record.read(table)
    assert runs[["git_commit", "device", "python", "pkg_torch", "wall_s", "config_hash", "seed"]].notna().all().all()
    assert (runs["status"] == "finished").all()
    assert set(runs["experiment"]) == set(experiments)


def test_what_the_record_says_of_the_map_is_what_the_map_shows():
    gains = make_record.read("gain_map.csv").query("value == 'score'").set_index(["n_train", "s"]).sort_index()
    assert len(gains) == 24
    assert (gains.loc[8, "ci_high"] < 0).all()
    assert (gains.loc[16, "ci_low"] < 0).all()
    assert (gains.loc[16, "ci_high"] > 0).all()
    assert set(gains.index[gains["p_holm"] < 0.05]) == {(32, 0.75), (32, 1.0)}
    for samples in (32, 64):
        assert gains.loc[samples, "gain"].loc[[0.5, 0.75, 1.0]].between(1, 4.5).all()
    spread = make_record.read("gain_map.csv").query("value == 'alpha_std'").pivot_table("gain", "s", "n_train")
    assert (spread.diff().dropna() > 0).all().all()


def test_what_the_record_says_of_the_gains_is_what_its_runs_show():
    gains = make_record.read("gains.csv").set_index(["dataset", "ratio"])
    flow, more = gains.loc[("1dcfd-sim256", 0.006)], gains.loc[("1dcfd-sim256", 0.025)]
    darcy = gains.loc[("darcy-sim128", 0.006)]
    assert flow["ci_low"] < 0 < flow["ci_high"] < flow["published"]
    assert (darcy["n"], flow["n"], more["n"]) == (3, 10, 10)
    assert 0 < darcy["ci_low"] < darcy["published"] < darcy["ci_high"]
    assert darcy["t_low"] < 0
    assert more["ci_low"] < 0 < more["published"] < more["ci_high"]
    all_runs = make_record.read("runs.csv")
    assert (all_runs["score"] < all_runs["trivial_score"]).all()
    runs = all_runs.pivot_table("score", "seed", ["dataset", "ratio", "method"])
    assert (runs["darcy-sim128", 0.006, "tb"] < runs["darcy-sim128", 0.006, "baseline"]).dropna().sum() == 3
    baseline, tb = (runs["1dcfd-sim256", 0.006, method] for method in ("baseline", "tb"))
    assert abs(tb.mean() - baseline.mean()) < min(tb.std(), baseline.std())
    baseline, tb = (runs["1dcfd-sim256", 0.025, method] for method in ("baseline", "tb"))
    cut = 100 * (1 - tb / baseline).sort_values()
    assert (cut > 0).sum() == 6
    assert cut.max() < 6
    assert cut.round().iloc[:2].to_list() == [-17, -11]
    assert cut.iloc[2] > -5
    assert tb.std() > 3 * baseline.std()
    published = make_record.read("measured.csv").query("ratio == 0.025").set_index("method")["published_sd"]
    assert published["tb"] / published["baseline"] == pytest.approx(2, abs=0.2)


def test_what_the_record_says_of_the_exponents_is_what_its_runs_show():
    spread = make_record.read("runs.csv").pivot_table("alpha_std", ["dataset", "ratio"], "method")
    change = spread["tb"] / spread["baseline"]
    assert 0.9 < change["1dcfd-sim256", 0.006] < 1
    assert change["1dcfd-sim256", 0.025] == pytest.approx(6 / 7, abs=0.02)
    assert change["darcy-sim128", 0.006] == pytest.approx(0.5, abs=0.05)
    checks = make_record.read("checks.csv").query("model == 'fno'").groupby("method")["alpha_std"].mean()
    assert 1 - checks["tb"] / checks["baseline"] == pytest.approx(1 / 6, abs=0.02)


def test_what_the_record_says_of_the_checks_is_what_they_show():
    gains = make_record.read("checks_gains.csv").set_index("dataset")
    spectrum, coarse = gains.loc["1dcfd-sim256"], gains.loc["1dcfd-sim128"]
    assert spectrum["ci_low"] < 0 < spectrum["gain"] < spectrum["published"] < spectrum["ci_high"]
    assert coarse["ci_low"] < 0 < coarse["ci_high"]
    assert set(gains["n"]) == {3}
    runs = pd.concat([make_record.read("runs.csv"), make_record.read("checks.csv")]).query("ratio == 0.006")
    of = runs[(runs["method"] == "baseline") & (runs["model"] == "fno-released")].groupby("dataset")["score"].mean()
    published = make_record.read("measured.csv").query("method == 'baseline' and ratio == 0.006")["published"].max()
    assert of["1dcfd-sim128"] < of["1dcfd-sim256"] < published


def test_what_the_record_says_of_the_layers_is_what_they_show():
    layers = make_record.read("layers.csv").query("dataset == '1dcfd-sim256' and ratio == 0.006").dropna()
    table = layers.query("method == 'tb'").set_index(["model", "layer"]).sort_index()
    convolutions = [f"w.{number}" for number in range(4)]
    for model, order in (("fno-released", 1), ("fno", -1)):
        alphas, rates = (order * table.loc[model, name] for name in ("alpha_end", "factor"))
        for values in (alphas, rates):
            assert values[convolutions].min() > values[["fc0", "fc1"]].max()
    assert table.loc["fno", "factor"][convolutions].between(0.75, 0.8).all()


def test_what_is_said_of_pretraining_is_what_its_runs_show():
    runs = make_record.read("dpot.csv")
    errors = runs.pivot_table("score", "n_train", "method")
    few, enough = [4, 7], [16, 32, 64]
    assert list(errors.index) == few + enough
    assert (errors["baseline"] / errors["scratch"]).between(0.4, 0.6).all()
    trivial = runs["trivial_score"].iloc[0]
    assert (errors.loc[few, "scratch"] > trivial).all()
    assert (errors.loc[enough, "scratch"] < trivial).all()
    assert (errors.loc[few, "baseline"] > errors.loc[few, "zero-shot"]).all()
    assert (errors.loc[enough, "baseline"] < errors.loc[enough, "zero-shot"]).all()
    assert ((errors["tb"] / errors["baseline"] - 1).abs() < 0.005).all()


def test_published_errors_are_averaged_like_ours():
    runs, published = make_record.read("runs.csv"), read_published(make_record.PUBLISHED)
    table = measured_table(runs, published, make_record.artifacts(make_record.RUNS)).set_index("dataset")
    of_darcy, of_flow = table.loc[["darcy-sim128"]], table.loc[["1dcfd-sim256"]]
    assert of_darcy["published"].equals(of_darcy["published_undiluted"])
    assert (of_flow["published"] < of_flow["published_undiluted"]).all()
