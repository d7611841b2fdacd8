"""One self-contained HTML page: the answer, verdicts, figures, tables, spectra browser, provenance, what is missing."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup
from PIL import Image, UnidentifiedImageError

from replication.errors import DataError
from replication.report.browser import browser_data
from replication.report.explorer import explorer_data
from replication.report.findings import FAMILIES, findings
from replication.report.page import fill
from replication.report.player import read_frames
from replication.report.verdicts import CLAIMS, NOTES, matrix, verdict
from replication.settings.artifacts import Artifact, Index
from replication.statistics.cells import ENOUGH_SEEDS, Line, read_table, records, stand_ins, title_of, titles
from replication.statistics.numbers import gain_text, interval, number
from replication.statistics.trivial import TITLES, published_sentences, sentences
from replication.statistics.verdicts import VERDICTS

#: Limits in bytes: JSON of the browser of spectra, and the whole report.
BROWSER_BUDGET = 10_000_000
LARGEST = 20_000_000


@dataclass(frozen=True)
class Sources:
    """The inputs of a report, all made by the workflow.

    ``runs``, ``layers``, ``spectra`` and ``history`` are the tidy tables of all experiments; ``verdicts``, ``gains``,
    ``measured`` and ``estimates`` those of the verdicts rule; ``trivial`` has the scores of the trivial predictors.
    ``forest`` and ``agreement`` are PNGs. ``figures`` (PNG), ``tables`` (CSV) and ``animations`` (GIF) map artifacts to
    files; a figure's CSV and a table's LaTeX and HTML lie beside it. ``missing`` says why an artifact is not built.
    """

    scale: str
    runs: pd.DataFrame
    layers: pd.DataFrame
    spectra: pd.DataFrame
    history: pd.DataFrame
    verdicts: pd.DataFrame
    gains: pd.DataFrame
    measured: pd.DataFrame
    estimates: pd.DataFrame
    trivial: pd.DataFrame
    forest: Path
    agreement: Path
    figures: Mapping[str, Path]
    tables: Mapping[str, Path]
    eigenvalues: Sequence[Path]
    missing: Mapping[str, str] = field(default_factory=dict)
    animations: Mapping[str, Path] = field(default_factory=dict)


def render(index: Index, sources: Sources, template: Path) -> str:
    """The page as text, from all artifacts, their data, and a Jinja2 template.

    Raises DataError if an input is damaged or the page would be larger than 20 MB.
    """
    runs = sources.runs
    players = {name: read_frames(path) for name, path in sources.animations.items()}
    numbers = {
        path.stem: read_table(path.with_suffix(".csv"))
        for path in (*sources.figures.values(), *sources.tables.values())
    }
    tables = runs, sources.layers, sources.spectra, sources.history
    data = browser_data(*tables, sources.eigenvalues, budget=BROWSER_BUDGET)
    headings = {name: artifact.heading for name, artifact in index.artifacts.items()}
    context = {
        "scale": sources.scale,
        "summary": summary(index, sources),
        "findings": findings(sources.verdicts, sources.estimates),
        "estimates": estimates_table(sources.estimates),
        "forest": _image(sources.forest),
        "agreement": _image(sources.agreement) if len(sources.measured) else None,
        "stand_ins": runs.loc[runs["stand_in"] != "", ["experiment", "stand_in"]].drop_duplicates().to_numpy().tolist(),
        "matrix": {"claims": list(CLAIMS.values()), "rows": matrix(sources.verdicts, headings), "built": set(numbers)},
        "headings": headings,
        "notes": NOTES,
        "trivial": trivial_context(sources, numbers),
        "figures": [
            _figure(index.artifacts[name], path, sources, numbers[name]) for name, path in sources.figures.items()
        ],
        "animations": [
            {**_heading(index.artifacts[name], runs), "frames": frames} for name, frames in players.items()
        ],
        "tables": [_table(index.artifacts[name], path, sources) for name, path in sources.tables.items()],
        "runs": runs_table(runs),
        "times": times_table(runs),
        "provenance": provenance(runs),
        "missing": [(name, headings[name], why) for name, why in sources.missing.items()],
        "browser": data,
        "data": htmlsafe_json_dumps({
            "runs": data["runs"],
            "titles": {kind: titles(runs, kind) for kind in ("model", "dataset", "method")},
            "downloads": _downloads(sources, numbers),
            "explorer": explorer_data(runs, sources.measured),
            "players": {name: asdict(frames) for name, frames in players.items()},
        }, separators=(",", ":"), allow_nan=False),
    }  # fmt: skip
    page = fill(template, **context)
    if len(page.encode()) > LARGEST:
        size = f"{len(page) / 1e6:.0f} MB, more than {LARGEST / 1e6:.0f}"
        raise DataError(f"the report would take {size}; build fewer experiments")
    return page


def _downloads(sources: Sources, numbers: Mapping[str, pd.DataFrame]) -> dict[str, dict[str, str]]:
    """File name -> type and text of every download button."""
    own = {name: getattr(sources, name) for name in ("verdicts", "gains", "measured", "estimates", "runs")}
    files = {
        f"{name}.csv": {"type": "text/csv;charset=utf-8", "text": table.to_csv(index=False)}
        for name, table in {**numbers, **own}.items()
    }
    for name, path in sources.tables.items():
        text = path.with_suffix(".tex").read_text(encoding="utf-8")
        files[f"{name}.tex"] = {"type": "text/plain;charset=utf-8", "text": text}
    return files


def trivial_context(sources: Sources, numbers: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """Scores of the trivial predictors, and a sentence for each cell and published value that does not beat them."""
    tidy = [table for table in numbers.values() if "beats_trivial" in table]
    title = partial(title_of, sources.runs)
    cells = [line for table in tidy for line in sentences(table, title)]
    # A table without published values or trivial predictors lacks these columns.
    both = [table for table in tidy if {"published_mean", "trivial_score"} <= set(table)]
    published = [line for table in both for line in published_sentences(table, title)]
    rows = [
        [title("dataset", str(line["dataset"])), TITLES[line["predictor"]], str(line["metric"]), _shown(line["value"])]
        for line in records(sources.trivial)
    ]
    return {
        "sentences": list(dict.fromkeys(cells)), "published": list(dict.fromkeys(published)), "rows": rows,
        "heads": ["Data set", "Predictor", "Metric", "Test score"],
    }  # fmt: skip


def summary(index: Index, sources: Sources) -> dict[str, int | str]:
    """Counts for the top of the page."""
    runs = sources.runs
    counts = sources.verdicts.loc[sources.verdicts["artifact"].isin(index.artifacts), "verdict"].value_counts()
    built = [index.artifacts[name] for name in (*sources.figures, *sources.animations, *sources.tables)]
    return {
        "runs": len(runs), "diverged": int((runs["status"] == "diverged").sum()),
        "experiments": int(runs["experiment"].nunique()), "hours": number(float(runs["wall_s"].sum()) / 3600, 2),
        "built": sum(not artifact.ours for artifact in built), "ours": sum(artifact.ours for artifact in built),
        "artifacts": sum(not artifact.ours for artifact in index.artifacts.values()),
        **{verdict.replace(" ", "_"): int(counts.get(verdict, 0)) for verdict in VERDICTS},
    }  # fmt: skip


def _claims(artifact: Artifact, verdicts: pd.DataFrame) -> list[dict[str, str]]:
    return [verdict(line) for line in records(verdicts[verdicts["artifact"] == (artifact.claims_of or artifact.name)])]


def _figure(artifact: Artifact, path: Path, sources: Sources, numbers: pd.DataFrame) -> dict[str, Any]:
    heading = _heading(artifact, sources.runs)
    if "pairs" in numbers and numbers["pairs"].min() < ENOUGH_SEEDS:
        heading["notes"].append(f"Cells with fewer than {ENOUGH_SEEDS} finished seeds have no interval and no claim.")
    return {
        **heading, **_image(path), "claims": _claims(artifact, sources.verdicts),
        "data": {"heads": list(numbers.columns), "rows": _cells(numbers)},
    }  # fmt: skip


def _image(path: Path) -> dict[str, Any]:
    image = path.read_bytes()
    return {"image": base64.b64encode(image).decode(), "width": page_width(image)}


def _heading(artifact: Artifact, runs: pd.DataFrame) -> dict[str, Any]:
    """Name, title, caption and notes of a picture, including the stand-ins among its runs."""
    own = runs[runs["experiment"].isin(artifact.sources)]
    notes = [*artifact.footnotes, *(f"Stand-in: {text}." for text in stand_ins(own))]
    return {"name": artifact.name, "title": artifact.heading, "caption": artifact.caption, "notes": notes}


def page_width(png: bytes) -> int:
    """Width of a PNG in CSS pixels, from its resolution if it has one, else at 200 dpi.

    Raises DataError for bytes that are not a PNG.
    """
    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
            return round(image.width * 96 / image.info.get("dpi", (200, 200))[0])
    except UnidentifiedImageError:
        raise DataError("a figure for the report is no PNG; delete the figures folder and draw them again") from None


def _table(artifact: Artifact, path: Path, sources: Sources) -> dict[str, Any]:
    html = path.with_suffix(".html").read_text(encoding="utf-8")
    return {
        "name": artifact.name, "title": artifact.heading, "claims": _claims(artifact, sources.verdicts),
        "claims_of": artifact.claims_of if artifact.claims_of in sources.figures else None,
        "html": Markup(html),  # noqa: S704 escaped where it was written
    }  # fmt: skip


def _cells(table: pd.DataFrame) -> list[list[str]]:
    return [[_shown(value) for value in line.values()] for line in records(table)]


def _shown(value: Any) -> str:
    if pd.isna(value):
        return ""
    return f"{value:.4g}".replace("-", "\N{MINUS SIGN}") if isinstance(value, float) else str(value)


def runs_table(runs: pd.DataFrame) -> dict[str, Any]:
    """One row per run: its cell, how it ended, scores, time, and the hash of its configuration."""
    columns = {
        "experiment": "Experiment", "model": "Model", "dataset": "Data set", "ratio": "Ratio", "n_train": "n",
        "method": "Method", "seed": "Seed", "status": "Status", "metric": "Metric", "score": "Test score",
        "score_final": "at final epoch", "val_score": "Validation", "selected_epoch": "Epoch chosen",
        "epochs": "Epochs", "alpha_std": "STD alpha", "wall_s": "Seconds", "peak_memory_mb": "MiB",
        "config_hash": "Configuration",
    }  # fmt: skip
    return {"heads": list(columns.values()), "rows": _cells(runs[list(columns)])}


def estimates_table(estimates: pd.DataFrame) -> dict[str, Any]:
    """One row per family and pair of methods: the mixed model's mean and trend, equivalence, and interquartile mean."""
    rows = [
        [
            FAMILIES[str(line["family"])], f"{line['method']} against {line['baseline']}", str(line["unit"]),
            f"{line['cells']} ({line['left_out']} left out)", str(line["pairs"]), str(line["result"]),
            _estimate(line, "mean", ""), _estimate(line, "trend", "trend_"), _estimate(line, "iqm", "iqm_"),
            interval(line["equivalence_low"], line["equivalence_high"]), _shown(line["smallest"]),
        ]
        for line in records(estimates)
    ]  # fmt: skip
    heads = [
        "Family", "Methods", "Unit", "Cells", "Pairs", "Result", "Mean gain [95 %]", "Change per halving [95 %]",
        "Interquartile mean [95 %]", "Equivalence interval (90 %)", "Smallest gain of interest",
    ]  # fmt: skip
    return {"heads": heads, "rows": rows}


