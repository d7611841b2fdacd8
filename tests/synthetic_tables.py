"""Tidy tables of runs that never happened: made by formula, for tests of statistics, figures, tables and report.

Everything is called synthetic. Nothing of it may be shipped as a result.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from replication.settings.artifacts import Index, read_index
from replication.settings.yamlfile import read_yaml

STAND_IN = "synthetic numbers made by a formula, for tests only"
BLOCKS = {"nlp": ("encoder.layer.0", "encoder.layer.1", "encoder.layer.2"), "sciml": ("fc0", "w0", "w1", "fc1")}


def synthetic_runs(
    experiment: str = "fig3_glue_ratio",
    family: str = "nlp",
    *,
    models: tuple[str, ...] = ("toy",),
    datasets: tuple[str, ...] = ("synthetic",),
    ratios: tuple[float, ...] = (0.01, 0.02, 0.05),
    methods: tuple[str, str] = ("ft", "tb"),
    seeds: tuple[int, ...] = (13, 37, 43),
    effect: float = 0.02,
    trend: float = 0.01,
    noise: float = 0.004,
    stand_in: str = STAND_IN,
    diverged: tuple[tuple[float, str, int], ...] = (),
) -> pd.DataFrame:
    """A runs table whose truth is known.

    ``effect`` is TB's gain in score (error cut for sciml) at the largest ratio, and ``trend`` what each smaller
    ratio adds to it; ``diverged`` lists (ratio, method, seed) of runs without a score.
    """
    rng = np.random.default_rng(7)
    rows = []
    for model in models:
        for dataset in datasets:
            for rank, ratio in enumerate(sorted(ratios, reverse=True)):
                for seed in seeds:
                    luck = rng.normal(0, noise)
                    for method in methods:
                        balanced = method == methods[1]
                        gain = (effect + trend * rank if balanced else 0.0) + rng.normal(0, noise / 4)
                        nlp = family == "nlp"
                        base = 0.8 - 0.06 * rank + luck if nlp else 0.1 + 0.07 * rank + luck
                        lost = (ratio, method, seed) in diverged
                        spread = 0.3 + 0.05 * rank - (0.04 if balanced else 0.0) + rng.normal(0, 0.003)
                        rows.append({
                            "experiment": experiment, "family": family, "scale": "smoke", "model": model,
                            "dataset": dataset, "ratio": ratio, "n_train": round(10000 * ratio), "method": method,
                            "trial": "", "trial_paper": "", "seed": seed, "stand_in": stand_in,
                            "published_dataset": dataset,
                            "published_model": model, "published_method": method,
                            "status": "diverged" if lost else "finished", "diverged_epoch": 2 if lost else np.nan,
                            "metric": "accuracy" if nlp else "nrmse", "higher_is_better": nlp,
                            "score": np.nan if lost else base + gain if nlp else base * (1 - gain),
                            "score_final": np.nan, "score_paper": np.nan, "val_score": base, "selected_epoch": 3,
                            "epochs": 4, "n_parameters": 1000, "wall_s": 10.0 + 2 * balanced + rank,
                            "peak_memory_mb": 100.0, "config_hash": f"{len(rows):016x}", "git_commit": "synthetic",
                            "run": f"{model}/{dataset}/ratio={ratio:g}/{method}/{balanced:012x}/seed={seed}",
                            "device": "cpu (synthetic)", "python": "3.11", "hyper": "{}", "pkg_torch": "0.0.0",
                            "alpha_mean": 2.5, "alpha_std": spread, "alpha_std_block": spread / 3,
                        })  # fmt: skip
    return pd.DataFrame(rows)


def synthetic_layers(runs: pd.DataFrame) -> pd.DataFrame:
    """A layers table for the runs: six layers of one shape each, TB's exponents closer together."""
    rows = []
    identity = ["experiment", "model", "dataset", "ratio", "n_train", "method", "seed"]
    for run in runs.itertuples():
        for index in range(6):
            blocks = BLOCKS[run.family]
            spread = run.alpha_std if np.isfinite(run.alpha_std) else 0.3
            rows.append({
                **{key: getattr(run, key) for key in identity}, "layer": f"layer{index}",
                "block": blocks[index % len(blocks)], "shape": "32x32", "n_eigs": 32,
                "alpha": 2.5 + spread * (index - 2.5) / 1.7, "ks_distance": 0.1, "stable_rank": 5.0,
                "spectral_norm": 9.0, "lambda_min": 1.0, "reason": "",
            })  # fmt: skip
    return pd.DataFrame(rows)


