"""Tables: numbers as text, the paper's arrangement, Markdown and LaTeX."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from replication.errors import ConfigError, DataError
from replication.report.render import Entry, Row, Table, latex_text, to_latex, to_markdown
from replication.report.tables import build_table
from replication.settings.artifacts import Artifact
from replication.statistics.numbers import gain_text, interval, number, p_text, with_uncertainty
from replication.statistics.published import join_published, published_gains, read_published
from synthetic_tables import shipped_index, synthetic_runs


@pytest.fixture(scope="module")
def published(root) -> pd.DataFrame:
    return read_published(root / "workflow/resources/published_results.csv")


@pytest.fixture(scope="module")
def index(root):
    return shipped_index(root)


@pytest.mark.parametrize(
    ("mean", "sd", "text"),
    [
        (81.2345, 0.4321, "81.23 ± 0.43"),
        (81.2345, 12.3, "81.2 ± 12.3"),
        (0.05021, 0.00443, "0.0502 ± 0.0044"),
        (0.01863, 1.067e-05, "0.01863 ± 0.00001"),
        (-1.5, math.nan, "−1.5"),
        (math.nan, 1.0, "n/a"),
        (3.0, 0.0, "3.00 ± 0.00"),
    ],
)
def test_mean_and_deviation_are_rounded_alike(mean: float, sd: float, text: str) -> None:
    assert with_uncertainty(mean, sd) == text


def test_other_numbers() -> None:
    assert number(-0.25, 1, signed=True) == "−0.2"
    assert interval(-0.412, 1.93) == "[−0.41, +1.93]"
    assert interval(math.nan, 1.0) == ""
    assert gain_text(1.2345, 0.5, 2.0) == "+1.23 [+0.50, +2.00]"
    assert gain_text(1.2345, math.nan, math.nan) == "+1.23"
    assert [p_text(value) for value in (0.0004, 0.0456, math.nan)] == ["< .001", "0.046", "n/a"]


def test_latex_is_escaped_and_has_its_rules() -> None:
    table = Table(
        "t", "50 % & more_", ("Method", "Score"),
        (Row(("a_b",), (Entry("1 ± 2†", bold=True),)), Row(("c",), (Entry(),), rule=True)), ("note #1",),
    )  # fmt: skip
    text = to_latex(table)
    assert r"a\_b & \textbf{1 $\pm$ 2$^\dagger$} \\" in text
    assert r"\caption{50 \% \& more\_. note \#1.}" in text
    assert [text.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 2, 1]
    assert latex_text("{\\}") == r"\{\textbackslash{}\}"


def test_markdown_is_a_table_that_pipes_cannot_break() -> None:
    table = Table("t", "T", ("a|b", "c"), (Row(("x|y",), (Entry("1", bold=True),)),), ("why",))
    lines = to_markdown(table).splitlines()
    assert [line.replace(" ", "") for line in lines[2:5]] == ["|a\\|b|c|", "|:-------|------:|", "|x\\|y|**1**|"]
    assert lines[-1] == "- why"


def test_one_data_set_has_ratios_as_columns_and_bold_gains(index, published) -> None:
    table, tidy = build_table(index.artifacts["table17_glue"], synthetic_runs(), published)
    assert table.heads[3:] == ("5 % (n = 500)", "2 % (n = 200)", "1 % (n = 100)")
    assert [row.labels[2] for row in table.rows] == ["ft", "tb", "tb minus ft"]
    assert all(cell.bold for cell in table.rows[2].entries)
    assert all(cell.bold for cell in table.rows[1].entries)
    assert not any(cell.bold for cell in table.rows[0].entries)
    assert len(tidy) == 6
    assert tidy.loc[tidy["method"] == "tb", "ci_low"].notna().all()


def test_several_data_sets_have_columns_of_their_own_and_an_average(index, published) -> None:
    runs = synthetic_runs(models=("roberta-base",), datasets=("sst2", "qnli"), ratios=(0.001, 0.01), stand_in="")
    table, _ = build_table(index.artifacts["table17_glue"], runs, published)
    assert table.heads == ("Model", "Ratio", "Method", "sst2", "qnli", "Average")
    by_label = {row.labels[1:]: row for row in table.rows}
    paper = by_label["0.1 %", "ft, published"]
    assert [cell.text for cell in paper.entries] == ["84.13 ± 1.97", "73.57 ± 0.9", ""]
    means = runs[(runs["method"] == "ft") & (runs["ratio"] == 0.01)].groupby("dataset")["score"].mean() * 100
    assert by_label["1 %", "ft"].entries[2].text == f"{means.mean():.2f}"
    assert not any("stand in" in note for note in table.notes)


@pytest.mark.parametrize(("stand_in_for", "ddof"), [("sst2", 0), ("nothing", 1)])
def test_deviations_have_the_papers_convention_where_its_values_stand_beside(
    index, published, stand_in_for, ddof
) -> None:
    runs = synthetic_runs(models=("roberta-base",), datasets=("sst2",), ratios=(0.001, 0.01), noise=0.02)
    runs["published_dataset"] = stand_in_for
    table, tidy = build_table(index.artifacts["table17_glue"], runs, published)
    own = runs[(runs["method"] == "ft") & (runs["ratio"] == 0.01)]["score"] * 100
    assert table.rows[0].labels[2] == "ft"
    assert table.rows[0].entries[0].text == with_uncertainty(own.mean(), own.std(ddof=ddof))
    assert any(f"(ddof {ddof}" in note for note in table.notes)
    assert {"sd", "sd_ddof0"} <= set(tidy)


def test_the_best_trivial_predictor_has_a_row_and_marks_what_is_not_better(index, published) -> None:
    runs = synthetic_runs().assign(trivial="majority", trivial_score=0.75, trivial_undiluted=math.nan)
    table, tidy = build_table(index.artifacts["table17_glue"], runs, published)
    rows = {row.labels[2]: [entry.text for entry in row.entries] for row in table.rows}
    assert rows["best trivial predictor"] == ["75 (the majority class)"] * 3
    assert [text.endswith("‡") for text in rows["ft"]] == [False, True, True]
    assert any(note.startswith("‡ Not better") for note in table.notes)
    assert r"$^\ddagger$" in to_latex(table)
    assert set(tidy["trivial_score"]) == {75.0}


def test_error_table_counts_diverged_runs_and_shows_the_papers_row_as_its_own(index, published) -> None:
    runs = synthetic_runs(
        "fig4_cfd_ratio", "sciml", models=("fno",), datasets=("1dcfd-sim",), methods=("baseline", "tb"),
        ratios=(0.025, 0.1), diverged=((0.025, "tb", 37),),
    )  # fmt: skip
    runs["published_dataset"] = "1dcfd"
    table, tidy = build_table(index.artifacts["table19_cfd"], runs, published)
    by_label = {row.labels[2]: row for row in table.rows}
    assert by_label["tb"].entries[1].text.endswith("(1 of 3 diverged)")
    assert by_label["baseline, published"].entries[0].text == "0.113 ± 0.00479"
    assert by_label["tb: error reduction against baseline (%)"].entries[1].bold is False  # two pairs: no claim
    assert any("only stand in" in note for note in table.notes)
    assert set(tidy["same_setting"].dropna()) == {False}


def test_error_over_predicted_frames_stands_below(index, published) -> None:
    runs = synthetic_runs("fig4_cfd_ratio", "sciml", methods=("baseline", "tb"))
    runs["test_selected_nrmse_rollout"] = 2 * runs["score"]
    table, _ = build_table(index.artifacts["table19_cfd"], runs, published)
    assert [row.labels[2] for row in table.rows][-2:] == [
        "baseline, predicted frames only",
        "tb, predicted frames only",
    ]
    assert any("averaged over the initial steps" in note for note in table.notes)
    runs["test_selected_nrmse_rollout"] = runs["score"]  # one step: nothing is diluted
    table, _ = build_table(index.artifacts["table19_cfd"], runs, published)
    assert not any("predicted frames" in row.labels[2] for row in table.rows)
    # Darcy: PDEBench's code counts the coefficient as a frame without error, so its number is half of ours.
    rows = {row.labels[2]: row for row in table.rows}
    names = ("tb", "tb, as PDEBench averages (coefficient counted as a frame)")
    ours, pdebench = (rows[name].entries[0].text for name in names)
    assert float(pdebench.split(" ")[0]) == pytest.approx(float(ours.split(" ")[0]) / 2, rel=0.01)
    assert not any("initial steps" in note for note in table.notes)


def test_t_test_table_has_the_published_p(index, published) -> None:
    runs = synthetic_runs(
        "table15_ttest", models=("roberta-base",), datasets=("sst2",), ratios=(0.0002, 0.001), seeds=tuple(range(10)),
    )  # fmt: skip
    table, _ = build_table(index.artifacts["table15_ttest"], runs, published)
    assert [row.entries[-1].text for row in table.rows] == ["0.13", "3.85e-09"]
    assert [row.entries[0].text for row in table.rows] == ["10", "10"]


def test_footnotes_hold_in_the_published_numbers(published) -> None:
    """The inconsistencies the tables footnote are computed here from the published numbers themselves."""
    small = published_gains(published, "table18", ("ft", "tb"), "nlp").set_index(["dataset", "ratio"])["gain"]
    assert small["rte", 0.5] == pytest.approx(3.37, abs=0.005)
    cfd = published_gains(published, "table19_fig4", ("baseline", "tb"), "sciml").set_index(
        ["model", "dataset", "ratio"]
    )
    assert cfd.loc[("unet", "2dcfd", 0.25), "gain"] == pytest.approx(1.63, abs=0.005)
    rows = published[(published["artifact"] == "table18") & (published["method"] == "tb") & (published["ratio"] == 0.2)]
    assert rows["mean"].mean() == pytest.approx(73.20, abs=0.01)


def test_ablation_tables_call_tb_by_what_they_vary(published) -> None:
    runs = synthetic_runs("table4_schedule", models=("roberta-base",), datasets=("qnli",), ratios=(0.01,),
                          methods=("tb-linear", "tb"), stand_in="")  # fmt: skip
    runs["published_method"] = runs["method"].replace("tb-linear", "tb(schedule=linear_map)")
    joined = join_published(runs, published, "table4").set_index("method")["published_mean"]
    assert joined.to_dict() == {"tb-linear": 84.6, "tb": 84.47}


def test_an_operators_baseline_is_the_papers_fine_tuning(published) -> None:
    assert published_gains(published, "table2", ("baseline", "tb"), "sciml")["gain"].gt(0).all()
    runs = synthetic_runs("table2_dpot", "sciml", models=("dpot-tiny",), datasets=("2dcfd",), ratios=(0.05,),
                          methods=("baseline", "tb"), stand_in="")  # fmt: skip
    joined = join_published(runs, published, "table2").set_index("method")["published_mean"]
    assert joined.to_dict() == {"baseline": 0.01863, "tb": 0.01856}


def test_unknown_layouts_and_foreign_runs_are_refused(published) -> None:
    artifact = Artifact("x", "table", "X", "nlp", "sideways", "nothing", experiments=("fig3_glue_ratio",),
                        pairs=(("ft", "tb"),))  # fmt: skip
    with pytest.raises(ConfigError, match="'sideways', expected one of by_method"):
        build_table(artifact, synthetic_runs(), published)
    foreign = Artifact(**{**vars(artifact), "layout": "by_method", "pairs": (("lora", "lora+tb"),)})
    with pytest.raises(DataError, match="none of its methods"):
        build_table(foreign, synthetic_runs(), published)
