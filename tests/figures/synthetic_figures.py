"""Data of a figure from synthetic tables, and what is written on a figure."""

from __future__ import annotations

import pandas as pd

from replication.figures.data import FigureData
from replication.settings.artifacts import Artifact
from synthetic_tables import synthetic_layers, synthetic_runs, synthetic_spectra


def artifact(layout: str = "fig3_glue_ratio", **changes) -> Artifact:
    sciml = "sciml" in layout or "cfd" in layout
    fields = {
        "name": layout,
        "kind": "figure",
        "title": "a figure",
        "family": "sciml" if sciml else "nlp",
        "layout": layout,
        "needs": "nothing",
        "experiments": ("synthetic",),
        "pairs": (("baseline", "tb") if sciml else ("ft", "tb"),),
        "published": "synthetic_table",
    }
    return Artifact(**{**fields, **changes})


def figure_data(layout: str = "fig3_glue_ratio", published=None, **changes) -> FigureData:
    entry = artifact(layout)
    runs = synthetic_runs("synthetic", entry.family, methods=entry.pairs[0], **changes)
    return FigureData(
        entry, runs, synthetic_layers(runs), synthetic_spectra(runs), pd.DataFrame() if published is None else published
    )


def labels(figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def small_print(figure) -> str:
    return figure.get_suptitle().replace("\n", " ")


def published_table(data: FigureData) -> pd.DataFrame:
    cells = data.runs[["model", "dataset", "ratio", "method"]].drop_duplicates()
    return cells.assign(artifact="synthetic_table", metric="accuracy", mean=70.0, std=1.0, source="synthetic")
