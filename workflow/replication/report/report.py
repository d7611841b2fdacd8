"""One self-contained HTML page: verdicts, figures, tables, spectra browser, provenance, and what is missing."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from replication.errors import DataError
from replication.report.browser import browser_data
from replication.report.player import read_frames
from replication.report.render import Table, to_latex
from replication.report.tables import Numbers, build_table
from replication.report.verdicts import HEADS, NOTES, shown
from replication.runs.predictions import error_table
from replication.settings.artifacts import Artifact, Index
from replication.statistics.cells import Line, records
from replication.statistics.numbers import number
from replication.statistics.verdicts import VERDICTS

#: Bytes of JSON that the browser of spectra may take, and the size a report may not pass.
BROWSER_BUDGET = 10_000_000
LARGEST = 20_000_000


@dataclass(frozen=True)
class Sources:
    """What a report is made from: tables of all experiments, and files.

    ``figures`` maps an artifact's name to its PNG, ``animations`` to its GIF; ``predictions`` are files of the runs
    whose sample predictions are shown; ``missing`` says of every artifact that is not built why.
    """

    scale: str
    runs: pd.DataFrame
    layers: pd.DataFrame
    spectra: pd.DataFrame
    history: pd.DataFrame
    published: pd.DataFrame
    verdicts: pd.DataFrame
    figures: Mapping[str, Path]
    tables: Sequence[str]
    eigenvalues: Sequence[Path]
    missing: Mapping[str, str] = field(default_factory=dict)
    animations: Mapping[str, Path] = field(default_factory=dict)
    predictions: Sequence[Path] = ()


def render(index: Index, sources: Sources, template: Path) -> str:
    """The page as text.

    Args:
        index: all artifacts.
        sources: see :class:`Sources`.
        template: the Jinja2 template; ``report.css`` and ``report.js`` lie beside it.

    Raises DataError where the page would be larger than 20 MB.
    """
    loader = FileSystemLoader(template.parent)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)

    def raw(name: str) -> Markup:
        return Markup(loader.get_source(environment, name)[0])  # noqa: S704 our own file, not data

    downloads: dict[str, dict[str, str]] = {}
    players = {name: read_frames(path) for name, path in sources.animations.items()}
    built = {*sources.figures, *sources.tables}
    context = {
        "raw": raw,
        "scale": sources.scale,
        "summary": summary(index, sources),
        "stand_ins": stand_ins(sources.runs),
        "verdicts": {"heads": (*HEADS, "Evidence"), "rows": _verdict_rows(sources.verdicts, built), "notes": NOTES},
        "figures": [_figure(index.artifacts[name], path, sources, downloads) for name, path in sources.figures.items()],
        "animations": [
            {**_heading(index.artifacts[name], sources.runs), "frames": frames} for name, frames in players.items()
        ],
        "tables": [_table(index.artifacts[name], sources, downloads) for name in sources.tables],
        "runs": runs_table(sources.runs),
        "times": times_table(sources.runs),
        "provenance": provenance(sources.runs),
        "missing": [(name, index.artifacts[name].title, why) for name, why in sources.missing.items()],
    }
    _download(downloads, "verdicts.csv", sources.verdicts)
    _download(downloads, "runs.csv", sources.runs)
    data = browser_data(
        sources.runs, sources.layers, sources.spectra, sources.history, sources.eigenvalues, budget=BROWSER_BUDGET
    )
    titles = {kind: _titles(sources.runs, kind) for kind in ("model", "dataset", "method")}
    context["browser"] = {"shown": data["shown"], "total": data["total"]}
    shown = {name: asdict(frames) for name, frames in players.items()}
    context["data"] = _json({"runs": data["runs"], "titles": titles, "downloads": downloads, "players": shown})
    page = environment.get_template(template.name).render(**context)
    if len(page.encode()) > LARGEST:
        raise DataError(
            f"the report would take {len(page) / 1e6:.0f} MB, more than {LARGEST / 1e6:.0f}; build fewer experiments"
        )
    return page


def _json(value: Any) -> Markup:
    """JSON that is safe inside a script element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for character, escape in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        text = text.replace(character, escape)
    return Markup(text)  # noqa: S704 escaped above


def _download(downloads: dict[str, dict[str, str]], name: str, table: pd.DataFrame | str) -> str:
    text = table if isinstance(table, str) else table.to_csv(index=False)
    kind = "text/csv" if name.endswith(".csv") else "text/plain"
    downloads[name] = {"type": f"{kind};charset=utf-8", "text": text}
    return name


