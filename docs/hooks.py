"""Hooks of mkdocs.yml: the README is the first page, its gallery a page of its own, and all links work."""

from __future__ import annotations

import re
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)#:]+)(#[^)]*)?\)")
MERMAID = re.compile(r"```mermaid\n(.*?)```", re.S)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made from the README."""
    readme = (Path(config.config_file_path).parent / "README.md").read_text(encoding="utf-8").replace("](docs/", "](")
    files.append(File.generated(config, "index.md", content=readme))
    gallery = re.search(r"^## (Gallery\n.*?)(?=^## )", readme, re.M | re.S)
    if gallery is None:
        raise ValueError("README.md has no section 'Gallery'")
    files.append(File.generated(config, "gallery.md", content=f"# {gallery[1]}"))
    return files


def on_page_markdown(markdown: str, page: Page, files: Files, **_: Any) -> str:
    """Turn links to files that the site has not into their text, and the drawing of imports into a table."""

    def kept(link: re.Match[str]) -> str:
        target = normpath(join(dirname(page.file.src_uri), link[2]))
        return link[0] if files.get_file_from_path(target) else link[1]

    return MERMAID.sub(lambda block: _table(block[1]), LINK.sub(kept, markdown))


def _table(drawing: str) -> str:
    # Drawing it needs Mermaid's script, which Material's theme loads from the net.
    imports: dict[str, list[str]] = {}
    for room, other in re.findall(r"(\S+) --> (\S+)", drawing):
        imports.setdefault(room, []).append(f"`{other}`")
    rows = [f"| `{room}` | {', '.join(others)} |" for room, others in imports.items()]
    return "\n".join(["| room | imports |", "|---|---|", *rows])
