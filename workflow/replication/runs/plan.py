"""What a configuration would train: runs, hours and disk space by model and data set, and what it needs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replication.runs.records import RECORD, read_record
from replication.settings.artifacts import FLOW_DIMENSIONS
from replication.settings.checks import Options
from replication.settings.grid import Grid
from replication.settings.paths import RUNS
from replication.settings.spec import RunSpec

if TYPE_CHECKING:
    import pandas as pd

CELL = ["model", "dataset"]


def read_finished(grid: Grid, results: Path) -> pd.DataFrame:
    """Every finished training of the grid's models on its data sets, in the grid or not, one row each.

    ``bytes`` is the size of its files (NaN if not recorded), ``run`` its path below the folder of runs.

    Raises DataError for a damaged record.
    """
    import pandas as pd

    rows = []
    for model, dataset in sorted({(run.model, run.dataset) for run in grid.trainings.values()}):
        for path in sorted((results / RUNS / model / dataset).glob(f"ratio=*/*/*/seed=*/{RECORD}")):
            record = read_record(path)
            sizes = [written["bytes"] for written in record.get("files", {}).values()]
            rows.append({
                "model": model, "dataset": dataset, "ratio": float(record["run"]["ratio"]),
                "epochs": int(record["epochs"]), "seconds": float(record["wall_s"]),
                "bytes": float(sum(sizes)) if sizes else math.nan,
                "run": path.parent.relative_to(results / RUNS).as_posix(),
            })  # fmt: skip
    return pd.DataFrame(rows, columns=[*CELL, "ratio", "epochs", "seconds", "bytes", "run"])


def recorded_seconds(run: RunSpec, finished: pd.DataFrame) -> float:
    """Seconds that a run takes, estimated from the finished runs of its model and data set; NaN if there are none.

    The mean over the runs at the nearest ratio, scaled in proportion to epochs and rows.
    """
    alike = finished[(finished["model"] == run.model) & (finished["dataset"] == run.dataset)]
    if alike.empty:
        return math.nan
    distance = (alike["ratio"] / run.ratio).map(lambda times: abs(math.log(times)))
    near = alike[distance == distance.min()]
    updates = near["epochs"] * near["ratio"]
    return float((near["seconds"] * run.hyper["epochs"] * run.ratio / updates).mean())


def work_of(run: RunSpec) -> float:
    """Work of a training: epochs, times training samples, times predicted values per sample.

    It is comparable between runs of a family. If the catalogue does not tell how large a data set is, the samples are a
    share of the pool, and the work is comparable between runs on that data set only.
    """
    options = run.dataset_options
    pool = options.get("samples", 1) - options.get("test_samples", 0) - options.get("validation_samples", 0)
    stride = options.get("strides", {}).get(f"{run.ratio:g}", 1 / run.ratio)
    cells = (options.get("stored_cells") or options.get("cells", 1)) / options.get("reduced_resolution", 1)
    dimensions = FLOW_DIMENSIONS.get(options.get("pde", ""), 2)
    frames = max(options.get("frames", 1) - run.hyper.get("initial_steps", 10), 1)
    return float(run.hyper["epochs"] * max(pool, 1) / stride * cells**dimensions * frames)


def plan_table(grid: Grid, finished: pd.DataFrame, limits: Mapping[str, float]) -> pd.DataFrame:
    """A row for each model and data set, and a total.

    Args:
        grid: the configured runs.
        finished: :func:`read_finished`.
        limits: rule (``train_nlp``, ``train_sciml``, ``pretrain``) -> time limit in minutes. The rule of thumb, if
            nothing is recorded: training on the whole pool takes the limit, training on a share of it that share.

    Returns the numbers of ``trainings`` (with pretrainings), ``trials`` (settings that differ in more than the seed)
    and ``finished`` trainings, ``hours`` for the others, where these are ``from``, and ``GB`` of all (NaN: unknown).
    """
    import pandas as pd

    done, rows = set(finished["run"]), []
    for path, run in grid.trainings.items():
        seconds = recorded_seconds(run, finished)
        known = math.isfinite(seconds)
        left = path not in done
        limit = limits["pretrain" if path in grid.pretrainings else f"train_{run.family}"]
        rows.append({
            "model": run.model, "dataset": run.dataset, "id": run.id, "finished": not left,
            "hours": left * (seconds / 3600 if known else limit / 60 * run.ratio),
            "from": "finished runs" if known else "rule of thumb",
        })  # fmt: skip
    cells = pd.DataFrame(rows).groupby(CELL, sort=False)
    table = cells.agg(**{
        "trainings": ("id", "size"), "trials": ("id", "nunique"), "finished": ("finished", "sum"),
        "hours": ("hours", "sum"), "from": ("from", "first"),
    })  # fmt: skip
    table["GB"] = finished.groupby(CELL)["bytes"].mean().reindex(table.index) * table["trainings"] / 1e9
    sums = table[["trainings", "trials", "finished", "hours", "GB"]].sum(min_count=1)
    return pd.concat([table.reset_index(), pd.DataFrame([{"model": "all", "dataset": "", **sums, "from": ""}])]).astype(
        dict.fromkeys(["trainings", "trials", "finished"], int)
    )


def needs_table(grid: Grid, results: Path) -> pd.DataFrame:
    """A row for each data set and model: where it comes from, and whether it is ``there`` (yes, no, download)."""
    import pandas as pd

    rows = []
    for name, options in grid.datasets.items():
        made = results / "data" / name / ("prepared" if grid.families[name] == "nlp" else "data.h5")
        place = str(made) if made.exists() else grid.config.data_folders.get(name)
        rows.append(("data", name, *((place, _there(place)) if place else origin(options, "dataset"))))
    rows += [("model", name, *origin(options, "model")) for name, options in grid.models.items()]
    return pd.DataFrame(rows, columns=["kind", "id", "source", "there"])


def origin(options: Options, kind: str) -> tuple[str, str]:
    """Where a data set or model (``kind``) comes from, and whether it is there: yes, no, or download."""
    source: Any = options.get("source") or {}
    if source == "pdebench":
        return str(options["url"]), "download"
    if source == "simulate":
        return "simulated here", "yes"
    if "pretrain" in options:
        return f"pretrained here on {options['pretrain']['dataset']}", "yes"
    if "weights" in options:
        return str(options["weights"] or "weights under `models:` in config.yaml"), _there(options["weights"])
    if source == "file":
        source = {"file": options.get("file")}
    if packages := [part["package"] for part in source.get("parts", [source]) if "package" in part]:
        return f"package {', '.join(packages)}", "yes" if all(map(_installed, packages)) else "no"
    if paths := [*source.get("files", {}).values(), *(source[key] for key in ("file", "folder") if key in source)]:
        return ", ".join(map(str, paths)), "yes" if all(_there(path) == "yes" for path in paths) else "no"
    if "hub" in source:
        return f"hub {source['hub']}", "yes" if _cached(source["hub"], kind) else "download"
    return ("its folder, under `data_folders:` in config.yaml", "no") if kind == "dataset" else ("made here", "yes")


def _there(path: str | None) -> str:
    return "yes" if path and Path(path).expanduser().exists() else "no"


def _installed(package: str) -> bool:
    try:
        return bool(metadata.version(package))
    except metadata.PackageNotFoundError:
        return False


def _cached(name: str, kind: str) -> bool:
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.file_download import repo_folder_name

    return Path(HF_HUB_CACHE, repo_folder_name(repo_id=name, repo_type=kind)).is_dir()
