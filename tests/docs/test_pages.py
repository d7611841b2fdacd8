"""The README and the pages of docs/: links, the drawing of imports, and the site made of them."""

from __future__ import annotations

import importlib.util
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tempbalance

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
CODE = re.compile(r"^( *)```.*?^\1```|`[^`\n]*`", re.M | re.S)
#: What a browser loads by itself.
LOADED = re.compile(r'<(?:script|img|iframe|source)[^>]* src="([^"]+)"|<link[^>]* rel="stylesheet"[^>]* href="([^"]+)"')


def prose(page: Path) -> str:
    return CODE.sub("", page.read_text(encoding="utf-8"))


def links(page: Path) -> list[str]:
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)) if "://" not in target]


def anchors(page: Path) -> set[str]:
    """What GitHub and the site make of a page's headings."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.*?)\s*$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: no {link}"
        assert ROOT in target.parents, f"{page.name}: {link} leaves the repository"
        assert not anchor or anchor in anchors(target), f"{page.name}: {link} names no heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_named_in_the_text_exist(page):
    folders = "|".join(re.escape(path.name) for path in ROOT.iterdir() if path.is_dir())
    named = re.findall(rf"`((?:{folders})/[\w./-]*\w)`", page.read_text(encoding="utf-8"))
    for path in named:
        made = path.startswith(("results/", "figures/", "site/"))
        assert made or (ROOT / path).exists(), f"{page.name}: there is no {path}"


def test_links_are_found():
    assert {"docs/layout.md", "docs/gallery/fig1_esd.png"} <= set(links(ROOT / "README.md"))
    assert "adding-something" in anchors(ROOT / "docs/layout.md")


def test_the_drawing_of_imports_is_up_to_date():
    spec = importlib.util.spec_from_file_location("draw_imports", ROOT / "docs/draw_imports.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (drawn,) = module.BLOCK.findall(module.PAGE.read_text(encoding="utf-8"))
    assert drawn == module.drawing(), "run python docs/draw_imports.py"


def test_the_reference_names_the_public_api():
    named = re.findall(r"^::: (\S+)$", (ROOT / "docs/api.md").read_text(), re.M)
    assert sorted(named) == [f"tempbalance.{name}" for name in sorted(tempbalance.__all__)]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site, built without a connection: a warning of MkDocs, such as a dead link, is an error."""
    pytest.importorskip("mkdocs")
    pytest.importorskip("material")
    pytest.importorskip("mkdocstrings_handlers.python")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mkdocs",
            "build",
            "--strict",
            "--site-dir",
            folder,
            "--config-file",
            ROOT / "mkdocs.yml",
        ],
        capture_output=True,
        text=True,
        timeout=120,
        env={"PATH": "", "PYTHONPATH": ":".join(sys.path), "http_proxy": "http://127.0.0.1:9"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_every_page_is_in_the_site(site):
    for page in (ROOT / "docs").glob("*.md"):
        assert f'href="{page.stem}.html' in (site / "index.html").read_text(), f"mkdocs.yml: nav lacks {page.name}"
    assert (site / "gallery.html").read_text().count("<img ") >= 5


def test_the_site_loads_nothing_from_the_net(site):
    pages = sorted(site.glob("*.html"))
    assert len(pages) > 10
    for page in pages:
        loaded = [one or other for one, other in LOADED.findall(page.read_text())]
        assert [path for path in loaded if "assets/" in path], page.name
        assert not [path for path in loaded if "//" in path], page.name


def test_the_reference_shows_docstrings(site):
    page = (site / "api.html").read_text()
    for name in tempbalance.__all__:
        assert f'id="tempbalance.{name}"' in page
        if not inspect.ismodule(value := getattr(tempbalance, name)):
            first = re.match(r"[A-Za-z ,]+", inspect.getdoc(value) or "")
            assert first is not None
            assert first[0].strip() in page, name
