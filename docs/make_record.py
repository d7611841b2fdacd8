"""Keep the record: ``python docs/make_record.py RESULTS FIGURES ...`` copies what its runs made and fills its pages.

The pages are docs/record.md, docs/sciml.md and README.md. Without folders only their tables are made again, from
docs/record/.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from replication.settings.artifacts import Artifact
from replication.settings.config import Config
from replication.settings.grid import load_grid
from replication.statistics.cells import ROLLOUT, predicted_frames_only
from replication.statistics.overview import gain_table, measured_table
from replication.statistics.published import UNDILUTED, read_published
from replication.statistics.verdicts import verdict_table

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
PAGES, FOLDER = (DOCS / "record.md", DOCS / "sciml.md", ROOT / "README.md"), DOCS / "record"
SEARCH, RUNS, CHECKS, DPOT = "record_search", ("record_flow", "record_darcy"), "record_checks", "table2_dpot"
PICTURES = ("fig4_cfd_ratio", "fig8_alpha_std_tb_sciml", "gain_map")
PUBLISHED = ROOT / "workflow/resources/published_results.csv"
CELL = ["model", "dataset", "ratio"]
BLOCK = re.compile(r"(<!-- begin (\w+) -->\n).*?(<!-- end -->)", re.S)


def keep(results: Path, figures: Path) -> None:
    """Copy tables and pictures of the record's experiments; what was not run is left as it is."""
    FOLDER.mkdir(exist_ok=True)
    found = {
        "search.csv": results / SEARCH / "trials.csv",
        "gain_map.csv": figures / "gain_map.csv",
        **{f"{name}.png": figures / f"{name}.png" for name in PICTURES},
    }
    for name, path in found.items():
        if path.is_file():
            shutil.copyfile(path, FOLDER / name)
    for name, experiments in (("runs.csv", RUNS), ("checks.csv", (CHECKS,)), ("dpot.csv", (DPOT,))):
        for experiment in experiments:
            if (path := results / experiment / "runs.csv").is_file():
                replace(name, experiment, pd.read_csv(path))
    for experiment in (*RUNS, CHECKS):
        if (path := results / experiment / "spectra.csv").is_file():
            replace("layers.csv", experiment, by_layer(pd.read_csv(path)))


def replace(name: str, experiment: str, rows: pd.DataFrame) -> None:
    """Put an experiment's rows into a table of the record in place of those that it has there."""
    path = FOLDER / name
    if path.is_file():
        kept = pd.read_csv(path)
        rows = pd.concat([kept[kept["experiment"] != experiment], rows], ignore_index=True)
    rows.sort_values("experiment", kind="stable").to_csv(path, index=False)


def by_layer(spectra: pd.DataFrame) -> pd.DataFrame:
    """Per layer: exponent before and after training, averaged over seeds, and its rate in units of the base rate.

    A layer without an exponent keeps the base rate; the FNO's last layer is one (three singular values at most).
    """
    keys = ["experiment", *CELL, "method", "layer"]
    epochs = [*CELL, "method", "seed", "epoch"]
    base = spectra[spectra["alpha"].isna()].drop_duplicates(epochs).set_index(epochs)["lr"].rename("base")
    factor = spectra["lr"] / spectra.join(base, on=epochs)["base"]
    table = spectra.assign(factor=factor).groupby(keys, sort=False).agg(factor=("factor", "mean")).reset_index()
    for name, epoch in (("alpha_start", spectra["epoch"].min()), ("alpha_end", spectra["epoch"].max())):
        alphas = spectra[spectra["epoch"] == epoch].groupby(keys)["alpha"].mean().rename(name)
        table = table.join(alphas, on=keys)
    return table


def judge() -> None:
    """Statistics of the runs of the record: gains, scores beside the published ones, verdicts."""
    published = read_published(PUBLISHED)
    makers = {"gains": gain_table, "measured": measured_table, "verdicts": verdict_table}
    runs, made = read("runs.csv"), artifacts(RUNS)
    for name, make in makers.items():
        make(runs, published, made).to_csv(FOLDER / f"{name}.csv", index=False)
    runs, made = read("checks.csv"), artifacts([CHECKS])
    for name in ("gains", "measured"):
        makers[name](runs, published, made).to_csv(FOLDER / f"checks_{name}.csv", index=False)


