"""Every number of the report's text is computed again, from the runs alone; no sentence says more than its verdict."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from replication.report.findings import CONCLUSIONS, TRENDS, mean_sentence
from replication.report.report import Sources, render
from replication.settings.artifacts import Index
from replication.statistics.cells import records
from replication.statistics.estimates import estimate_table
from replication.statistics.overview import gain_table, measured_table
from replication.statistics.published import read_published
from replication.statistics.trivial import join_trivial
from replication.statistics.verdicts import verdict_table
from synthetic_tables import shipped_index, synthetic_runs

MAJORITY = 0.71
#: Words that say more than a caption may.
ASSERTIONS = re.compile(
    r"\b(outperform\w*|improves|helps|superior\w*|(?<!not )significant\w*|proves?|clearly|confirms?)\b", re.I
)


@dataclass(frozen=True)
class Report:
    """A page, and the tables that it was made from."""

    page: str
    runs: pd.DataFrame
    verdicts: pd.DataFrame
    estimates: pd.DataFrame

    def text(self, pattern: str) -> list[str]:
        """The visible text of every element that the pattern's group matches."""
        found = re.findall(pattern, self.page, re.S)
        return [re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", each))).strip() for each in found]

    @property
    def findings(self) -> list[str]:
        return [text.split("Verdicts:")[0] for text in self.text(r'<p class="finding">(.*?)</p>')]


@pytest.fixture(scope="module")
def index(root) -> Index:
    return shipped_index(root)


@pytest.fixture(scope="module")
def published(root) -> pd.DataFrame:
    return read_published(root / "workflow/resources/published_results.csv")


@pytest.fixture(scope="module")
def report_of(root, index, published, tmp_path_factory):
    """Runs -> their report, without figures and tables of the paper."""
    import matplotlib.image

    picture = tmp_path_factory.mktemp("pictures") / "x.png"
    matplotlib.image.imsave(picture, np.zeros((4, 30, 3)), dpi=200)
    trivial = pd.DataFrame({"dataset": "synthetic", "predictor": "majority", "metric": "accuracy", "value": [MAJORITY]})
    empty = pd.DataFrame()

    def build(runs: pd.DataFrame) -> Report:
        runs = join_trivial(runs, [trivial])
        plan = index.plan(["fig3_glue_ratio"], scale="smoke")
        artifacts = [*plan.figures.values(), *plan.tables.values()]
        verdicts, estimates = (make(runs, published, artifacts) for make in (verdict_table, estimate_table))
        sources = Sources(
            scale="smoke", runs=runs, layers=empty, spectra=empty, history=empty, verdicts=verdicts,
            gains=gain_table(runs, published, artifacts), measured=measured_table(runs, published, artifacts),
            estimates=estimates, trivial=trivial, forest=picture, agreement=picture, figures={}, tables={},
            eigenvalues=(), missing=plan.missing,
        )  # fmt: skip
        page = render(index, sources, Path(root) / "workflow/report/template.html.j2")
        return Report(page, runs, verdicts, estimates)

    return build


# ---- numbers ---------------------------------------------------------------------------------------------


def numbers_in(text: str) -> list[str]:
    """Numbers of a text, with their signs."""
    return re.findall(r"(?<![\w.])[+\N{MINUS SIGN}-]?(?:\d+\.?\d*|\.\d+)(?![\w])", text)


def unexplained(text: str, values: Iterable[float]) -> list[str]:
    """Numbers of a text that are none of the values, rounded to the decimals shown."""
    known = np.array([value for value in values if math.isfinite(value)])
    missing = []
    for token in numbers_in(text):
        shown = float(token.replace("\N{MINUS SIGN}", "-"))
        decimals = len(token.partition(".")[2])
        if not (np.abs(known - shown) <= 0.5000001 * 10.0**-decimals).any():
            missing.append(token)
    return missing


def cells_of(runs: pd.DataFrame, value: str) -> pd.DataFrame:
    """Paired values ``[ratio, seed] x [ft, tb]`` of the cells that count: three seeds, and better than the majority."""
    score = runs.pivot_table(index=["ratio", "seed"], columns="method", values="score")
    counted = score.groupby("ratio").mean().max(axis=1) > MAJORITY
    wide = runs.pivot_table(index=["ratio", "seed"], columns="method", values=value).dropna()
    wide = wide[wide.index.get_level_values("ratio").isin(counted[counted].index)]
    return wide[wide.groupby("ratio")["tb"].transform("count") >= 3]


def said_of_cells(gain: pd.Series) -> list[float]:
    """All that is said of a mean over cells: number, estimate, Student's interval, one-sided p-values of Stouffer."""
    wide = gain.unstack("seed").to_numpy()
    means = wide.mean(axis=1)
    interval = stats.ttest_1samp(means, 0.0).confidence_interval(0.95)
    z = stats.norm.isf([stats.ttest_1samp(row, 0.0, alternative="greater").pvalue for row in wide])
    p = stats.norm.sf(z.sum() / math.sqrt(len(z)))
    return [len(means), (means > 0).sum(), wide.size, means.mean(), *interval, *shown_p(p), *shown_p(1 - p)]


def said_of_trend(values: pd.Series) -> list[float]:
    """All that is said of a trend: one curve, mean rank correlation, Page's one-sided p-values."""
    wide = values.unstack("ratio").sort_index(axis=1, ascending=False)
    if wide.shape[1] < 3:
        return []
    rho = [stats.spearmanr(wide.columns, row).statistic for row in wide.to_numpy()]
    p = [stats.page_trend_test(array).pvalue for array in (wide.to_numpy(), wide.to_numpy()[:, ::-1])]
    return [1, np.mean(rho), *shown_p(p[0]), *shown_p(p[1])]


def shown_p(p: float) -> list[float]:
    return [0.001] if p < 0.001 else [p]


def mixed(gain: pd.Series) -> list[float]:
    """Mean and trend of one data set with their intervals, by the analysis of variance of a balanced table."""
    wide = gain.unstack("ratio")
    halvings = -np.log2(wide.columns.to_numpy(float))
    halvings -= halvings.mean()
    seeds, ratios = wide.shape
    slope = float(wide.to_numpy().mean(axis=0) @ halvings / (halvings @ halvings))
    within = wide.to_numpy() - wide.to_numpy().mean(axis=1, keepdims=True) - slope * halvings
    df = seeds * (ratios - 1) - 1
    error = (within**2).sum() / df
    between = ratios * wide.mean(axis=1).var(ddof=1)
    df_mean, df_trend = seeds - 1, df
    if between < error:  # the variance over seeds is estimated as zero: everything is error
        between = error = ((within**2).sum() + between * (seeds - 1)) / (df + seeds - 1)
        df_mean = df_trend = df + seeds - 1
    found = []
    for estimate, variance, degrees in (
        (wide.to_numpy().mean(), between / wide.size, df_mean),
        (slope, error / (seeds * (halvings @ halvings)), df_trend),
    ):
        half = stats.t.ppf(0.975, degrees) * math.sqrt(variance)
        found += [estimate, estimate - half, estimate + half]
    return found


@pytest.mark.parametrize(
    "truth",
    [{}, {"effect": 0.0, "trend": 0.0}, {"effect": -0.02, "trend": 0.005, "noise": 0.02, "ratios": (0.05, 0.1, 0.2)}],
)  # fmt: skip
def test_every_number_is_computed_again_from_the_runs(report_of, published, truth) -> None:
    report = report_of(synthetic_runs(**truth))
    runs = report.runs
    scores = cells_of(runs, "score")
    gain = 100 * (scores["tb"] - scores["ft"])
    spread = cells_of(runs, "alpha_std_block")
    glue = published[published["artifact"] == "table17_fig3"].pivot_table(
        index=["model", "dataset", "ratio"], columns="method", values="mean"
    )
    paper = float((glue["tb"] - glue["ft"]).mean())

    found = [gain.groupby("ratio").ngroups, len(gain), *mixed(gain), paper / 2]
    [finding] = report.findings
    assert unexplained(finding, found) == []
    assert len(numbers_in(finding)) == 9
    # The checker finds a number that is off by a little.
    shown = numbers_in(finding)[2]
    assert unexplained(finding.replace(shown, shown + "7"), found) == [shown + "7"]

    settings = runs["ratio"].nunique()
    evidence = [
        settings, settings - gain.groupby("ratio").ngroups, paper, *said_of_cells(gain), *said_of_trend(gain),
        *said_of_cells(100 * (spread["ft"] - spread["tb"]) / spread["ft"]), *said_of_trend(spread["ft"]),
    ]  # fmt: skip
    texts = report.text(r'<details><summary><span class="chip.*?<p class="why">(.*?)</p>')
    assert len(texts) == len(report.verdicts)
    assert [unexplained(text, evidence) for text in texts] == [[]] * len(texts)

    [summary] = report.text(r"<p>(\d+ runs of .*?)</p>")
    counts = [len(runs), runs["experiment"].nunique(), runs["wall_s"].sum() / 3600]
    assert unexplained(summary.partition(" hours")[0], counts) == []
    [verdicts] = report.text(r"<p>(Of the claims tested .*?)</p>")
    judged = report.verdicts[~report.verdicts["artifact"].str.startswith("all ")]["verdict"]
    words = ("reproduced", "not reproduced", "inconclusive")
    assert numbers_in(verdicts) == [str((judged == word).sum()) for word in words]
    worse = runs.pivot_table(index="ratio", columns="method", values="score").stack()
    worse = worse[worse <= MAJORITY]
    for text in report.text(r'<ul class="not-better">(.*?)</ul>'):
        assert unexplained(text, [*100 * worse, 100 * MAJORITY, *100 * worse.index.get_level_values("ratio")]) == []


# ---- claims ----------------------------------------------------------------------------------------------

TRUTHS = {
    "helps": {},
    "hurts": {"effect": -0.03, "trend": -0.01},
    "nothing": {"effect": 0.0, "trend": 0.0},
    "unclear": {"effect": 0.0, "trend": 0.0, "noise": 0.15},
    "two seeds": {"seeds": (13, 37)},
    "one ratio": {"ratios": (0.05,)},
    "nothing learned": {"ratios": (0.001, 0.002, 0.005, 0.01, 0.02, 0.05), "effect": -0.6},
}


@pytest.mark.parametrize("truth", TRUTHS)
def test_no_sentence_claims_more_than_its_verdict(report_of, truth) -> None:
    report = report_of(synthetic_runs(**TRUTHS[truth]))
    [finding], line = report.findings, report.estimates.iloc[0]
    # What the numbers of the table entitle to, not what its word says.
    entitled = {
        "TB does better": line["low"] > 0,
        "TB does worse": line["high"] < 0,
        "TB makes no difference": max(-line["equivalence_low"], line["equivalence_high"]) < line["smallest"],
        "gain grows": line["trend_low"] > 0,
        "gain shrinks": line["trend_high"] < 0,
    }  # fmt: skip
    claimed = {phrase for phrase in entitled if phrase in finding}
    assert claimed <= {phrase for phrase, right in entitled.items() if right}
    assert (claimed & {"TB does better", "TB does worse", "TB makes no difference"} != set()) == (
        line["result"] != "undecided"
    )
    # Every phrase that the page has for a result is one of those above, or claims nothing.
    assert all(
        any(phrase in words for phrase in entitled) or "does not settle" in words or "no trend" in words
        for words in (*CONCLUSIONS.values(), *TRENDS.values())
    )
    assert "(stand-ins)" in finding
    for verdict in report.verdicts.itertuples():
        way = verdict.estimate < 0 if verdict.claim_id in ("low_data", "imbalance") else verdict.estimate > 0
        assert verdict.verdict != "reproduced" or (verdict.p_for < 0.05 and way)
    chips = re.findall(r'“[^”]+”: <span class="chip [a-z-]+">([a-z ]+)</span>', report.page)
    overall = report.verdicts[report.verdicts["artifact"].str.startswith("all ")]
    assert chips == list(overall[overall["claim_id"].isin(["better", "low_data"])]["verdict"])


def test_a_gain_that_is_too_small_to_matter_is_said_to_be(report_of) -> None:
    runs = synthetic_runs(effect=0.004, trend=0.0, noise=0.002)
    report = report_of(runs)
    assert "TB does better, but by less than matters" in report.findings[0]
    line = {**records(report.estimates)[0], "equivalence_high": 99.0}
    assert "less than matters" not in mean_sentence(line)


def test_captions_and_titles_assert_nothing(index) -> None:
    for artifact in index.artifacts.values():
        for text in (artifact.title, artifact.caption, *artifact.footnotes):
            assert not ASSERTIONS.findall(text), artifact.name
    assert ASSERTIONS.findall("TB clearly outperforms FT")
