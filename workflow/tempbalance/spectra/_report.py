"""``tempbalance spectrum``: the layers of a checkpoint as a table, a file and a plot."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from tempbalance.errors import DataError, InputError
from tempbalance.spectra._checkpoints import Checkpoint, read_checkpoint
from tempbalance.spectra._layers import find_layers_in_state_dict
from tempbalance.spectra._metrics import metrics_table, spectra_of
from tempbalance.spectra._presets import Preset, get_preset

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
) -> pd.DataFrame:
    """Print the layers of a checkpoint with their exponents, and write the requested files.

    The options are those of the command line. The ``console`` is standard output by default; progress goes to standard
    error. Returns the table, as :func:`tempbalance.spectra.state_dict_metrics` does.

    Raises DataError for unreadable checkpoints and outputs, InputError for unknown options.
    """
    checkpoint = read_checkpoint(path)
    choices = choose_preset(checkpoint, preset)
    layers = find_layers_in_state_dict(checkpoint.tensors, choices, lora_scale=checkpoint.lora_scale)
    layers.sort(key=lambda layer: _natural(layer.name))  # files sort names as text: 1, 10, 11, 2
    if not layers:
        raise DataError(f"{path}: no weight matrix among its {len(checkpoint.tensors)} tensors")
    chunks = [layers[start : start + CHUNK] for start in range(0, len(layers), CHUNK)]
    shown = track(chunks, "spectra", console=Console(stderr=True), transient=True)
    table = metrics_table([spectrum for chunk in shown for spectrum in spectra_of(chunk, checkpoint.tensors, choices)])
    summary = summarise(table, checkpoint, choices)
    _print(table, summary, console or Console())
    content = {
        "summary": summary,
        "layers": json.loads(table.reset_index().to_json(orient="records", double_precision=15)),
    }
    outputs: list[tuple[Path | None, Callable[[Path], Any]]] = [
        (csv, table.to_csv),
        (json_file, lambda file: file.write_text(json.dumps(content, indent=1))),
        (plot, lambda file: plot_layers(table, summary, file)),
    ]
    for file, write in outputs:
        if file is not None:
            try:
                write(file)
            except OSError as error:
                raise DataError(f"{file}: cannot be written ({error})") from None
    return table


def choose_preset(checkpoint: Checkpoint, preset: str) -> Preset:
    """The preset by name; ``auto`` is ``nlp`` if most layers are dense layers in numbered blocks, else ``sciml``."""
    if preset != "auto":
        return get_preset(preset)
    layers = find_layers_in_state_dict(checkpoint.tensors, get_preset("nlp"))
    dense = [layer for layer in layers if layer.weight is None or checkpoint.tensors[layer.weight].ndim == 2]
    in_blocks = sum(layer.block is not None for layer in dense)
    return get_preset("nlp" if 2 * in_blocks > len(layers) else "sciml")


def summarise(table: pd.DataFrame, checkpoint: Checkpoint, preset: Preset) -> dict[str, Any]:
    """Mean of alpha over layers, and its standard deviation (ddof 0) over layers and over blocks."""
    alphas = table["alpha"].dropna()
    blocks = table.dropna(subset=["alpha", "block"]).groupby("block")["alpha"].mean()
    return {
        "checkpoint": str(checkpoint.path),
        "preset": preset.name,
        "n_parameters": sum(t.numel() for t in checkpoint.tensors.values() if t.is_floating_point() or t.is_complex()),
        "layers": len(table),
        "layers_with_alpha": len(alphas),
        "alpha_mean": float(alphas.mean()) if len(alphas) else None,
        "alpha_std": float(alphas.std(ddof=0)) if len(alphas) else None,
        "alpha_std_blocks": float(blocks.std(ddof=0)) if len(blocks) else None,
    }


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in name.split(".")]


def _print(table: pd.DataFrame, summary: dict[str, Any], console: Console) -> None:
    shown = Table(title=f"{escape(summary['checkpoint'])} ({summary['n_parameters'] / 1e6:.1f} M parameters)")
    shown.add_column("layer", overflow="fold")
    for name in ("shape", "N", "alpha", "KS"):
        shown.add_column(name, justify="right", no_wrap=True)
    shown.add_column("vs mean", no_wrap=True)
    mean, spread = summary["alpha_mean"], summary["alpha_std"]
    block = None
    for row in table.reset_index().to_dict("records"):
        own = row["block"] if row["layer"].startswith(f"{row['block']}.") else None
        if own != block:
            shown.add_section()
            if own is not None:
                shown.add_row(f"[bold]{escape(own)}[/bold]")
        block = own
        name = row["layer"] if own is None else f"  {row['layer'].removeprefix(f'{own}.')}"
        fit = ("-", "-", "left out")
        if not np.isnan(row["alpha"]):
            fit = (f"{row['alpha']:.3f}", f"{row['ks_distance']:.3f}", _bar(row["alpha"] - mean, spread))
        shown.add_row(escape(name), row["shape"], str(row["n_eigs"]), *fit)
    console.print(shown)
    for layer, reason in table["reason"].dropna().items():
        console.print(f"left out: {escape(f'{layer}: {reason}')}", soft_wrap=True)
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

    Raises InputError for a file format that matplotlib cannot write, or if matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise InputError(f"{path}: cannot be drawn, because matplotlib is not installed") from None

    shown = table.dropna(subset=["alpha"])
    figure = Figure(figsize=(7, max(2.5, 0.16 * len(shown) + 1)), layout="constrained")
    axes = figure.add_subplot()
    blocks = pd.factorize(shown["block"].fillna(""))[0]
    # The upper end of viridis is too pale on white.
    axes.scatter(shown["alpha"], range(len(shown)), s=25, c=blocks, cmap="viridis", vmax=1.1 * blocks.max(initial=1))
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
