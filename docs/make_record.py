"""Keep the record: ``python docs/make_record.py RESULTS FIGURES ...`` copies what its runs made and fills its pages.

The pages are docs/record.md and README.md. Without folders only their tables are made again, from docs/record/.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import pandas as pd

DOCS = Path(__file__).parent
PAGES, FOLDER = (DOCS / "record.md", DOCS.parent / "README.md"), DOCS / "record"
SEARCH, RUNS = "record_search", "record_flow"
PICTURES = ("fig4_cfd_ratio", "fig8_alpha_std_tb_sciml", "gain_map")
BLOCK = re.compile(r"(<!-- begin (\w+) -->\n).*?(<!-- end -->)", re.S)


def keep(results: Path, figures: Path) -> None:
    """Copy tables and pictures of the record's experiments; what was not run is left as it is."""
    FOLDER.mkdir(exist_ok=True)
    found = {
        "runs.csv": results / RUNS / "runs.csv",
        "search.csv": results / SEARCH / "trials.csv",
        "gain_map.csv": figures / "gain_map.csv",
        **{f"{name}.png": figures / f"{name}.png" for name in PICTURES},
    }
    if (results / RUNS).is_dir():
        found |= {f"{name}.csv": results / f"tables/{name}.csv" for name in ("gains", "measured", "verdicts")}
    for name, path in found.items():
        if path.is_file():
            shutil.copyfile(path, FOLDER / name)


def errors() -> str:
    """One row per cell: our error, the best trivial predictor's, and the published one."""
    runs = read("runs.csv")
    keys = ["model", "dataset", "ratio", "method"]
    cells = runs.groupby(keys, sort=False).agg(
        model_title=("model_title", "first"), dataset_title=("dataset_title", "first"), samples=("n_train", "first"),
        method_title=("method_title", "first"), seeds=("seed", "nunique"), mean=("score", "mean"),
        sd=("score", lambda scores: scores.std(ddof=0)), undiluted=("test_selected_nrmse_rollout", "mean"),
        trivial=("trivial_score", "first"), predictor=("trivial", "first"), alpha_std=("alpha_std", "mean"),
    )  # fmt: skip
    published = read("measured.csv").set_index(keys)[["published", "published_sd"]]
    table = cells.join(published).reset_index()
    shown = pd.DataFrame({
        "model": table["model_title"], "data": table["dataset_title"],
        "ratio": [f"{100 * ratio:g} %" for ratio in table["ratio"]], "samples": table["samples"],
        "method": table["method_title"], "seeds": table["seeds"], "nRMSE": _pm(table["mean"], table["sd"]),
        "best trivial": [f"{row.trivial:.3f} ({row.predictor})" for row in table.itertuples()],
        "published": _pm(table["published"], table["published_sd"]),
        "nRMSE of predicted frames": table["undiluted"].map("{:.3f}".format),
        "STD(α)": table["alpha_std"].map("{:.2f}".format),
    })  # fmt: skip
    return markdown(shown)


def _pm(means: pd.Series, deviations: pd.Series) -> list[str]:
    pairs = zip(means, deviations, strict=True)
    return ["" if pd.isna(mean) else f"{mean:.4f} ± {sd:.4f}" for mean, sd in pairs]


def gains() -> str:
    """One row per comparison: the paired gain with its interval, and the published gain."""
    table = read("gains.csv")
    table["interval"] = [
        f"{low:+.1f} to {high:+.1f}" for low, high in zip(table["ci_low"], table["ci_high"], strict=True)
    ]
    table["ratio"] = [f"{100 * ratio:g} %" for ratio in table["ratio"]]
    table["gain, %"] = table["gain"].map("{:+.1f}".format)
    table["published, %"] = table["published"].map("{:+.1f}".format)
    names = {"model_title": "model", "dataset_title": "data", "n": "pairs"}
    return markdown(table[[*names, "ratio", "gain, %", "interval", "published, %"]].rename(columns=names))


def search() -> str:
    """Validation error of every candidate: rates down, s across; the chosen ones are bold."""
    table = read("search.csv")
    values = table["trial"].map(json.loads)
    table = table.assign(
        lr=[value["lr"] for value in values],
        method=[f"TB, s = {value['s']:g}" if "s" in value else "baseline" for value in values],
        shown=[
            f"**{row.mean_validation:.4f}**" if row.chosen else f"{row.mean_validation:.4f}"
            for row in table.itertuples()
        ],
    )
    return markdown(table.pivot_table("shown", "lr", "method", aggfunc="first").reset_index())


def provenance() -> str:
    """One row per commit, machine and versions: runs and their hours."""
    keys = ["git_commit", "device", "python", "pkg_torch", "pkg_neuraloperator"]
    runs = read("runs.csv")
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


TABLES = {"errors": errors, "gains": gains, "search": search, "provenance": provenance}


def filled(page: Path) -> str:
    """A page with its tables made from docs/record/."""
    return BLOCK.sub(lambda block: f"{block[1]}\n{TABLES[block[2]]()}\n{block[3]}", page.read_text(encoding="utf-8"))


if __name__ == "__main__":
    folders = [Path(name) for name in sys.argv[1:]]
    if len(folders) % 2:
        sys.exit("usage: python docs/make_record.py [RESULTS FIGURES ...]")
    for results, figures in zip(folders[::2], folders[1::2], strict=True):
        keep(results, figures)
    for page in PAGES:
        page.write_text(filled(page), encoding="utf-8")