def artifacts(experiments: Sequence[str]) -> list[Artifact]:
    """The figures and tables that these experiments make."""
    grid = load_grid(ROOT, Config.from_mapping({"scale": "desk", "experiments": list(experiments)}, ROOT))
    plan = grid.index.plan(grid.experiments, scale="desk")
    return [*plan.figures.values(), *plan.tables.values()]


def errors() -> str:
    """One row per cell and method of the record."""
    return markdown(cells(read("runs.csv"), read("measured.csv")))


def checks() -> str:
    """One row per cell and method of the checks."""
    return markdown(cells(read("checks.csv"), read("checks_measured.csv")))


def cells(runs: pd.DataFrame, measured: pd.DataFrame) -> pd.DataFrame:
    """Our error, the best trivial predictor's, and the published one, all averaged as PDEBench does."""
    keys = [*CELL, "method"]
    divisor = runs["published_dataset"].map(UNDILUTED).where(predicted_frames_only(runs), 1.0)
    scores = runs[["score", "trivial_score"]].div(divisor, axis=0)
    runs = runs.assign(**scores, divisor=divisor)
    means = runs.groupby(keys, sort=False).agg(
        model_title=("model_title", "first"), dataset_title=("dataset_title", "first"), samples=("n_train", "first"),
        method_title=("method_title", "first"), seeds=("seed", "nunique"), mean=("score", "mean"),
        sd=("score", spread), undiluted=(ROLLOUT, "mean"),
        trivial=("trivial_score", "first"), predictor=("trivial", "first"), alpha_std=("alpha_std", "mean"),
        divisor=("divisor", "first"),
    )  # fmt: skip
    table = means.join(measured.set_index(keys)[["published", "published_sd"]]).reset_index()
    table[["published", "published_sd"]] = table[["published", "published_sd"]].div(table["divisor"], axis=0)
    return pd.DataFrame({
        "model": table["model_title"], "data": table["dataset_title"],
        "ratio": [f"{100 * ratio:g} %" for ratio in table["ratio"]], "samples": table["samples"],
        "method": table["method_title"], "seeds": table["seeds"], "nRMSE": _pm(table["mean"], table["sd"]),
        "best trivial": [f"{row.trivial:.3f} ({row.predictor.replace('_', ' ')})" for row in table.itertuples()],
        "published": _pm(table["published"], table["published_sd"]),
        "nRMSE of predicted frames": table["undiluted"].map("{:.3f}".format),
        "STD(α)": table["alpha_std"].map("{:.2f}".format),
    })  # fmt: skip


def spread(scores: pd.Series) -> float:
    """Standard deviation with ddof 0, as the paper prints it; NaN for one seed."""
    return float("nan") if len(scores) == 1 else float(scores.std(ddof=0))


def _pm(means: pd.Series, deviations: pd.Series) -> list[str]:
    both = [f"{mean:.4f} ± {sd:.4f}" for mean, sd in zip(means, deviations, strict=True)]
    return [text.removesuffix(" ± nan").removeprefix("nan") for text in both]


def gains() -> str:
    """One row per comparison of the record."""
    return markdown(comparisons(read("gains.csv")))


def checks_gains() -> str:
    """One row per comparison of the checks."""
    return markdown(comparisons(read("checks_gains.csv")))


def comparisons(table: pd.DataFrame, digits: int = 1) -> pd.DataFrame:
    """The paired gain with its interval, and the published gain."""
    return pd.DataFrame({
        "model": table["model_title"], "data": table["dataset_title"], "pairs": table["n"],
        "ratio": [f"{100 * ratio:g} %" for ratio in table["ratio"]],
        "gain, %": table["gain"].map(f"{{:+.{digits}f}}".format),
        "interval": [
            "one pair" if pd.isna(low) else f"{low:+.{digits}f} to {high:+.{digits}f}"
            for low, high in zip(table["ci_low"], table["ci_high"], strict=True)
        ],
        "published, %": table["published"].map("{:+.1f}".format),
    })  # fmt: skip


