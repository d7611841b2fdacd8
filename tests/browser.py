"""A real browser for pages that a test made."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def in_browser(page: str, probe: str, folder: Path, *flags: str) -> str:
    """The page's DOM after a script at its end has run; nothing may be written to the console."""
    path = folder / "report.html"
    path.write_text(page.replace("</body>", f"<script>{probe}</script></body>"), encoding="utf-8")
    run = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
         f"--user-data-dir={folder}/profile", "--enable-logging=stderr", "--v=0", "--virtual-time-budget=2000",
         *flags, "--dump-dom", f"file://{path}"],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert not re.findall(r".*CONSOLE.*", run.stderr)
    return run.stdout


needs_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium (chromium, chromium-browser or google-chrome) on this machine"
)

#: Opens the page again in a frame as wide as a phone, and notes there what would have to be scrolled sideways.
ON_A_PHONE = """
  if (window === top) {
    const frame = document.createElement("iframe");
    frame.style = "width: 390px; height: 844px; border: 0";
    frame.srcdoc = document.documentElement.outerHTML;
    document.body.replaceChildren(frame);
  } else {
    const right = (item) => (item === document.documentElement ? item.scrollWidth : item.getBoundingClientRect().right);
    const wide = [...document.querySelectorAll("html, body *")]
      .filter((item) => !item.closest(".scroll, .figure, nav, svg") && right(item) > innerWidth);
    parent.document.body.dataset.phone = [innerWidth, ...wide.map((item) => item.tagName)].join(" ");
  }
"""
