"""Paper grids take the released code's choices where published numbers stand beside them."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from replication.settings.config import Config
from replication.settings.grid import Grid, load_grid
from replication.settings.spec import RunSpec


@pytest.fixture(scope="module")
def paper(root) -> Grid:
    """Every experiment that has a paper scale."""
    names = [path.stem for path in (root / "experiments").glob("*.yaml") if "\n  paper:\n" in path.read_text()]
    return load_grid(root, Config.from_mapping({"scale": "paper", "experiments": sorted(names)}, root))


def runs(paper: Grid, experiment: str) -> Iterable[RunSpec]:
    return paper.experiments[experiment].runs.values()


def test_no_transposed_convolution_counts(paper):
    upsampling = {run.model: run.model_options for run in paper.runs.values() if run.model.startswith(("unet", "dpot"))}
    assert {"unet-released", "dpot-tiny", "dpot-small"} <= set(upsampling)
    assert {
        name for name, options in upsampling.items() if options.get("spectra", {}).get("transposed") != "skip"
    } == set()


def test_the_published_stable_rank_is_of_the_upper_half(paper):
    ranks = [run for run in runs(paper, "table24_ablation_sciml") if run.method == "tb-stable-rank"]
    assert ranks
    assert {run.method_options["balance"]["metric"] for run in ranks} == {"stable_rank_released"}
