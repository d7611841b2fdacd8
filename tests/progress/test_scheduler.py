"""The workflow leaves no timers behind: Snakemake's rate limiter sets one for every finished job."""

from __future__ import annotations

import re

import pytest
from snakemake.cli import main

GRID = """
import threading

{hook}

onsuccess:
    print("timers:", sum(isinstance(thread, threading.Timer) for thread in threading.enumerate()))

rule all:
    input: expand("{{i}}.txt", i=range(6))

rule one:
    output: "{{i}}.txt"
    shell: "touch {{output}}"
"""


@pytest.mark.parametrize("is_ours", [False, True])
def test_timers_that_are_left_at_the_end(is_ours, root, tmp_path, monkeypatch, capfd):
    """Where Snakemake alone leaves none any more, the hook has served its time."""
    (line,) = re.findall(r"^ +workflow\.scheduler\..*\n", (root / "workflow/rules/hooks.smk").read_text(), re.MULTILINE)
    hook = f"onstart:\n{line}" if is_ours else ""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Snakefile").write_text(GRID.format(hook=hook))
    with pytest.raises(SystemExit) as ended:
        main(["--cores", "2", "--scheduler", "greedy"])
    assert ended.value.code == 0
    (timers,) = re.findall(r"timers: (\d+)", capfd.readouterr().out)
    assert (int(timers) == 0) == is_ours
