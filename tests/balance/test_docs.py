"""The pages about the library: all Python blocks run, and all quirks of the released code are listed."""

from __future__ import annotations

import re

import pytest
import torch

from tempbalance.balance import SCHEDULES
from tempbalance.spectra import Preset

BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("page", ["balance-your-own-model", "what-the-released-code-does"])
def test_code_blocks_run_in_order(root, page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if page == "balance-your-own-model":
        pytest.importorskip("neuralop")
    blocks = BLOCK.findall((root / "docs" / f"{page}.md").read_text())
    assert blocks
    names: dict = {}
    for number, code in enumerate(blocks, 1):
        if "tensorboard" in code:  # the last block; the others ran before
            pytest.importorskip("tensorboard")
        torch.manual_seed(number)
        exec(compile(code, f"{page}.md, block {number}", "exec"), names)


def test_the_option_table_names_real_options(root):
    text = (root / "docs" / "balance-your-own-model.md").read_text()
    table = text[text.index("| option |") : text.index("For example, AlphaDecay")]
    options = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    known = {*Preset.__dataclass_fields__, "schedule", "every", "scheduled", "tolerance"}
    assert len(options) >= 10
    assert set(options) <= known
    for schedule in SCHEDULES:
        assert f"`{schedule}`" in table


def test_every_quirk_is_listed(root):
    text = (root / "docs" / "what-the-released-code-does.md").read_text()
    headings = re.findall(r"^## (\d+)\. ", text, re.MULTILINE)
    assert headings == [str(n) for n in range(1, len(headings) + 1)]
    assert len(headings) >= 11
    for section in re.split(r"^## \d+\. ", text, flags=re.MULTILINE)[1:]:
        labels = re.findall(r"^\*\*(\w+):\*\*", section, re.MULTILINE)
        assert labels in (["Released", "Here", "Switch"], ["Published", "Here", "Switch"]), section[:60]
