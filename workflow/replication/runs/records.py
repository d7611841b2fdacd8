"""Records of runs read back as tidy tables: one row a run."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replication.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

IDENTITY = ("experiment", "family", "scale", "model", "dataset", "ratio", "n_train", "method", "trial", "seed")


def read_record(path: Path) -> dict[str, Any]:
    """A run's ``metrics.json``. Raises DataError where it is missing or damaged."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        record["run"]["experiment"], record["metrics"], record["status"], record["primary"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not a run's record ({error}); delete it and run again") from None
    return record


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def run_row(path: Path) -> dict[str, Any]:
    """One run's record as a flat row.

    The run's own place in the tree decides its experiment: a run shared by two experiments is trained once.
    """
    record = read_record(path)
    run = record["run"]
    experiment, *_ = _place(path)
    metrics = record["metrics"]
    primary = record["primary"]

    def score(split: str, which: str) -> float:
        return _number(((metrics.get(split) or {}).get(which) or {}).get(primary))

    row: dict[str, Any] = {
        "experiment": experiment,
        **{key: run[key] for key in ("family", "scale", "model", "dataset", "ratio")},
        "n_train": record["n_train"],
        "method": run["method"],
        "trial": json.dumps(run["trial"], sort_keys=True) if run["trial"] else "",
        "seed": run["seed"],
        "stand_in": run["stand_in"],
        "published_dataset": run["dataset_options"].get("published_as", run["dataset"]),
        "published_model": run["model_options"].get("published_as", run["model"]),
        "published_method": run["method_options"].get("published_as", run["method"]),
        **{f"{kind}_title": run[f"{kind}_options"].get("title", run[kind]) for kind in ("model", "dataset", "method")},
        "status": record["status"],
        "diverged_epoch": record.get("diverged_epoch"),
        "metric": primary,
        "higher_is_better": record["higher_is_better"],
        "score": score("test", "selected"),
        "score_final": score("test", "final"),
        "score_paper": score("test", "paper"),
        "val_score": score("val", "selected"),
        "selected_epoch": record.get("selected_epoch"),
        "epochs": record.get("epochs"),
    }
    for name, value in ((metrics.get("test") or {}).get("selected") or {}).items():
        row[f"test_selected_{name}"] = value
    provenance = record["provenance"]
    row.update(
        n_parameters=record.get("n_parameters"),
        wall_s=record["wall_s"],
        peak_memory_mb=record["peak_memory_mb"],
        config_hash=record["config_hash"],
        git_commit=provenance["git_commit"],
        device=provenance["device"],
        python=provenance["python"],
        hyper=json.dumps(run["hyper"], sort_keys=True),
        **{f"pkg_{name}": version for name, version in provenance["packages"].items()},
    )
    return row


def _place(path: Path) -> tuple[str, ...]:
    # <experiment>/<model>/<dataset>/ratio=<r>/<method>/seed=<s>/metrics.json
    return path.parts[-7:-1]


def alpha_summary(layers: pd.DataFrame, family: str) -> dict[str, float]:
    """Mean and standard deviation of alpha over layers, and over the means of blocks (both ``ddof=0``).

    Of a language model only the layers of its blocks count, as in the released code: no pooler, no classifier.
    """
    if family == "nlp":
        layers = layers.dropna(subset=["block"])
    alphas = layers["alpha"].dropna()
    blocks = layers.dropna(subset=["alpha"]).groupby("block", dropna=True)["alpha"].mean()
    return {
        "alpha_mean": float(alphas.mean()) if len(alphas) else math.nan,
        "alpha_std": float(alphas.std(ddof=0)) if len(alphas) else math.nan,
        "alpha_std_block": float(blocks.std(ddof=0)) if len(blocks) else math.nan,
    }


def runs_table(records: Sequence[Path]) -> pd.DataFrame:
    """The tidy table of runs, sorted; ``layers.csv`` beside a record adds the summary of alpha."""
    import pandas as pd

    rows = []
    for path in records:
        row = run_row(path)
        layers = path.parent / "layers.csv"
        if layers.is_file():
            row.update(alpha_summary(pd.read_csv(layers), row["family"]))
        rows.append(row)
    frame = pd.DataFrame(rows)
    return frame.sort_values([key for key in IDENTITY if key in frame], ignore_index=True)


def stacked_table(records: Iterable[Path], name: str) -> pd.DataFrame:
    """One file of every run (such as ``layers.csv``) below each other, with the runs' identity."""
    import pandas as pd

    frames = []
    for path in records:
        source = path.parent / name
        try:
            frame = pd.read_csv(source)
        except pd.errors.EmptyDataError:
            continue
        except (OSError, pd.errors.ParserError) as error:
            raise DataError(f"{source}: cannot be read ({error}); delete {path} and run again") from None
        row = run_row(path)
        for position, key in enumerate(("experiment", "model", "dataset", "ratio", "n_train", "method", "seed")):
            frame.insert(position, key, row[key])
        frames.append(frame)
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
