"""Keep the record: ``python docs/make_record.py RESULTS FIGURES`` copies what its runs made and fills docs/record.md.

Without folders only the page's tables are made again, from docs/record/.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pandas as pd

DOCS = Path(__file__).parent
PAGE, FOLDER = DOCS / "record.md", DOCS / "record"
SEARCH, RUNS = "record_search", ("record_flow", "record_darcy")
PICTURES = ("fig4_cfd_ratio", "fig8_alpha_std_tb_sciml", "gain_map")
BLOCK = re.compile(r"(?<=<!-- begin (\w+) -->\n).*?(?=<!-- end -->)", re.S)


def keep(results: Path, figures: Path) -> None:
    """Copy tables and pictures of the record's experiments; what was not run is left as it is."""
    FOLDER.mkdir(exist_ok=True)
    parts = [pd.read_csv(path) for name in RUNS if (path := results / name / "runs.csv").is_file()]
    if parts:
        pd.concat(parts, ignore_index=True).to_csv(FOLDER / "runs.csv", index=False)
    found = {
        "search.csv": results / SEARCH / "trials.csv",
        "gains.csv": results / "tables/gains.csv",
        "verdicts.csv": results / "tables/verdicts.csv",
        "measured.csv": results / "tables/measured.csv",
        "gain_map.csv": figures / "gain_map.csv",
        **{f"{name}.png": figures / f"{name}.png" for name in PICTURES},
    }
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
    """Validation and test error of every candidate."""
    table = read("search.csv")
    shown = ["method", "trial", "seeds", *(name for name in table if name.startswith("mean_")), "chosen"]
    return markdown(table[shown])


def provenance() -> str:
    """One row per commit, machine and versions: runs and their hours."""
    keys = ["git_commit", "device", "python", "pkg_torch", "pkg_neuraloperator"]
    runs = read("runs.csv")
    table = runs.groupby(keys).agg(runs=("seed", "size"), hours=("wall_s", lambda s: s.sum() / 3600)).reset_index()
    table["git_commit"] = table["git_commit"].str[:10]
    return markdown(table.rename(columns={name: name.removeprefix("pkg_") for name in keys}))


def read(name: str) -> pd.DataFrame:
    """A table of the record."""
    return pd.read_csv(FOLDER / name)


def markdown(table: pd.DataFrame) -> str:
    """A table for the page."""
    return table.to_markdown(index=False, floatfmt=".4g", missingval="") + "\n"


TABLES = {"errors": errors, "gains": gains, "search": search, "provenance": provenance}


def page() -> str:
    """The page with its tables made from docs/record/."""
    return BLOCK.sub(lambda block: TABLES[block[1]](), PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    if len(sys.argv) == 3:
        keep(Path(sys.argv[1]), Path(sys.argv[2]))
    elif len(sys.argv) != 1:
        sys.exit("usage: python docs/make_record.py [RESULTS FIGURES]")
    PAGE.write_text(page(), encoding="utf-8")
