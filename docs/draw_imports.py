"""Draw which subpackage imports which: ``python docs/draw_imports.py`` updates docs/layout.md."""

from __future__ import annotations

import re
from pathlib import Path

import grimp

PAGE = Path(__file__).with_name("layout.md")
PACKAGES = ("tempbalance", "replication")
BLOCK = re.compile(r"(?<=```mermaid\n).*?(?=```)", re.S)


def drawing() -> str:
    """The subpackages of both packages as a Mermaid graph; an arrow points to what is imported. Errors are left out."""
    graph = grimp.build_graph(*PACKAGES)
    rooms = [
        room for package in PACKAGES for room in sorted(graph.find_children(package)) if not room.endswith(".errors")
    ]
    arrows = [
        (room, other)
        for room in rooms
        for other in rooms
        if room != other and graph.direct_import_exists(importer=room, imported=other, as_packages=True)
    ]
    lines = ["flowchart TD"]
    for package in PACKAGES:
        lines.append(f"    subgraph {package}")
        lines += [f'        {room}["{room.rpartition(".")[2]}"]' for room in rooms if room.startswith(f"{package}.")]
        lines.append("    end")
    lines += [f"    {room} --> {other}" for room, other in arrows]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(BLOCK.sub(lambda _: drawing(), PAGE.read_text(encoding="utf-8")), encoding="utf-8")