def summary(index: Index, sources: Sources) -> dict[str, int | str]:
    """Counts for the page's head."""
    runs = sources.runs
    judged = sources.verdicts[sources.verdicts["artifact"].isin(index.artifacts)]
    counts = judged["verdict"].value_counts()
    built = [index.artifacts[name] for name in (*sources.figures, *sources.animations, *sources.tables)]
    return {
        "runs": len(runs), "diverged": int((runs["status"] == "diverged").sum()),
        "experiments": int(runs["experiment"].nunique()), "hours": number(float(runs["wall_s"].sum()) / 3600, 2),
        "built": sum(not artifact.ours for artifact in built), "ours": sum(artifact.ours for artifact in built),
        "artifacts": sum(not artifact.ours for artifact in index.artifacts.values()),
        **{verdict.replace(" ", "_"): int(counts.get(verdict, 0)) for verdict in VERDICTS},
    }  # fmt: skip


def stand_ins(runs: pd.DataFrame) -> list[tuple[str, str]]:
    """(experiment, what stands in for what)."""
    rows = runs.loc[runs["stand_in"] != "", ["experiment", "stand_in"]].drop_duplicates()
    return list(rows.itertuples(index=False, name=None))


def _verdict_rows(verdicts: pd.DataFrame, built: set[str]) -> list[dict[str, Any]]:
    return [
        {"cells": [*shown(line), str(line["reason"])], "verdict": str(line["verdict"]).replace(" ", "-"),
         "link": line["artifact"] in built, "note": str(line["stand_in"] or "")}
        for line in records(verdicts.fillna({"stand_in": ""}))
    ]  # fmt: skip


def _claims(artifact: Artifact, verdicts: pd.DataFrame) -> list[dict[str, str]]:
    own = verdicts[verdicts["artifact"] == (artifact.claims_of or artifact.name)]
    return [
        {"claim": str(line["claim"]), "verdict": str(line["verdict"]), "kind": str(line["verdict"]).replace(" ", "-"),
         "reason": str(line["reason"])}
        for line in records(own)
    ]  # fmt: skip


def _figure(artifact: Artifact, path: Path, sources: Sources, downloads: dict[str, dict[str, str]]) -> dict[str, Any]:
    shown_value, tidy, runs = _figure_data(artifact, sources)
    image = path.read_bytes()
    return {
        **_heading(artifact, runs),
        "image": base64.b64encode(image).decode(), "width": page_width(image),
        "claims": _claims(artifact, sources.verdicts),
        "data": {"heads": list(tidy.columns), "rows": _cells(tidy), "of": shown_value},
        "csv": _download(downloads, f"{artifact.name}.csv", tidy),
    }  # fmt: skip


def _heading(artifact: Artifact, runs: pd.DataFrame) -> dict[str, Any]:
    """What a reader is told of a picture: name, title, caption, and notes on what stands in in its runs."""
    own = runs[runs["experiment"].isin(artifact.sources)]
    stand_ins = sorted(set(own["stand_in"]) - {""})
    notes = [*artifact.footnotes, *(f"Stand-in: {text}." for text in stand_ins)]
    return {"name": artifact.name, "title": artifact.title, "caption": artifact.caption, "notes": notes}


def page_width(png: bytes) -> int:
    """Width of a PNG in CSS pixels, by its resolution where it says one (pHYs), else 200 dpi.

    Raises DataError for bytes that are no PNG.
    """
    if png[:8] != b"\x89PNG\r\n\x1a\n":
        raise DataError("a figure for the report is no PNG; delete the figures folder and draw them again")
    pixels = int.from_bytes(png[16:20], "big")
    at = png.find(b"pHYs", 0, 1024)
    per_metre = int.from_bytes(png[at + 4 : at + 8], "big") if at > 0 else 0
    return round(pixels * 96 / (per_metre * 0.0254 if per_metre else 200))


def _figure_data(artifact: Artifact, sources: Sources) -> tuple[str, pd.DataFrame, pd.DataFrame]:
    """What a figure's data are, the data, and the runs they come from."""
    if artifact.flow_dimension is not None:
        errors = error_table(sources.runs, sources.predictions)
        return "nRMSE of the sample", errors[errors["flow_dimension"] == artifact.flow_dimension], sources.runs
    spread = artifact.layout.startswith(("fig2", "fig6", "fig7", "fig8"))
    numbers = Numbers(artifact, sources.runs, sources.published, "alpha_std" if spread else "score")
    if artifact.layout == "fig1_esd":
        return "exponents block by block", block_exponents(numbers.runs, sources.layers), numbers.runs
    if spread:
        return "standard deviation of alpha across layers", numbers.tidy(), numbers.runs
    return "test score", numbers.tidy(), numbers.runs