def layers() -> str:
    """One row per layer of the network: its exponents and TempBalance's rate, in both readings of Conv1d."""
    table = read("layers.csv").query("dataset == '1dcfd-sim256' and ratio == 0.006").dropna(subset="alpha_end")
    wide = table.pivot_table(["alpha_end", "factor"], "layer", ["model", "method"])
    wide = wide.reindex(table["layer"].unique())
    columns = {"layer": wide.index}
    for model, reading in (("fno-released", "released"), ("fno", "spectrum")):
        columns[f"{reading}: α, baseline"] = wide["alpha_end", model, "baseline"].map("{:.2f}".format).to_list()
        columns[f"{reading}: α, TB"] = wide["alpha_end", model, "tb"].map("{:.2f}".format).to_list()
        columns[f"{reading}: rate, TB"] = wide["factor", model, "tb"].map("{:.2f}".format).to_list()
    return markdown(pd.DataFrame(columns))


def search() -> str:
    """Validation error of every candidate: ratios and rates down, s across; the chosen ones are bold."""
    table = read("search.csv")
    values = table["trial"].map(json.loads)
    table = table.assign(
        lr=[f"{value['lr']:g}" for value in values],
        ratio=[f"{100 * ratio:g} %" for ratio in table["ratio"]],
        method=[f"TB, s = {value['s']:g}" if "s" in value else "baseline" for value in values],
        shown=[
            f"**{row.mean_validation:.4f}**" if row.chosen else f"{row.mean_validation:.4f}"
            for row in table.itertuples()
        ],
    )
    return markdown(table.pivot_table("shown", ["ratio", "lr"], "method", aggfunc="first").fillna("").reset_index())


def dpot() -> str:
    """Table 2's stand-in: one row per data ratio, smallest first."""
    runs = read("dpot.csv")
    means = runs.pivot_table("score", "ratio", "method")
    deviations = runs.pivot_table("score", "ratio", "method", aggfunc=spread)
    gains = comparisons(gain_table(runs, read_published(PUBLISHED), []), digits=2).set_index("ratio")
    table = {"ratio": [f"{100 * ratio:g} %" for ratio in means.index]}
    table["samples"] = runs.groupby("ratio")["n_train"].first().to_list()
    table["zero-shot"] = means["zero-shot"].map("{:.4f}".format).to_list()
    for method, title in (("scratch", "from scratch"), ("baseline", "baseline"), ("tb", "TB")):
        table[title] = _pm(means[method], deviations[method])
    for name in ("gain, %", "interval"):
        table[f"{name} of TB"] = gains.loc[table["ratio"], name].to_list()
    return markdown(pd.DataFrame(table))


def provenance() -> str:
    """One row per commit, machine and versions: runs and their hours."""
    keys = ["git_commit", "device", "python", "pkg_torch", "pkg_neuraloperator"]
    runs = pd.concat([read("runs.csv"), read("checks.csv")])
    table = runs.groupby(keys).agg(runs=("seed", "size"), hours=("wall_s", lambda s: s.sum() / 3600)).reset_index()
    table["git_commit"] = table["git_commit"].str[:10]
    table["hours"] = table["hours"].map("{:.2f}".format)
    return markdown(table.rename(columns={name: name.removeprefix("pkg_") for name in keys}))


def read(name: str) -> pd.DataFrame:
    """A table of the record."""
    return pd.read_csv(FOLDER / name)


def markdown(table: pd.DataFrame) -> str:
    """A table for the page."""
    return table.to_markdown(index=False, disable_numparse=True) + "\n"


TABLES = {make.__name__: make for make in (errors, gains, search, checks, checks_gains, layers, dpot, provenance)}


def filled(page: Path) -> str:
    """A page with its tables made from docs/record/."""
    return BLOCK.sub(lambda block: f"{block[1]}\n{TABLES[block[2]]()}\n{block[3]}", page.read_text(encoding="utf-8"))


if __name__ == "__main__":
    folders = [Path(name) for name in sys.argv[1:]]
    if len(folders) % 2:
        sys.exit("usage: python docs/make_record.py [RESULTS FIGURES ...]")
    for results, figures in zip(folders[::2], folders[1::2], strict=True):
        keep(results, figures)
    judge()
    for page in PAGES:
        page.write_text(filled(page), encoding="utf-8")