def _estimate(line: Line, name: str, prefix: str) -> str:
    """``+1.2 [+0.4, +1.9]``; empty if nothing was estimated."""
    return "" if pd.isna(line[name]) else gain_text(line[name], line[f"{prefix}low"], line[f"{prefix}high"])


def times_table(runs: pd.DataFrame) -> dict[str, Any]:
    """Wall time by experiment, model and method."""
    groups = runs.groupby(["experiment", "model", "dataset", "method"])["wall_s"]
    table = groups.agg(["count", "mean", "min", "max", "sum"]).reset_index()
    heads = ["Experiment", "Model", "Data set", "Method", "Runs", "Mean s", "Fastest s", "Slowest s", "Total s"]
    return {"heads": heads, "rows": _cells(table)}


def provenance(runs: pd.DataFrame) -> list[Line]:
    """One entry per environment (commit, device, Python, packages), with its runs."""
    packages = [str(name) for name in runs if str(name).startswith("pkg_")]
    keys = ["git_commit", "device", "python", *packages]
    groups = runs.fillna(dict.fromkeys(keys, "")).groupby(keys, sort=True)
    labels = [name.removeprefix("pkg_") for name in keys]
    return [
        {
            "runs": len(group),
            "experiments": ", ".join(sorted(set(group["experiment"]))),
            "facts": [(label, str(value)) for label, value in zip(labels, key, strict=True) if value],
        }
        for key, group in groups
    ]
