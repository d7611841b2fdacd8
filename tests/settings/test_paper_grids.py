"""Paper grids take the released code's choices where published numbers stand beside them."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from replication.settings.config import Config
from replication.settings.grid import Grid, load_grid
from replication.settings.spec import RunSpec
from synthetic_tables import shipped_index


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


def test_the_reviews_schedules_run_over_layers(paper):
    balances = [run.method_options["balance"] for run in runs(paper, "review_schedules")]
    units = {balance["schedule"]: balance.get("unit") for balance in balances}
    assert {schedule: unit for schedule, unit in units.items() if schedule != "fixed"} == {
        "sqrt": "layer", "log2": "layer", "exp": "layer",
    }  # fmt: skip
    assert units["fixed"] is None, "blocks, as the published TB"


def test_every_published_row_of_the_review_has_a_cell(paper, root):
    import pandas as pd

    published = pd.read_csv(root / "workflow/resources/published_results.csv").query("artifact == 'review'")
    label = {name: paper.labels("nlp", "method", name)["published_as"] for name in {
        run.method for run in runs(paper, "review_schedules")
    }}  # fmt: skip
    cells = {(label[run.method], run.ratio) for run in runs(paper, "review_schedules")}
    assert {*zip(published.method, published.ratio, strict=True)} == cells


def test_table_24s_linear_map_has_the_released_range(paper):
    maps = [run for run in runs(paper, "table24_ablation_sciml") if run.method == "tb-linear"]
    assert {(run.method_options["balance"]["min_ratio"], run.method_options["balance"]["slope"]) for run in maps} == {
        (0.6, 0.8)
    }


def test_squad_has_its_own_weight_decay_and_windows(paper):
    from replication.text import spans
    from replication.text.tasks import parse_task

    squad = list(runs(paper, "table16_squad"))
    assert {run.hyper["weight_decay"] for run in squad} == {0.01}
    found = {}
    columns = {"question": ["q"], "context": ["c"]}
    spans._windows(
        lambda *args, **options: found.update(options), parse_task(squad[0].dataset_options).max_length, columns
    )
    assert (found["max_length"], found["stride"]) == (384, 128)


#: Table 9 of the LoRA paper (arXiv 2106.09685), RoBERTa-base: epochs, batch size, base rate.
LORA_PAPER = {"sst2": (60, 16, 5e-4), "mnli": (30, 16, 5e-4), "qnli": (25, 32, 4e-4), "qqp": (25, 16, 5e-4)}


@pytest.mark.parametrize("dataset", sorted(LORA_PAPER))
def test_table_21_has_the_lora_papers_settings_and_the_line_search_of_appendix_d2(paper, dataset):
    mine = [run for run in runs(paper, "table21_lora") if run.dataset == dataset]
    epochs, batch, rate = LORA_PAPER[dataset]
    assert {(run.hyper["epochs"], run.hyper["batch_size"]) for run in mine} == {(epochs, batch)}
    assert {run.hyper["lr"] for run in mine} == {2e-4, rate, 6e-4}
    adapters = [run.method_options["lora"] for run in mine]
    assert {(lora["r"], lora["alpha"], lora["dropout"]) for lora in adapters} == {(8, 16, 0.05)}


def test_table_20_has_the_settings_of_appendix_d1(paper):
    from replication.text.tasks import parse_task

    superglue = list(runs(paper, "table20_superglue"))
    assert {run.hyper["lr"] for run in superglue} == {1e-5, 2e-5, 3e-5}
    assert {run.hyper["batch_size"] for run in superglue} == {16, 32}
    tasks = {run.dataset: parse_task(run.dataset_options) for run in superglue}
    assert {task.max_length for task in tasks.values()} == {128}
    assert (tasks["cb"].primary, tasks["multirc"].primary) == ("accuracy", "group_f1")


def test_table_2_has_the_settings_of_section_4_5(paper):
    tried = {(run.model, run.hyper["batch_size"], run.hyper["lr"]) for run in runs(paper, "table2_dpot")}
    sizes = {"dpot-tiny": 160, "dpot-small": 64}
    assert tried == {(name, size, rate) for name, size in sizes.items() for rate in (1e-3, 5e-4, 2.5e-4, 1e-4, 5e-5)}
    assert {(run.hyper["epochs"], run.hyper["step_size"]) for run in runs(paper, "table2_dpot")} == {(500, 50)}


def test_figure_2_reaches_all_rows_of_mnli_and_qnli(paper, root):
    figure = shipped_index(root).artifacts["fig2_alpha_std_nlp"]
    shown = [run for name in figure.experiments if name in paper.experiments for run in runs(paper, name)]
    largest = {dataset: max(run.ratio for run in shown if run.dataset == dataset) for dataset in ("mnli", "qnli")}
    assert largest == {"mnli": 1.0, "qnli": 1.0}


def test_what_cannot_be_fetched_is_left_out_with_the_reason(root):
    everything = load_grid(root, Config.from_mapping({"scale": "paper", "experiments": "all"}, root))
    for experiment, folder in (("fig5_domain", "hyperpartisan"), ("table22_scienceqa", "scienceqa")):
        assert folder in everything.skipped[experiment]
    needing = {name: options for name, options in everything.datasets.items() if not {"source", "url"} & set(options)}
    assert needing == {}, "every planned data set can be fetched"


def test_a_folder_brings_the_experiment_back(root):
    folders = {"scienceqa": "/somewhere"}
    grid = load_grid(root, Config.from_mapping({"scale": "paper", "experiments": "all", "data_folders": folders}, root))
    assert "table22_scienceqa" in grid.experiments
