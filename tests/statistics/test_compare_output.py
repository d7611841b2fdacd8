"""The output of ``replication compare``."""

from __future__ import annotations

import re
import sys

import pandas as pd
import pytest

from browser import ON_A_PHONE, in_browser, needs_browser
from replication import cli
from replication.report.comparison import comparison_page
from replication.statistics.compare import compare, comparison_lines
from synthetic_tables import synthetic_runs


@pytest.fixture
def folders(tmp_path):
    runs = synthetic_runs("fig3_glue_ratio")
    changed = runs.copy()
    cell = (changed["ratio"] == 0.02) & (changed["method"] == "tb")
    changed.loc[cell, "score"] += [0.01, 0.02, 0.03]
    changed.loc[cell, "config_hash"] = "another"
    changed = changed[~((changed["ratio"] == 0.05) & (changed["method"] == "ft"))]
    for name, table in (("a", runs), ("b", changed)):
        (tmp_path / name / "fig3_glue_ratio").mkdir(parents=True)
        table.to_csv(tmp_path / name / "fig3_glue_ratio" / "runs.csv", index=False)
    return tmp_path / "a", tmp_path / "b"


def test_lines_name_what_differs_and_by_how_much(folders):
    lines = comparison_lines(compare(*folders))
    assert len(lines) == 3
    assert lines[0].startswith("fig3_glue_ratio/toy/synthetic/ratio=0.02/tb: differs, configuration changed; A ")
    assert "B - A +2, 95 % interval -0.484 to +4.48" in lines[0]  # mean 2, SD 1, t(2) = 4.303: 2 -+ 2.484
    assert lines[1].startswith("fig3_glue_ratio/toy/synthetic/ratio=0.05/ft: only in A; A ")
    assert lines[2] == "6 cells: 4 equal, 1 differs, 1 only in A"
    table = compare(*folders)
    assert comparison_lines(table[table["status"] == "equal"].head(1)) == ["1 cell: 1 equal"]
    assert comparison_lines(table.assign(status="differs"))[-1] == "6 cells: 6 differ"


def test_a_folder_equals_itself(folders):
    assert comparison_lines(compare(folders[0], folders[0])) == ["6 cells: 6 equal"]


def test_diverged_runs_are_counted(folders):
    runs = synthetic_runs("fig3_glue_ratio", diverged=((0.01, "tb", 13),))
    runs.to_csv(folders[1] / "fig3_glue_ratio" / "runs.csv", index=False)
    line = next(line for line in comparison_lines(compare(*folders)) if "ratio=0.01/tb" in line)
    assert "(n = 2, 1 diverged)" in line


def test_the_command_prints_lines_and_writes_all_cells(folders, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["tempbalance", "compare", *map(str, folders), "--csv", str(tmp_path / "out.csv")])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0
    assert "6 cells: 4 equal" in capsys.readouterr().out
    assert len(pd.read_csv(tmp_path / "out.csv")) == 6


def test_the_page_shows_every_cell_and_loads_nothing(folders, tmp_path, monkeypatch):
    page = tmp_path / "out.html"
    monkeypatch.setattr(sys, "argv", ["replication", "compare", *map(str, folders), "--html", str(page)])
    with pytest.raises(SystemExit):
        cli.main()
    text = page.read_text()
    assert "6 cells: 4 equal, 1 differs, 1 only in A." in text
    assert text.index("2 %, tb") < text.index("5 %, ft") < text.index("4 equal cells")
    assert "+2.0 [\N{MINUS SIGN}0.5, +4.5]" in text
    assert "<script" not in text
    assert not re.search(r"(src|href)=\"(?!data:)", text)
    # All rows have the scale of the longest bar, 4.48, which ends at 95 % of its half; the mean is 2.
    assert f'cx="{80 + 76 * 2 / 4.484:.1f}"' in text
    same = comparison_page(compare(folders[0], folders[0]), *folders)
    assert "No cell differs." in same


@needs_browser
def test_the_page_opens_in_a_browser_and_fits_a_phone(folders, tmp_path):
    """Without a script: differences are drawn inside their column, and equal cells open on demand."""
    page = comparison_page(compare(*folders), *folders)
    # The page allows no script, except the one of this test.
    page = re.sub(r"<meta http-equiv[^>]*>", "", page)
    probe = """
      const inside = [...document.querySelectorAll("td svg")].every((drawing) => {
        const [cell, own] = [drawing.parentElement, drawing].map((item) => item.getBoundingClientRect());
        return own.width > 100 && own.left >= cell.left && own.right <= cell.right;
      });
      document.querySelector("details").open = true;
      const shown = [...document.querySelectorAll("details li")].filter((item) => item.offsetHeight > 0).length;
      document.body.dataset.seen = `${inside} ${shown}`;
    """
    assert 'data-seen="true 4"' in in_browser(page, probe, tmp_path)
    assert 'data-phone="390"' in in_browser(page, ON_A_PHONE, tmp_path)


def test_a_folder_without_results_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["tempbalance", "compare", str(tmp_path), str(tmp_path)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert "a results folder was expected" in capsys.readouterr().err
