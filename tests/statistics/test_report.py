"""The report: self-contained, complete, safe, and alive in a browser."""

from __future__ import annotations

import html
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from markupsafe import escape
from PIL import Image

from browser import ON_A_PHONE, in_browser, needs_browser
from replication.errors import DataError
from replication.figures.data import FigureData
from replication.figures.rollout import Animation
from replication.report import report as module
from replication.report.browser import BINS, browser_data, esd_histogram
from replication.report.render import to_html, to_latex
from replication.report.report import Sources, page_width, render
from replication.report.tables import build_table
from replication.runs.predictions import error_table, read_rollout
from replication.settings.paths import RunPath
from replication.statistics.cells import read_runs, read_stacked
from replication.statistics.estimates import estimate_table
from replication.statistics.overview import gain_table, measured_table
from replication.statistics.published import read_published
from replication.statistics.trivial import join_trivial
from replication.statistics.verdicts import verdict_table
from synthetic_tables import STAND_IN, shipped_index, synthetic_rollout, synthetic_runs, write_experiment


def tiny_png(path: Path) -> Path:
    import matplotlib.image

    matplotlib.image.imsave(path, np.zeros((4, 300, 3)), dpi=200)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def sources(folder, root) -> Sources:
    runs = synthetic_runs(diverged=((0.01, "tb", 37),))
    runs["model_title"] = "</script><b>Toy & model</b>"
    write_experiment(folder, runs)
    index = shipped_index(root)
    plan = index.plan(["fig3_glue_ratio"], scale="smoke")
    published = read_published(root / "workflow/resources/published_results.csv")
    trivial = pd.DataFrame({"dataset": "synthetic", "predictor": "majority", "metric": "accuracy", "value": [0.71]})
    table = join_trivial(read_runs([folder / "fig3_glue_ratio/runs.csv"]), [trivial])
    artifacts = [*plan.figures.values(), *plan.tables.values()]
    for name in plan.figures:
        figure = FigureData(plan.figures[name], table, read_stacked([folder / "fig3_glue_ratio/layers.csv"]))
        figure.table().to_csv(folder / f"{name}.csv", index=False)
    for name, artifact in plan.tables.items():
        shown, tidy = build_table(artifact, table, published)
        tidy.to_csv(folder / f"{name}.csv", index=False)
        (folder / f"{name}.html").write_text(to_html(shown))
        (folder / f"{name}.tex").write_text(to_latex(shown))
    read = {name: read_stacked([folder / f"fig3_glue_ratio/{name}.csv"]) for name in ("layers", "spectra", "history")}
    return Sources(
        scale="smoke", runs=table, **read, verdicts=verdict_table(table, published, artifacts),
        gains=gain_table(table, published, artifacts), measured=measured_table(table, published, artifacts),
        estimates=estimate_table(table, published, artifacts), trivial=trivial,
        forest=tiny_png(folder / "forest.png"), agreement=tiny_png(folder / "agreement.png"),
        figures={name: tiny_png(folder / f"{name}.png") for name in plan.figures},
        tables={name: folder / f"{name}.csv" for name in plan.tables},
        eigenvalues=sorted(folder.glob("runs/**/eigenvalues.npz")), missing=plan.missing,
    )  # fmt: skip


@pytest.fixture(scope="module")
def page(sources, root) -> str:
    return render(shipped_index(root), sources, root / "workflow/report/template.html.j2")


