"""The report in a browser: its charts, the explorer, the player and a phone."""

from __future__ import annotations

import html
import json
import re

from browser import ON_A_PHONE, in_browser, needs_browser


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


@needs_browser
def test_the_page_fits_a_phone(explored, tmp_path) -> None:
    dom = in_browser(explored, ON_A_PHONE, tmp_path)
    assert re.search(r'data-phone="([^"]*)"', dom)[1] == "390"


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


def seen_in(dom: str) -> list:
    """What a probe noted."""
    return json.loads(html.unescape(re.search(r'data-seen="([^"]*)"', dom)[1]))


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
