"""``tempbalance spectrum``: the layers of a checkpoint as a table, a file and a plot."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tempbalance.errors import DataError, InputError
from tempbalance.spectra._checkpoints import Checkpoint, read_checkpoint
from tempbalance.spectra._layers import Layer, find_layers_in_state_dict
from tempbalance.spectra._metrics import LayerSpectrum, metrics_table, spectra_of
from tempbalance.spectra._presets import Preset, get_preset

if TYPE_CHECKING:
    from rich.console import Console

#: Layers solved between updates of the progress bar.
CHUNK = 4


def report_checkpoint(
    path: str | Path,
    *,
    preset: str = "auto",
    csv: Path | None = None,
    json_file: Path | None = None,
    plot: Path | None = None,
    console: Console | None = None,
    **changes: Any,
) -> pd.DataFrame:
    """Print the layers of a checkpoint with their exponents, and write the requested files.

    Args:
        path: a safetensors file, a transformers or adapter folder, or a torch state dict.
        preset: ``nlp``, ``sciml``, or ``auto``: ``nlp`` if most layers are dense layers in numbered blocks.
        csv: file for the table.
        json_file: file for the table and its summary.
        plot: image file; its suffix decides the format.
        console: a rich Console for the table; standard output by default. Progress goes to standard error.
        changes: options of :class:`tempbalance.spectra.Preset`.

    Returns the table, as :func:`tempbalance.spectra.state_dict_metrics` does.

    Raises DataError for unreadable checkpoints and outputs, InputError for unknown options.
    """
    checkpoint = read_checkpoint(path)
    choices = choose_preset(checkpoint, preset, **changes)
    layers = find_layers_in_state_dict(checkpoint.tensors, choices, lora_scale=checkpoint.lora_scale)
    layers.sort(key=lambda layer: _natural(layer.name))  # files sort names as text: 1, 10, 11, 2
    if not layers:
        raise DataError(f"{path}: no weight matrix among its {len(checkpoint.tensors)} tensors")
    spectra = _solve(layers, checkpoint, choices)
    table = metrics_table(spectra)
    summary = summarise(table, checkpoint, choices)
    _print(table, summary, console)
    if csv is not None:
        with _writing(csv):
            table.to_csv(csv)
    if json_file is not None:
        rows = json.loads(table.reset_index().to_json(orient="records", double_precision=15))
        with _writing(json_file):
            Path(json_file).write_text(json.dumps({"summary": summary, "layers": rows}, indent=1))
    if plot is not None:
        with _writing(plot):
            plot_layers(table, summary, plot)
    return table


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error})") from None


def choose_preset(checkpoint: Checkpoint, preset: str, **changes: Any) -> Preset:
    """The preset by name; ``auto`` decides by the share of dense layers in numbered blocks."""
    if preset != "auto":
        return get_preset(preset, **changes)
    layers = find_layers_in_state_dict(checkpoint.tensors, get_preset("nlp"))
    dense = [layer for layer in layers if layer.weight is None or checkpoint.tensors[layer.weight].ndim == 2]
    in_blocks = sum(layer.block is not None for layer in dense)
    return get_preset("nlp" if 2 * in_blocks > len(layers) else "sciml", **changes)


def summarise(table: pd.DataFrame, checkpoint: Checkpoint, preset: Preset) -> dict[str, Any]:
    """Mean of alpha over layers, and its standard deviation (ddof 0) over layers and over blocks."""
    alphas = table["alpha"].dropna()
    blocks = table.dropna(subset=["alpha", "block"]).groupby("block")["alpha"].mean()
    return {
        "checkpoint": str(checkpoint.path),
        "preset": preset.name,
        "n_parameters": checkpoint.n_parameters,
        "layers": len(table),
        "layers_with_alpha": len(alphas),
        "alpha_mean": float(alphas.mean()) if len(alphas) else None,
        "alpha_std": float(alphas.std(ddof=0)) if len(alphas) else None,
        "alpha_std_blocks": float(blocks.std(ddof=0)) if len(blocks) else None,
    }


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in name.split(".")]


def _solve(layers: Sequence[Layer], checkpoint: Checkpoint, preset: Preset) -> list[LayerSpectrum]:
    from rich.console import Console
    from rich.progress import Progress

    spectra: list[LayerSpectrum] = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("spectra", total=len(layers))
        for start in range(0, len(layers), CHUNK):
            part = layers[start : start + CHUNK]
            spectra += spectra_of(part, checkpoint.tensors, preset)
            progress.advance(task, len(part))
    return spectra


def _print(table: pd.DataFrame, summary: dict[str, Any], console: Console | None) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = console or Console()
    shown = Table(title=f"{escape(summary['checkpoint'])} ({summary['n_parameters'] / 1e6:.1f} M parameters)")
    shown.add_column("layer", overflow="fold")
    for name in ("shape", "N", "alpha", "KS"):
        shown.add_column(name, justify="right", no_wrap=True)
    shown.add_column("vs mean", no_wrap=True)
    mean, spread = summary["alpha_mean"], summary["alpha_std"]
    block = None
    left_out: list[str] = []
    for row in table.reset_index().to_dict("records"):
        inside = isinstance(row["block"], str) and row["layer"].startswith(f"{row['block']}.")
        if inside and row["block"] != block:
            shown.add_section()
            shown.add_row(f"[bold]{escape(row['block'])}[/bold]")
        elif not inside and block is not None:
            shown.add_section()
        block = row["block"] if inside else None
        name = f"  {row['layer'].removeprefix(row['block'] + '.')}" if inside else row["layer"]
        if np.isnan(row["alpha"]):
            left_out.append(f"{row['layer']}: {row['reason']}")
            shown.add_row(escape(name), row["shape"], str(row["n_eigs"]), "-", "-", "left out")
            continue
        shown.add_row(
            escape(name), row["shape"], str(row["n_eigs"]), f"{row['alpha']:.3f}", f"{row['ks_distance']:.3f}",
            _bar(row["alpha"] - mean, spread),
        )  # fmt: skip
    console.print(shown)
    for line in left_out:
        console.print(f"left out: {escape(line)}", soft_wrap=True)
    if mean is None:
        console.print("No layer has an exponent.")
        return
    between = summary["alpha_std_blocks"]
    console.print(
        f"alpha: mean {mean:.3f}, standard deviation over {summary['layers_with_alpha']} layers {spread:.3f}"
        + (f", over blocks {between:.3f}" if between is not None else "")
        + f"  (preset {summary['preset']}; a larger alpha means less trained than the rest)"
    )


def _bar(distance: float, spread: float) -> str:
    """Distance from the mean as a bar: two marks per standard deviation, at most four."""
    marks = min(4, round(2 * abs(distance) / spread)) if spread > 0 else 0
    return f"{'◀' * marks:>4}|{'':4}" if distance < 0 else f"{'':4}|{'▶' * marks:<4}"


def plot_layers(table: pd.DataFrame, summary: dict[str, Any], path: Path) -> None:
    """One dot per layer in the model's order, coloured by block, and the mean as a line.

    Raises InputError for a file format that matplotlib cannot write.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = table.dropna(subset=["alpha"])
    figure = Figure(figsize=(7, max(2.5, 0.16 * len(shown) + 1)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    blocks = list(dict.fromkeys(shown["block"].fillna("")))
    colours = matplotlib.colormaps["viridis"](np.linspace(0.05, 0.9, max(len(blocks), 1)))
    for position, (block, alpha) in enumerate(zip(shown["block"].fillna(""), shown["alpha"], strict=True)):
        axes.plot(alpha, position, "o", ms=5, color=colours[blocks.index(block)])
    axes.set_yticks(range(len(shown)), list(shown.index), fontsize=6)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    if summary["alpha_mean"] is not None:
        axes.axvline(summary["alpha_mean"], color="0.5", lw=1, ls="--", label=f"mean {summary['alpha_mean']:.2f}")
        axes.legend(frameon=False)
    axes.set_xlabel("PL_Alpha_Hill (larger: less trained)")
    try:
        figure.savefig(path, dpi=150)
    except ValueError as error:
        raise InputError(f"{path}: cannot be drawn ({error})") from None