class Links(HTMLParser):
    """Everything a page would load, its anchors, and the links to them."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.jumps: set[str] = set()

    def handle_starttag(self, tag, attrs) -> None:
        values = dict(attrs)
        if "id" in values:
            self.anchors.add(values["id"])
        for name in ("src", "href", "data", "poster", "action"):
            target = values.get(name)
            if target and target.startswith("#"):
                self.jumps.add(target[1:])
            elif target and not target.startswith("data:"):
                self.loads.append(target)


def test_the_page_loads_nothing_and_its_links_lead_somewhere(page) -> None:
    links = Links()
    links.feed(page)
    assert links.loads == []
    assert links.jumps <= links.anchors
    assert "@import" not in page
    assert "url(" not in page.replace("url(#", "")


def test_every_artifact_is_shown_or_explained(page, root) -> None:
    for name in shipped_index(root).artifacts:
        assert f'id="{name}"' in page or f"<td>{name}</td>" in page


def test_stand_ins_diverged_runs_and_the_verdicts_come_first(page) -> None:
    assert STAND_IN in page[: page.index("<nav")]
    assert "18 runs of 1 experiment at scale <b>smoke</b>, 1 of them diverged" in page
    assert page.index('id="verdicts"') < page.index('id="figures"') < page.index('id="tables"')


def test_the_answer_comes_before_everything_else(page) -> None:
    head = page[: page.index("<nav")]
    assert (
        head.index("Does TempBalance") < head.index("<b>Language models (stand-ins).</b>") < head.index('id="forest"')
    )
    assert head.count('<span class="chip') == 2


def test_the_matrix_has_a_word_for_every_verdict_and_its_evidence(page, sources) -> None:
    matrix = page[page.index('<table class="matrix">') :].split("</table>")[0]
    assert matrix.count("<details>") == len(sources.verdicts)
    words = re.findall(r'<summary><span class="chip [a-z-]+">([a-z ]+)</span>', matrix)
    assert sorted(words) == sorted(sources.verdicts["verdict"])
    for reason in sources.verdicts["reason"]:
        assert str(escape(reason)) in matrix


def test_a_cell_that_beats_no_trivial_predictor_is_named(page) -> None:
    section = page[page.index('<section id="trivial">') :].split("</section>")[0]
    # FT at 1 % scores .677, the majority class .71.
    assert re.findall(r"at ([\d.]+ %), (\w+): not better than the majority class", section) == [("1 %", "ft")]


def test_data_cannot_break_out_of_the_page(page) -> None:
    assert "</script><b>" not in page
    data = json.loads(page[page.index('id="data">') + 10 :].split("</script>")[0].lstrip(">"))
    assert data["titles"]["model"]["toy"] == "</script><b>Toy & model</b>"
    assert len(data["runs"]) == 18
    frame = pd.read_csv(io.StringIO(data["downloads"]["runs.csv"]["text"]))
    assert len(frame) == 18


def test_the_same_sources_give_the_same_page(page, sources, root) -> None:
    again = render(shipped_index(root), sources, root / "workflow/report/template.html.j2")
    assert again == page


def test_a_page_that_grew_too_large_is_refused(sources, root, monkeypatch) -> None:
    monkeypatch.setattr(module, "LARGEST", 1000)
    index = shipped_index(root)
    with pytest.raises(DataError, match="would take"):
        render(index, sources, root / "workflow/report/template.html.j2")


def test_browser_keeps_one_run_of_every_cell_when_space_is_short(sources) -> None:
    tables = (sources.runs, sources.layers, sources.spectra, sources.history, sources.eigenvalues)
    whole = browser_data(*tables, budget=10**9)
    assert whole["shown"] == whole["total"] == 18
    size = len(json.dumps(whole["runs"], separators=(",", ":")))
    part = browser_data(*tables, budget=size // 3)
    assert 0 < part["shown"] <= 6
    assert {run["id"][5] for run in part["runs"]} == {13}


def test_browser_numbers_are_the_runs_own(sources) -> None:
    tables = (sources.runs, sources.layers, sources.spectra, sources.history, sources.eigenvalues)
    run = browser_data(*tables, budget=10**9)["runs"][0]
    ratio, method, seed = run["id"][3:]
    layers = sources.layers
    layers = layers[(layers["ratio"] == ratio) & (layers["method"] == method) & (layers["seed"] == seed)]
    layer = run["layers"][2]
    assert layer["alpha"] == pytest.approx(layers["alpha"].iloc[2], rel=1e-4)
    path = next(
        p
        for p in sources.eigenvalues
        if (RunPath.of(p).ratio, RunPath.of(p).method, RunPath.of(p).seed) == (ratio, method, seed)
    )
    values = np.load(path)[f"last/{layer['name']}"]
    assert sum(layer["esd"]["last"][2:]) == layer["n"] == len(values)
    assert layer["tail"] == (values >= 1.0).sum()
    assert layer["trajectory"][-1] == layer["alpha"]
    block = run["blocks"][layers["block"].iloc[2]]
    assert block["alpha"][-1] == pytest.approx(layers["alpha"].iloc[[2, 5]].mean(), rel=1e-4)
    assert block["lr"] == pytest.approx([1e-3 * (1 - epoch / 4) for epoch in run["epochs"]])


def test_histograms() -> None:
    histogram = esd_histogram(np.array([1.0, 10.0, 100.0]))
    assert histogram[:2] == [0.0, 2.0]
    assert len(histogram) == BINS + 2
    assert sum(histogram[2:]) == 3
    assert esd_histogram(np.zeros(3)) == []
    assert sum(esd_histogram(np.full(4, 2.0))[2:]) == 4


def test_damaged_inputs_are_named(tmp_path, sources) -> None:
    broken = sources.eigenvalues[0]
    copy = tmp_path.joinpath(*broken.parts[-8:])
    copy.parent.mkdir(parents=True)
    copy.write_bytes(b"PK broken")
    with pytest.raises(DataError, match="not a file of eigenvalues"):
        browser_data(sources.runs, sources.layers, sources.spectra, sources.history, [copy], budget=10**9)
    with pytest.raises(DataError, match="not the file of a run"):
        browser_data(
            sources.runs, sources.layers, sources.spectra, sources.history, [Path("elsewhere/eigenvalues.npz")],
            budget=10**9,
        )  # fmt: skip
    with pytest.raises(DataError, match="no PNG"):
        page_width(b"GIF89a")


def test_width_of_a_figure_in_css_pixels(tmp_path) -> None:
    assert page_width(tiny_png(tmp_path / "x.png").read_bytes()) == 300 * 96 / 200


@needs_browser
def test_the_page_runs_in_a_browser_without_an_error(page, tmp_path) -> None:
    """Charts are drawn, a click sorts, and nothing is written to the console."""
    probe = """
      document.querySelector("#times th:nth-child(2) button").click();
      document.querySelector('[data-picker=spectra] [data-role=method]').value = "tb";
      document.querySelector('[data-picker=spectra]').dispatchEvent(new Event("change"));
    """
    dom = in_browser(page, probe, tmp_path)
    for chart in (
        "chart-esd",
        "chart-alpha",
        "chart-loss",
        "chart-score",
        "chart-rates",
        "chart-exponents",
        "chart-explorer",
    ):
        assert re.search(rf'id="{chart}"><svg', dom), chart
    assert 'aria-sort="ascending"' in dom
    assert "tail fit, alpha" in dom


# ---- the explorer ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def explored(sources, root) -> str:
    """A page with a flow of the paper's own setting too: diluted scores, Fourier bands, published values."""
    runs = synthetic_runs(
        "fig4_cfd_ratio", "sciml", models=("fno",), datasets=("flow",), methods=("baseline", "tb"), stand_in=""
    )
    bands = {
        f"test_selected_frmse_{band}": runs["score"] * part for band, part in (("low", 3), ("mid", 2), ("high", 1))
    }
    runs = runs.assign(
        test_selected_nrmse_rollout=2 * runs["score"], **bands, trivial="persistence", trivial_score=0.2,
        trivial_undiluted=0.4,
    )  # fmt: skip
    measured = pd.DataFrame({
        "model": "fno", "dataset": "flow", "ratio": [0.01, 0.05], "method": ["baseline", "tb"],
        "published": [0.19, 0.07], "published_sd": [0.01, np.nan], "published_undiluted": [0.38, 0.14], "stand_in": "",
    })  # fmt: skip
    own = replace(sources, runs=pd.concat([sources.runs, runs], ignore_index=True), measured=measured)
    return render(shipped_index(root), own, root / "workflow/report/template.html.j2")


