"""The report: self-contained, complete and safe."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from markupsafe import escape

from replication.errors import DataError
from replication.report import report as module
from replication.report.browser import BINS, browser_data, esd_histogram
from replication.report.report import page_width, render
from replication.settings.paths import RunPath
from synthetic_tables import STAND_IN, shipped_index, tiny_png


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


# ---- the explorer ----------------------------------------------------------------------------------------


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


# ---- the player ------------------------------------------------------------------------------------------


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
