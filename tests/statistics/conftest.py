"""Pages of the report from synthetic runs, made once for all tests that read them or open them in a browser."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from replication.figures.data import FigureData
from replication.figures.rollout import Animation
from replication.report.render import to_html, to_latex
from replication.report.report import Sources, render
from replication.report.tables import build_table
from replication.runs.predictions import error_table, read_rollout
from replication.settings.paths import RunPath
from replication.statistics.cells import read_runs, read_stacked
from replication.statistics.estimates import estimate_table
from replication.statistics.overview import gain_table, measured_table
from replication.statistics.published import read_published
from replication.statistics.trivial import join_trivial
from replication.statistics.verdicts import verdict_table
from synthetic_tables import shipped_index, synthetic_rollout, synthetic_runs, tiny_png, write_experiment


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="session")
def sources(folder, root) -> Sources:
    runs = synthetic_runs(diverged=((0.01, "tb", 37),))
    runs["model_title"] = "</script><b>Toy & model</b>"
    write_experiment(folder, runs)
    index = shipped_index(root)
    plan = index.plan(["fig3_glue_ratio"], scale="smoke")
    published = read_published(root / "workflow/resources/published_results.csv")
    trivial = pd.DataFrame({"dataset": "synthetic", "predictor": "majority", "metric": "accuracy", "value": [0.71]})
    table = join_trivial(read_runs([folder / "fig3_glue_ratio/runs.csv"]), [trivial])
    artifacts = [*plan.figures.values(), *plan.tables.values()]
    for name in plan.figures:
        figure = FigureData(plan.figures[name], table, read_stacked([folder / "fig3_glue_ratio/layers.csv"]))
        figure.table().to_csv(folder / f"{name}.csv", index=False)
    for name, artifact in plan.tables.items():
        shown, tidy = build_table(artifact, table, published)
        tidy.to_csv(folder / f"{name}.csv", index=False)
        (folder / f"{name}.html").write_text(to_html(shown))
        (folder / f"{name}.tex").write_text(to_latex(shown))
    read = {name: read_stacked([folder / f"fig3_glue_ratio/{name}.csv"]) for name in ("layers", "spectra", "history")}
    return Sources(
        scale="smoke", runs=table, **read, verdicts=verdict_table(table, published, artifacts),
        gains=gain_table(table, published, artifacts), measured=measured_table(table, published, artifacts),
        estimates=estimate_table(table, published, artifacts), trivial=trivial,
        forest=tiny_png(folder / "forest.png"), agreement=tiny_png(folder / "agreement.png"),
        figures={name: tiny_png(folder / f"{name}.png") for name in plan.figures},
        tables={name: folder / f"{name}.csv" for name in plan.tables},
        eigenvalues=sorted(folder.glob("runs/**/eigenvalues.npz")), missing=plan.missing,
    )  # fmt: skip


@pytest.fixture(scope="session")
def page(sources, root) -> str:
    return render(shipped_index(root), sources, root / "workflow/report/template.html.j2")


@pytest.fixture(scope="session")
def explored(sources, root) -> str:
    """A page with a flow of the paper's own setting too: diluted scores, Fourier bands, published values."""
    runs = synthetic_runs(
        "fig4_cfd_ratio", "sciml", models=("fno",), datasets=("flow",), methods=("baseline", "tb"), stand_in=""
    )
    bands = {
        f"test_selected_frmse_{band}": runs["score"] * part for band, part in (("low", 3), ("mid", 2), ("high", 1))
    }
    runs = runs.assign(
        test_selected_nrmse_rollout=2 * runs["score"], **bands, trivial="persistence", trivial_score=0.2,
        trivial_undiluted=0.4,
    )  # fmt: skip
    measured = pd.DataFrame({
        "model": "fno", "dataset": "flow", "ratio": [0.01, 0.05], "method": ["baseline", "tb"],
        "published": [0.19, 0.07], "published_sd": [0.01, np.nan], "published_undiluted": [0.38, 0.14], "stand_in": "",
    })  # fmt: skip
    own = replace(sources, runs=pd.concat([sources.runs, runs], ignore_index=True), measured=measured)
    return render(shipped_index(root), own, root / "workflow/report/template.html.j2")


@pytest.fixture(scope="session")
def played(sources, folder, root) -> str:
    """A page with a figure of sample predictions and an animation of three frames."""
    gif = folder / "rollout_2d.gif"
    shades = [Image.new("P", (300, 200), shade) for shade in (1, 2, 3)]
    for shade in shades:
        shade.putpalette([0, 0, 0, 200, 0, 0, 0, 200, 0, 0, 0, 200])
    Animation(shades, [f"t = {number}: TB <b>0.{number}</b>" for number in (1, 2, 3)]).save(gif)
    runs = synthetic_runs(
        "fig4_cfd_ratio", "sciml", datasets=("flow",), ratios=(0.1,), methods=("baseline", "tb"), seeds=(1,)
    )
    predictions = [synthetic_rollout(folder / f"runs/{run}/predictions.npz", 2) for run in runs["run"]]
    rollouts = {RunPath.of(path): read_rollout(path) for path in predictions}
    error_table(runs, rollouts).to_csv(folder / "predictions_2d.csv", index=False)
    own = replace(
        sources, runs=pd.concat([sources.runs, runs], ignore_index=True),
        animations={"rollout_2d": gif},
        figures={**sources.figures, "predictions_2d": tiny_png(folder / "predictions_2d.png")},
    )  # fmt: skip
    return render(shipped_index(root), own, root / "workflow/report/template.html.j2")