def test_the_explorer_has_every_measure_and_its_numbers_are_those_of_the_runs(explored, sources) -> None:
    data = json.loads(explored[explored.index('id="data">') + 10 :].split("</script>")[0].lstrip(">"))
    text, flow = data["explorer"]
    assert [measure["name"] for measure in text["measures"]] == ["score", "alpha_std_block"]
    score = text["measures"][0]
    assert score["trivial"] == ["the majority class", 71.0]
    lost = next(point for point in score["points"] if (point["ratio"], point["method"]) == (0.01, "tb"))
    own = sources.runs[(sources.runs["ratio"] == 0.01) & (sources.runs["method"] == "tb")].dropna(subset=["score"])
    assert [lost["diverged"], [seed for seed, _ in lost["seeds"]]] == [1, [13, 43]]
    assert lost["mean"] == pytest.approx(100 * own["score"].mean(), rel=1e-4)
    assert lost["sd"] == pytest.approx(100 * own["score"].std(ddof=1), rel=1e-4)

    diluted, undiluted, *bands, spread = flow["measures"]
    assert ("diluted" in diluted["label"], "undiluted" in undiluted["label"], len(bands)) == (True, True, 3)
    assert (diluted["trivial"][1], undiluted["trivial"][1], spread["trivial"]) == (0.2, 0.4, None)
    assert diluted["published"] == [[0.01, "baseline", 0.19, 0.01], [0.05, "tb", 0.07, None]]
    assert undiluted["published"] == [[0.01, "baseline", 0.38, None], [0.05, "tb", 0.14, None]]
    assert [point["mean"] for point in undiluted["points"]] == pytest.approx(
        [2 * point["mean"] for point in diluted["points"]], rel=1e-4
    )


