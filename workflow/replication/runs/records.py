"""Records of runs read back as tidy tables: one row per run that an experiment shows."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replication.errors import DataError
from replication.runs.checkpoint import sha256
from replication.runs.select import Record, choose, metrics_of, score
from replication.settings.grid import Cell, Experiment, Grid
from replication.settings.hyper import resolved_hyper
from replication.settings.paths import RUNS, RunPath

if TYPE_CHECKING:
    import pandas as pd

#: The record of a finished run; it is published last.
RECORD = "metrics.json"
AGAIN = "snakemake trains the run again"
#: Columns of a stacked table that name the run of each row.
RUN_COLUMNS = ("experiment", "model", "dataset", "ratio", "n_train", "method", "seed")


def record_digest(record: Mapping[str, Any]) -> str:
    """Hash of a record without its own ``digest``; it shows whether the record was edited."""
    text = json.dumps({key: value for key, value in record.items() if key != "digest"})
    return hashlib.sha256(json.dumps(json.loads(text), sort_keys=True).encode()).hexdigest()[:16]


def read_record(path: Path) -> Record:
    """A run's ``metrics.json``. Raises DataError if it is missing, damaged or edited."""
    try:
        record: Record = json.loads(path.read_text(encoding="utf-8"))
        record["run"]["seed"], record["metrics"], record["status"], record["primary"], record["provenance"]
        changed = record_digest(record) != record.get("digest", record_digest(record))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise damaged(path, f"not a run's record ({error}); {AGAIN}") from None
    if changed:
        raise damaged(path, f"was changed after the run had written it; {AGAIN}")
    return record


def damaged(path: Path, problem: str) -> DataError:
    """The error for a damaged file. Renews the file's time, so that the workflow's next plan checks it."""
    with suppress(OSError):
        os.utime(path)
    return DataError(f"{path}: {problem}")


def check_file(path: Path, record: Record | None = None, *, content: bool = True) -> None:
    """Compare a file with what was written.

    Args:
        path: the file; a missing one is no error.
        record: its seal or its run's record, by default the record beside it; without one nothing is compared.
        content: compare the SHA-256 too, not the size alone.

    Raises DataError, naming the file, if it differs.
    """
    try:
        record = json.loads(path.with_name(RECORD).read_text(encoding="utf-8")) if record is None else record
        written, again = record["files"][path.name], record.get("again", AGAIN)
    except (OSError, ValueError, KeyError, TypeError):
        return
    if not path.is_file():
        return
    size = path.stat().st_size
    if size != written["bytes"]:
        raise damaged(path, f"has {size} bytes, {written['bytes']} were written, so it was damaged or changed; {again}")
    if content and sha256(path) != written["sha256"]:
        raise damaged(path, f"was damaged or changed after it had been written; {again}")