def block_exponents(runs: pd.DataFrame, layers: pd.DataFrame) -> pd.DataFrame:
    """Mean exponent of every block at the smallest ratio: mean and deviation over seeds, a row a method and block."""
    first = runs.iloc[0]
    here = layers[(layers["model"] == first["model"]) & (layers["dataset"] == first["dataset"])]
    here = here[(here["experiment"] == first["experiment"]) & (here["ratio"] == here["ratio"].min())]
    keys = ["model", "dataset", "ratio", "method", "block"]
    seeds = here.groupby([*keys, "seed"], sort=True)["alpha"].mean().reset_index()
    table = seeds.groupby(keys, sort=True)["alpha"].agg(["mean", "std", "count"]).reset_index()
    return table.rename(columns={"mean": "alpha_mean", "std": "alpha_sd", "count": "seeds"})


def _table(artifact: Artifact, sources: Sources, downloads: dict[str, dict[str, str]]) -> dict[str, Any]:
    table, tidy = build_table(artifact, sources.runs, sources.published)
    return {
        "name": artifact.name, "title": artifact.title, "claims": _claims(artifact, sources.verdicts),
        "claims_of": artifact.claims_of, "table": table, "labels": _label_columns(table),
        "csv": _download(downloads, f"{artifact.name}.csv", tidy),
        "tex": _download(downloads, f"{artifact.name}.tex", to_latex(table)),
    }  # fmt: skip


def _label_columns(table: Table) -> int:
    return len(table.rows[0].labels) if table.rows else 0


def _cells(table: pd.DataFrame) -> list[list[str]]:
    return [[_shown(value) for value in line.values()] for line in records(table)]


def _shown(value: Any) -> str:
    if value is None or value != value:
        return ""
    return f"{value:.4g}".replace("-", "\N{MINUS SIGN}") if isinstance(value, float) else str(value)


def runs_table(runs: pd.DataFrame) -> dict[str, Any]:
    """Every run, a row each: where, how it ended, scores, time, and the hash of its configuration."""
    columns = {
        "experiment": "Experiment", "model": "Model", "dataset": "Data set", "ratio": "Ratio", "n_train": "n",
        "method": "Method", "seed": "Seed", "status": "Status", "metric": "Metric", "score": "Test score",
        "score_final": "at final epoch", "val_score": "Validation", "selected_epoch": "Epoch chosen",
        "epochs": "Epochs", "alpha_std": "STD alpha", "wall_s": "Seconds", "peak_memory_mb": "MiB",
        "config_hash": "Configuration",
    }  # fmt: skip
    present = [name for name in columns if name in runs]
    return {"heads": [columns[name] for name in present], "rows": _cells(runs[present])}


def times_table(runs: pd.DataFrame) -> dict[str, Any]:
    """Wall time by experiment, model and method."""
    groups = runs.groupby(["experiment", "model", "dataset", "method"], sort=True)["wall_s"]
    table = groups.agg(["count", "mean", "min", "max", "sum"]).reset_index()
    heads = ["Experiment", "Model", "Data set", "Method", "Runs", "Mean s", "Fastest s", "Slowest s", "Total s"]
    return {"heads": heads, "rows": _cells(table)}


def provenance(runs: pd.DataFrame) -> list[Line]:
    """One entry a distinct environment: commit, device, Python, packages, and how many runs it made."""
    packages = [name for name in runs if str(name).startswith("pkg_")]
    keys = [name for name in ("git_commit", "device", "python", *packages) if name in runs]
    groups = runs.fillna(dict.fromkeys(keys, "")).groupby(keys, sort=True)
    labels = [str(name).removeprefix("pkg_") for name in keys]
    return [
        {
            "runs": len(group),
            "experiments": ", ".join(sorted(set(group["experiment"]))),
            "facts": [(label, str(value)) for label, value in zip(labels, key, strict=True) if value],
        }
        for key, group in groups
    ]


def _titles(runs: pd.DataFrame, kind: str) -> dict[str, str]:
    column = f"{kind}_title"
    if column not in runs:
        return {}
    pairs = runs[[kind, column]].dropna().drop_duplicates(kind)
    return {str(name): str(title) for name, title in pairs.itertuples(index=False, name=None)}


__all__ = ["Sources", "provenance", "render", "runs_table", "stand_ins", "summary", "times_table"]