EXPLORER = """
  const host = document.querySelector("[data-picker=explorer]");
  const choose = (name, value) => {
    const select = host.querySelector(`[data-role=${name}]`);
    select.value = value;
    select.dispatchEvent(new Event("change", { bubbles: true }));
  };
  const points = () => [...document.querySelectorAll("#chart-explorer .point")];
  const press = (key) => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  const said = () => document.getElementById("explorer-said").textContent;
  const seen = [];
"""


@needs_browser
def test_the_explorer_works_with_the_keyboard(explored, tmp_path) -> None:
    """Arrows go from mean to mean, each with its seeds; Enter shows the cell's learning curves."""
    keys = """
      points()[0].focus(); seen.push(said());
      press("ArrowRight"); seen.push(said());
      press("ArrowLeft"); press("ArrowLeft"); seen.push(said());
      press("Enter");
      seen.push(document.querySelector("[data-picker=curves] [data-role=setting]").value.split("\\n")[3]);
      seen.push(document.querySelector("#chart-exponents .title").textContent);
      seen.push(points().filter((point) => point.tabIndex === 0).length);
      document.body.dataset.seen = JSON.stringify(seen);
    """
    first, second, last, ratio, whose, reached = seen_in(in_browser(explored, EXPLORER + keys, tmp_path))
    assert first.startswith("ft, 1 % (100 samples): ")
    assert re.search(r"Seeds 13: [\d.]+, 37: [\d.]+, 43: [\d.]+\.$", first)
    assert second.startswith("ft, 2 % (200 samples): ")
    assert last.startswith("tb, 5 % (500 samples): ")  # around the first comes the last
    assert (ratio, reached) == ("0.05", 1)
    assert "tb, seed 13" in whose


@needs_browser
def test_the_explorer_shows_what_a_measure_has_to_be_compared_with(explored, tmp_path) -> None:
    measures = """
      const count = (name) => document.querySelectorAll(`#chart-explorer .${name}`).length;
      const note = () => seen.push([points().length, count("trivial"), count("published")]);
      note(); choose("model", "fno"); note();
      points()[0].dispatchEvent(new MouseEvent("mouseenter")); seen.push(said());
      choose("measure", "test_selected_frmse_low"); note(); seen.push(said());
      choose("measure", "alpha_std"); note();
      document.body.dataset.seen = JSON.stringify(seen);
    """
    text, flow, words, band, silent, spread = seen_in(in_browser(explored, EXPLORER + measures, tmp_path))
    assert (text, flow, band, spread) == ([6, 1, 0], [6, 1, 2], [6, 0, 0], [6, 0, 0])
    assert words.endswith(" Published: 0.19 ± 0.01.")
    assert silent == ""


def seen_in(dom: str) -> list:
    """What a probe noted."""
    return json.loads(html.unescape(re.search(r'data-seen="([^"]*)"', dom)[1]))


@needs_browser
def test_the_page_fits_a_phone(explored, tmp_path) -> None:
    dom = in_browser(explored, ON_A_PHONE, tmp_path)
    assert re.search(r'data-phone="([^"]*)"', dom)[1] == "390"