def synthetic_spectra(runs: pd.DataFrame, epochs: int = 3) -> pd.DataFrame:
    """A spectra table: exponents and rates of the layers at every epoch, from 0."""
    layers = synthetic_layers(runs)
    identity = ["experiment", "model", "dataset", "ratio", "n_train", "method", "seed"]
    frames = []
    for epoch in range(epochs + 1):
        frame = layers[[*identity, "layer", "block", "alpha"]].copy()
        frame.insert(len(identity), "epoch", epoch)
        frame.insert(len(identity) + 1, "step", 10 * epoch)
        frame["alpha"] = 2.5 + (frame["alpha"] - 2.5) * (1.2 - 0.2 * epoch / epochs)
        frame["lr"] = 1e-3 * (1 - epoch / (epochs + 1))
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def synthetic_history(runs: pd.DataFrame, epochs: int = 3) -> pd.DataFrame:
    """A history table: losses that fall, scores that rise."""
    identity = ["experiment", "model", "dataset", "ratio", "n_train", "method", "seed"]
    metric = runs["metric"].iloc[0]
    frames = []
    for epoch in range(1, epochs + 1):
        frame = runs[identity].copy()
        frame["epoch"], frame["step"] = epoch, 10 * epoch
        frame["train_loss"] = 1 / epoch
        frame[f"val_{metric}"] = runs["val_score"] * epoch / epochs
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def synthetic_eigenvalues(path: Path) -> Path:
    """An ``eigenvalues.npz`` of the layers of :func:`synthetic_layers`: heavier tails at the end than at first."""
    rng = np.random.default_rng(3)
    arrays = {}
    for index in range(6):
        for when, exponent in (("first", 3.0), ("last", 2.2)):
            arrays[f"{when}/layer{index}"] = np.sort(rng.pareto(exponent, 32) + 0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)
    return path


def write_experiment(folder: Path, runs: pd.DataFrame) -> dict[str, Path]:
    """The tables of one experiment as files below ``folder/<experiment>``, every run's eigenvalues below ``runs``."""
    name = runs["experiment"].iloc[0]
    target = folder / name
    target.mkdir(parents=True, exist_ok=True)
    tables = {
        "runs": runs, "layers": synthetic_layers(runs), "spectra": synthetic_spectra(runs),
        "history": synthetic_history(runs),
    }  # fmt: skip
    paths = {}
    for kind, table in tables.items():
        paths[kind] = target / f"{kind}.csv"
        table.to_csv(paths[kind], index=False)
    for run in runs.itertuples():
        synthetic_eigenvalues(folder / "runs" / run.run / "eigenvalues.npz")
    return paths


def synthetic_rollout(
    path: Path,
    ndim: int,
    *,
    error: float = 0.1,
    noise: float = 0.0,
    phase: float = 0.0,
    times: bool = True,
    diverged: bool = False,
) -> Path:
    """A ``predictions.npz`` of two samples on 16 cells a side: waves that travel, predicted ``error`` too high."""
    channels = ("density", "pressure", "Vx", "Vy")[: ndim + 2]
    unit = (np.arange(16) + 0.5) / 16
    grid = np.stack(np.meshgrid(*[unit] * ndim, indexing="ij"), axis=-1)
    moments = np.array([0.4, 0.5, 0.6])
    waves = [
        1 + number + 0.5 * np.sin(2 * np.pi * (grid @ np.arange(1, ndim + 1) - moment) + phase)
        for moment in moments
        for number in range(len(channels))
    ]
    target = np.stack(waves, axis=-1).reshape(*grid.shape[:-1], len(moments), len(channels))
    target = np.stack([target, 2 * target]).astype(np.float32)
    rng = np.random.default_rng(5)
    prediction = target + np.float32(error) + noise * rng.standard_normal(target.shape).astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        path, target=target, prediction=prediction[:0] if diverged else prediction, grid=grid.astype(np.float32),
        channels=np.array(channels), times=moments if times else moments[:0], samples=np.array([7, 8]),
    )  # fmt: skip
    return path


def tiny_png(path: Path) -> Path:
    """A picture of 4 by 300 pixels in the place of a figure."""
    import matplotlib.image

    matplotlib.image.imsave(path, np.zeros((4, 300, 3)), dpi=200)
    return path


def shipped_index(root: Path) -> Index:
    """The artifact index for every experiment of the repository, the main one of each artifact first."""
    names = sorted((root / "experiments").glob("*.yaml"), key=lambda path: (path.stem == "fig4_cell_2d", path.stem))
    return read_index().of({path.stem: read_yaml(path).get("artifact") for path in names})
