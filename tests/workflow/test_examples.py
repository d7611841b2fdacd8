"""The examples: studies of one's own in a folder of one's own, with no shipped file edited."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from planning import planned, trained

#: Example -> its plain method and its data.
EXAMPLES = {"tickets": ("ft", "tickets.csv"), "waves": ("baseline", "waves.h5")}


@pytest.fixture(params=EXAMPLES)
def example(request, root, tmp_path) -> tuple[str, Path]:
    """An example's name, and a folder outside the repository that has the examples and their data."""
    shutil.copytree(root / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("results", "figures"))
    subprocess.run([sys.executable, "examples/make_data.py"], cwd=tmp_path, check=True)
    return request.param, tmp_path


def test_an_example_is_planned(example, snakemake):
    name, folder = example
    done = snakemake(folder, "--configfile", f"examples/{name}/config.yaml", "--dry-run", "--quiet", "rules")
    jobs = planned(done.stdout + done.stderr)
    assert done.returncode == 0, done.stderr[-3000:]
    # A flow has a figure of sample predictions too.
    assert (jobs["figure"], jobs["table"], jobs["report"]) == (3 if name == "waves" else 2, 1, 1)


@pytest.mark.slow
def test_an_example_gives_its_figures_its_table_and_its_place_in_the_report(example, snakemake):
    name, folder = example
    done = snakemake(folder, "--configfile", f"examples/{name}/config.yaml")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-5000:]
    own = folder / "examples" / name
    predictions = [f"{name}_predictions_1d"] * (name == "waves")
    for artifact in (f"{name}_score", f"{name}_alpha_std", *predictions):
        assert (own / f"figures/{artifact}.png").read_bytes().startswith(b"\x89PNG")
    table = pd.read_csv(own / f"results/tables/{name}_table.csv")
    plain, data = EXAMPLES[name]
    assert set(table["method"]) == {plain, "tb"}
    assert {"gain", "ci_low", "p_t"} <= set(table)
    verdicts = pd.read_csv(own / "results/tables/verdicts.csv")
    judged = verdicts[verdicts["artifact"].str.startswith(name)]
    assert list(judged["claim_id"]) == ["better", "low_data", "balances"]
    assert (judged["stand_in"] == "own models and data, not the paper's").all()
    page = (own / "results/report.html").read_text()
    for artifact in (f"{name}_score", f"{name}_alpha_std", f"{name}_table", *predictions):
        assert f'id="{artifact}"' in page
    # Other data are other runs.
    with (own / data).open("ab") as file:
        file.write(b"\n")
    done = snakemake(folder, "--configfile", f"examples/{name}/config.yaml", "--dry-run", "--quiet", "rules")
    assert sum(trained(planned(done.stdout + done.stderr)).values()) == 18