# ---- the player ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def played(sources, folder, root) -> str:
    """A page with a figure of sample predictions and an animation of three frames."""
    gif = folder / "rollout_2d.gif"
    shades = [Image.new("P", (300, 200), shade) for shade in (1, 2, 3)]
    for shade in shades:
        shade.putpalette([0, 0, 0, 200, 0, 0, 0, 200, 0, 0, 0, 200])
    Animation(shades, [f"t = {number}: TB <b>0.{number}</b>" for number in (1, 2, 3)]).save(gif)
    runs = synthetic_runs(
        "fig4_cfd_ratio", "sciml", datasets=("flow",), ratios=(0.1,), methods=("baseline", "tb"), seeds=(1,)
    )
    predictions = [synthetic_rollout(folder / f"runs/{run}/predictions.npz", 2) for run in runs["run"]]
    rollouts = {RunPath.of(path): read_rollout(path) for path in predictions}
    error_table(runs, rollouts).to_csv(folder / "predictions_2d.csv", index=False)
    own = replace(
        sources, runs=pd.concat([sources.runs, runs], ignore_index=True),
        animations={"rollout_2d": gif},
        figures={**sources.figures, "predictions_2d": tiny_png(folder / "predictions_2d.png")},
    )  # fmt: skip
    return render(shipped_index(root), own, root / "workflow/report/template.html.j2")


def test_an_animation_travels_inside_the_page(played) -> None:
    links = Links()
    links.feed(played)
    assert links.loads == []
    data = json.loads(played[played.index('id="data">') + 10 :].split("</script>")[0].lstrip(">"))
    player = data["players"]["rollout_2d"]
    assert [len(player["pictures"]), len(player["labels"]), player["every_ms"]] == [3, 3, 600]
    article = played[played.index('<article id="rollout_2d">') :].split("</article>")[0]
    assert 'alt="Rollout of a 2-D flow. t = 1: TB &lt;b&gt;0.1&lt;/b&gt;"' in article
    assert "Ours; the paper shows no predictions" in article
    assert "and 2 of our own" in played[: played.index("<nav")]


def test_a_figure_of_sample_predictions_comes_with_its_errors(played) -> None:
    article = played[played.index('<article id="predictions_2d">') :].split("</article>")[0]
    assert "Data of this figure" in article
    assert article.count("<tr>") == 1 + 2 * 3 * 4


# Headless browsers tell of what is in view at no certain time: here the test says when, by `coming`.
IN_VIEW = """<head><script>
  const watched = [];
  window.coming = (inView) => watched.forEach((tell) => tell([{isIntersecting: inView}]));
  window.IntersectionObserver = class {
    constructor(tell) { this.tell = tell; }
    observe() { watched.push(this.tell); }
    disconnect() { watched.splice(0, watched.length, ...watched.filter((tell) => tell !== this.tell)); }
  };
</script>"""
PLAYER = """
  const host = document.querySelector("[data-player=rollout_2d]");
  const role = (name) => host.querySelector(`[data-role=${name}]`);
"""


@needs_browser
def test_the_player_rests_for_those_who_want_less_motion(played, tmp_path) -> None:
    come = PLAYER + "coming(true);"
    dom = in_browser(played.replace("<head>", IN_VIEW), come, tmp_path, "--force-prefers-reduced-motion")
    player = dom[dom.index('data-player="rollout_2d"') :].split("</article>")[0]
    assert ">Play</button>" in player
    assert 'aria-valuetext="1 of 3, t = 1: TB &lt;b&gt;0.1&lt;/b&gt;"' in player
    assert 'class="controls" hidden' not in player


@needs_browser
def test_the_player_plays_pauses_and_steps(played, tmp_path) -> None:
    page = played.replace("<head>", IN_VIEW)
    # In view it starts; once, so that it does not start again after a reader has stopped it.
    views = """
      const seen = [];
      const note = () => seen.push(role("play").textContent);
      note(); coming(false); note(); coming(true); note(); role("play").click(); note(); coming(true); note();
      document.body.dataset.seen = seen.join();
    """
    assert 'data-seen="Play,Play,Pause,Play,Play"' in in_browser(page, PLAYER + views, tmp_path)
    # Play, then a step stops it; back over the first frame comes the last; the slider is a native one, so keys move it.
    steps = """
      const seen = [];
      const note = () => seen.push(role("play").textContent + role("label").textContent[4] + role("frame").value);
      role("play").click(); note();
      role("on").click(); note();
      role("back").click(); role("back").click(); note();
      role("frame").value = 2; role("frame").dispatchEvent(new Event("input")); coming(true); note();
      document.body.dataset.seen = seen.join();
    """
    dom = in_browser(page, PLAYER + steps, tmp_path)
    assert 'data-seen="Pause11,Play22,Play33,Play22"' in dom
    assert re.search(r'data-player="rollout_2d"[\s\S]*?<button type="button" data-role="play">Play<', dom)