def experiment_tables(grid: Grid, experiment: Experiment, results: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The runs that an experiment shows, one row each, and all trials of its searched cells with their mean scores.

    Titles, stand-in text and published names are the configuration's, scores and provenance the records'.

    Raises DataError if a run's record is missing, or one of its files is damaged.
    """
    import pandas as pd

    folder = results / RUNS
    records = {path: read_record(folder / path / RECORD) for path in experiment.runs}
    for path, record in records.items():
        for name in record.get("files", {}):  # one that is missing is no error: weights may be deleted
            check_file(folder / path / name, record, content=False)
    rows: list[dict[str, Any]] = []
    trials: list[dict[str, Any]] = []
    for cell in experiment.cells:
        choice = choose(cell, records)
        if len(cell.trials) > 1:
            trials += choice.rows
        paper = {run.seed: records[run.path] for run in cell.trials[choice.paper].runs}
        rows += [
            {
                "experiment": experiment.name,
                "family": run.family,
                "scale": experiment.scale,
                **{name: getattr(run, name) for name in ("model", "dataset", "ratio", "method", "seed")},
                "trial": choice.rows[choice.trial]["trial"],
                "trial_paper": choice.rows[choice.paper]["trial"],
                "stand_in": experiment.stand_in,
                **_labels(grid, run.family, cell),
                **_scores(records[run.path]),
                "score_paper": score(paper.get(run.seed, records[run.path]), "test", "paper"),
                **alpha_summary(_read_csv(folder / run.path / "layers.csv", records[run.path]), run.family),
                **_facts(records[run.path]),
                "run": run.path,
            }
            for run in cell.trials[choice.trial].runs
        ]
    order = ["experiment", "model", "dataset", "ratio", "method", "seed"]
    return pd.DataFrame(rows).sort_values(order, ignore_index=True), pd.DataFrame(trials)


def _labels(grid: Grid, family: str, cell: Cell) -> dict[str, str]:
    labels = {kind: grid.labels(family, kind, getattr(cell, kind)) for kind in ("model", "dataset", "method")}
    return {
        **{f"{kind}_title": label["title"] for kind, label in labels.items()},
        **{f"published_{kind}": label["published_as"] for kind, label in labels.items()},
    }


def _scores(record: Record) -> dict[str, Any]:
    return {
        **{name: record.get(name) for name in ("n_train", "status", "diverged_epoch")},
        "metric": record["primary"],
        "higher_is_better": record["higher_is_better"],
        "score": score(record, "test", "selected"),
        "score_final": score(record, "test", "final"),
        "val_score": score(record, "val", "selected"),
        **{name: record.get(name) for name in ("selected_epoch", "epochs")},
        **{f"test_selected_{name}": value for name, value in metrics_of(record, "test", "selected").items()},
    }


def _facts(record: Record) -> dict[str, Any]:
    provenance, run = record["provenance"], record["run"]
    return {
        **{name: record.get(name) for name in ("n_parameters", "wall_s", "peak_memory_mb", "config_hash")},
        **{name: provenance[name] for name in ("git_commit", "device", "python")},
        "hyper": json.dumps(resolved_hyper(run["family"], run["method_options"], run["hyper"]), sort_keys=True),
        **{f"pkg_{name}": version for name, version in provenance["packages"].items()},
    }


def alpha_summary(layers: pd.DataFrame, family: str) -> dict[str, float]:
    """Mean and standard deviation (``ddof=0``) of alpha over layers, and the latter over means of blocks.

    In a language model only layers of blocks count, as in the released code: no pooler, no classifier.
    """
    if family == "nlp":
        layers = layers.dropna(subset=["block"])
    layers = layers.dropna(subset=["alpha"])
    return {
        "alpha_mean": float(layers["alpha"].mean()),
        "alpha_std": float(layers["alpha"].std(ddof=0)),
        "alpha_std_block": float(layers.groupby("block")["alpha"].mean().std(ddof=0)),
    }


def stacked_table(runs: pd.DataFrame, results: Path, name: str) -> pd.DataFrame:
    """One file (such as ``layers.csv``) of all runs in ``runs.csv``, stacked, with :data:`RUN_COLUMNS` in front."""
    import pandas as pd

    frames = [pd.DataFrame(columns=list(RUN_COLUMNS))]
    for row in runs.to_dict("records"):
        frame = _read_csv(results / RUNS / row["run"] / name)
        if len(frame):
            named = pd.DataFrame({key: row[key] for key in RUN_COLUMNS}, index=frame.index)
            frames.append(named.join(frame))
    return pd.concat(frames[1:] or frames, ignore_index=True)


def _read_csv(path: Path, record: Record | None = None) -> pd.DataFrame:
    import pandas as pd

    check_file(path, record)
    try:
        return pd.read_csv(path)
    except pd.errors.EmptyDataError:
        return pd.DataFrame()
    except (OSError, UnicodeDecodeError, pd.errors.ParserError) as error:
        raise damaged(path, f"cannot be read ({error}); {AGAIN}") from None


def files_of_runs(runs: pd.DataFrame, files: Iterable[Path | str]) -> list[Path]:
    """The files of the runs in ``runs.csv``, without those of other trials."""
    shown = set(runs["run"])
    return [Path(file) for file in files if str(RunPath.of(file)) in shown]
