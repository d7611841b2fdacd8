"""The pipeline end to end at smoke size: real data, real training, every figure."""

from __future__ import annotations

import json
import os

import numpy as np
import pandas as pd
import pytest
from planning import planned, records, trained

SMOKE = ("--config", "scale=smoke")
FIGURES = (
    "fig1_esd",
    "fig2_alpha_std_nlp",
    "fig3_glue_ratio",
    "fig4_cfd_ratio",
    "fig6_alpha_std_sciml",
    "fig7_alpha_std_tb_nlp",
    "fig8_alpha_std_tb_sciml",
    "predictions_1d",
    "predictions_2d",
)


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_made_as_png_and_pdf(smoke, name):
    assert (smoke / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert (smoke / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")


def test_a_rollout_is_animated_and_plays_in_the_report(smoke):
    assert (smoke / "figures/rollout_2d.gif").read_bytes().startswith(b"GIF89a")
    assert 'data-player="rollout_2d"' in (smoke / "results/report.html").read_text()


def test_operators_keep_sample_predictions_and_text_runs_have_none(smoke):
    for path in records(smoke):
        family = json.loads(path.read_text())["run"]["family"]
        assert (path.parent / "predictions.npz").is_file() == (family == "sciml"), path


def test_every_run_has_its_files(smoke):
    found = records(smoke)
    assert len(found) >= 12
    for path in found:
        for name in ("history.csv", "spectra.csv", "layers.csv", "eigenvalues.npz", "model.safetensors"):
            assert (path.parent / name).stat().st_size > 0, path.parent / name


def test_every_row_of_results_carries_provenance(smoke):
    tables = sorted((smoke / "results").glob("*/runs.csv"))
    assert tables
    for path in tables:
        table = pd.read_csv(path)
        for column in ("config_hash", "git_commit", "device", "seed", "wall_s", "pkg_torch", "python"):
            assert table[column].notna().all(), (path, column)
        assert set(table["status"]) <= {"finished", "diverged"}


def test_eigenvalues_are_those_of_the_saved_weights(smoke):
    from safetensors.numpy import load_file

    path = next(path for path in records(smoke) if "/fno/" in str(path) or "/unet/" in str(path))
    weights = load_file(path.parent / "model.safetensors")
    with np.load(path.parent / "eigenvalues.npz", allow_pickle=False) as arrays:
        layers = [key.removeprefix("last/") for key in arrays.files if key.startswith("last/")]
        dense = next(name for name in layers if weights.get(f"{name}.weight", np.empty(0)).ndim == 2)
        expected = np.linalg.svd(weights[f"{dense}.weight"].astype(np.float64), compute_uv=False) ** 2
        found = np.sort(arrays[f"last/{dense}"])[::-1]
    np.testing.assert_allclose(found, expected[: len(found)], rtol=1e-4, atol=1e-5 * expected[0])


def test_balanced_runs_move_rates_and_baselines_do_not(smoke):
    for path in records(smoke):
        record = json.loads(path.read_text())
        spectra = pd.read_csv(path.parent / "spectra.csv")
        spread = spectra.dropna(subset=["lr", "alpha"]).groupby("epoch")["lr"].nunique()
        if record["run"]["method_options"].get("balance"):
            assert spread.max() > 1, path
        else:
            assert spread.max() == 1, path


@pytest.mark.parametrize("more", [(), ("report_to=wandb",)])
def test_a_second_call_has_nothing_to_do(smoke, snakemake, more):
    done = snakemake(smoke, *SMOKE, *more)
    assert done.returncode == 0
    assert "Nothing to be done" in done.stdout + done.stderr


def test_damaged_figures_tables_and_report_are_made_again(smoke, snakemake):
    names = ["figures/fig4_cfd_ratio.png", "figures/forest.pdf", "results/tables/verdicts.md", "results/report.html"]
    before = {smoke / name: (smoke / name).read_bytes() for name in names}
    for path, content in before.items():
        path.write_bytes(content[:-7])
    done = snakemake(smoke, *SMOKE)
    assert done.returncode == 0, done.stderr[-5000:]
    for name in names:
        assert f"{name}: has {len(before[smoke / name]) - 7} bytes" in done.stderr
    assert {path: path.read_bytes() for path in before} == before
    assert "train_" not in done.stderr


def test_a_changed_seed_redoes_only_what_depends_on_it(smoke, snakemake):
    record = next(path for path in records(smoke) if "/fno/1dcfd" in str(path))
    kept, before = record.read_text(), record.stat()
    record.write_text(kept + "\n")
    # Times of a job's files lie together. A record whose time stands alone is looked at, and found unharmed.
    files = [path for path in record.parent.iterdir() if path.is_file()]
    for path in files:
        os.utime(path)
    try:
        jobs = planned(snakemake(smoke, *SMOKE, "-n").stdout)
    finally:
        record.write_text(kept)
        for path in files:
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert jobs["spectra"] == 1
    assert jobs["collect"] == 1
    assert jobs["report"] == 1
    assert not trained(jobs)
    assert not {"simulate", "subset", "prepare_text"} & set(jobs)
    figures_and_tables = jobs["figure"] + jobs["table"]
    assert 0 < figures_and_tables < len(FIGURES), "the language figures do not depend on a flow run"


def test_another_configuration_of_one_cell_trains_that_cell_alone(smoke, snakemake):
    overlay = smoke / "overlay.yaml"
    overlay.write_text("models: {unet-small: {init_features: 4}}\n")
    jobs = planned(snakemake(smoke, "--configfile", str(overlay), *SMOKE, "-n").stdout)
    cells = {path.parents[1] for path in records(smoke) if "/unet-small/" in str(path)}
    assert sum(trained(jobs).values()) == len(cells)
    assert not [name for name in trained(jobs) if "nlp" in name]


def test_one_figure_can_be_asked_for(smoke, snakemake):
    (smoke / "figures" / "fig4_cfd_ratio.pdf").unlink()
    done = snakemake(smoke, "figures/fig4_cfd_ratio.pdf", *SMOKE)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (smoke / "figures" / "fig4_cfd_ratio.pdf").is_file()


def test_numbers_on_the_command_line_are_numbers(snakemake, tmp_path):
    given = ("experiments=[table24_ablation_sciml]", "seeds=[7,8,9]", "only={seed: [7, 9], ratio: [1.0]}")
    done = snakemake(tmp_path, "-n", "--quiet", "rules", *SMOKE, *given)
    assert done.returncode == 0, done.stdout + done.stderr
    assert trained(planned(done.stdout)) == {"train_sciml_7_9": 1}


def test_the_paper_scale_plans_its_whole_grid(snakemake, root, tmp_path):
    from dataclasses import replace

    from replication.settings.config import read_config
    from replication.settings.grid import load_grid

    grid = load_grid(root, replace(read_config(root / "config.yaml", root), scale="paper"))
    done = snakemake(tmp_path, "-n", "--quiet", "rules", "--config", "scale=paper")
    assert done.returncode == 0, done.stderr[-3000:]
    jobs = planned(done.stdout)
    assert sum(trained(jobs).values()) == len({run.id for run in grid.runs.values()})


def test_snakemake_writes_its_own_report(smoke, snakemake):
    done = snakemake(smoke, *SMOKE, "--report", "own-report.html")
    assert done.returncode == 0, done.stderr[-3000:]
    page = (smoke / "own-report.html").read_text()
    for name in ("fig4_cfd_ratio.png", "verdicts.csv", "fig1_esd.png"):
        assert name in page


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--config", "scale=huge"), "'scale' is 'huge', expected one of smoke, demo, desk, paper"),
        (("--config", "sclae=demo"), "did you mean 'scale'"),
        (("--config", "seeds=[1,1]"), "seeds"),
    ],
)
def test_a_bad_configuration_ends_before_any_job(snakemake, tmp_path, arguments, words):
    done = snakemake(tmp_path, *arguments)
    text = done.stdout + done.stderr
    assert done.returncode != 0
    assert words in text
    assert "Traceback" not in text
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("runs_per_job", [0, 1])
def test_a_pretraining_has_its_own_rule_however_runs_share_jobs(snakemake, tmp_path, runs_per_job):
    done = snakemake(tmp_path, "-n", "--config", 'experiments=["table2_dpot"]', f"runs_per_job={runs_per_job}")
    assert done.returncode == 0, done.stderr
    assert planned(done.stdout)["pretrain"] == 1
