"""Tiny trainings through the command line: prepared inputs, and processes that can be killed."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from replication.settings.spec import RunSpec
from replication.simulation.simulation import simulate
from replication.text import fetching, preparing
from replication.text.tokens import tokenize

#: What must not depend on interruptions, on other jobs, or on the order of jobs.
SAME = ("history.csv", "spectra.csv", "model.safetensors", "eigenvalues.npz", "layers.csv")
#: What of metrics.json may differ: where and how long, not what.
DIFFERS = ("wall_s", "peak_memory_mb", "provenance", "digest")


class Starter:
    """Starts `replication` commands (see forking.py)."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("forking.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        )  # fmt: skip

    def start(
        self, arguments: list[str], folder: Path, *, largest_file: int = 0, signal_after: tuple[int, int] | None = None
    ) -> Process:
        """Start a command in a folder.

        Args:
            arguments: of ``replication``.
            folder: working directory, also of ``log.txt``.
            largest_file: bytes that a file may have; 0: any.
            signal_after: checkpoints after which the process sends itself a signal, and the signal.
        """
        log = folder / "log.txt"
        log.touch()
        order: dict[str, Any] = {
            "arguments": arguments,
            "folder": str(folder),
            "log": str(log),
            "largest_file": largest_file,
        }
        order["signal_after"] = signal_after
        return Process(self, self._ask(order), log, log.stat().st_size)

    def _ask(self, order: Any) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        self._process.communicate("", timeout=30)


@dataclass
class Process:
    """A running command."""

    starter: Starter
    pid: int
    log: Path
    log_start: int

    def kill(self, number: int = signal.SIGKILL) -> int:
        os.kill(self.pid, number)
        return self.wait()

    def wait(self) -> int:
        return self.starter._ask(self.pid)

    @property
    def output(self) -> str:
        """What this process has written so far."""
        return self.log.read_bytes()[self.log_start :].decode()


@dataclass
class TinyRun:
    """One training with its inputs; ``arguments`` run it below any folder's ``results``."""

    spec: RunSpec
    data: Path
    subset: Path
    tokens: Path | None = None
    arguments: list[str] = field(init=False)

    def __post_init__(self) -> None:
        record = f"results/runs/{self.spec.path}/metrics.json"
        self.arguments = ["train", record, "--spec", self.spec.to_json()]
        self.arguments += ["--data", str(self.data), "--subset", str(self.subset), "--device", "cpu"]
        if self.tokens is not None:
            self.arguments += ["--tokens", str(self.tokens)]

    def together(self, *others: TinyRun) -> list[str]:
        """Arguments that train this run and others of its cell in one process."""
        records = [f"results/runs/{run.spec.path}/metrics.json" for run in others]
        return [*self.arguments[:2], *records, *self.arguments[2:]]

    def with_(self, seed: int | None = None, **hyper: Any) -> TinyRun:
        seed = self.spec.seed if seed is None else seed
        spec = replace(self.spec, seed=seed, hyper={**self.spec.hyper, **hyper})
        return TinyRun(spec, self.data, self.subset, self.tokens)

    def folder(self, folder: Path) -> Path:
        """The run's own folder below ``folder``."""
        return folder / "results/runs" / self.spec.path

    def result(self, folder: Path) -> dict[str, Any]:
        """Everything of a finished run that must be reproducible."""
        public = self.folder(folder)
        record = json.loads((public / "metrics.json").read_text())
        files = {name: (public / name).read_bytes() for name in SAME}
        return {"record": {key: value for key, value in record.items() if key not in DIFFERS}, **files}


def wait_for(condition: Any, seconds: float = 60.0) -> Any:
    """The first true value of ``condition()``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.005)
    raise TimeoutError


TEXT = {
    "text": "{sentence}", "labels": ["0", "1"], "max_length": 16, "shuffle": 0,
    "splits": {"test": {"rows": 16}, "validation": {"rows": 16}},
}  # fmt: skip
ENCODER = {
    "source": {
        "random": "bert",
        "config": {
            "vocab_size": 260, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
            "intermediate_size": 128, "max_position_embeddings": 64, "pad_token_id": 1,
        },
    }
}  # fmt: skip


def make_text_run(folder: Path, epochs: int) -> TinyRun:
    """A small random encoder on an invented corpus, with TempBalance and dropout, a checkpoint after every epoch."""
    from replication.runs.subset import write_subset

    raw = folder / "own"
    raw.mkdir(parents=True)
    draw = random.Random(0)
    with (raw / "train.tsv").open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(["sentence", "label"])
        words = ["film", "plot", "scene", "actor", "score", "light", "story", "camera"]
        for number in range(80):
            text = [str(number), *draw.choices(words, k=draw.randint(2, 5)), "good" if number % 2 else "bad"]
            writer.writerow([" ".join(text), number % 2])
    fetching.fetch(TEXT, folder / "raw", folder=raw)
    preparing.prepare(TEXT, folder / "raw", folder / "data")
    tokenize(TEXT, ENCODER, folder / "data", folder / "tokens")
    subset = folder / "subset.json"
    write_subset(subset, list(range(24)), dataset="tiny", ratio=0.5, rule="released", seed=0, n_total=48)
    spec = RunSpec(
        family="nlp", model="encoder", dataset="tiny", ratio=0.5, method="tb",
        seed=13, model_options=ENCODER, dataset_options=TEXT, method_options={"optimizer": "adamw", "balance": {}},
        hyper={"epochs": epochs, "batch_size": 8, "lr": 1e-3, "checkpoint_every_s": 0},
    )  # fmt: skip
    return TinyRun(spec, folder / "data", subset, folder / "tokens")


PDE = {
    "source": "simulate", "pde": "cfd1d", "samples": 30, "cells": 16, "frames": 6,
    "test_samples": 4, "validation_samples": 3,
}  # fmt: skip


def make_pde_run(folder: Path, epochs: int) -> TinyRun:
    """A small operator on a small simulated flow, with TempBalance, a checkpoint after every epoch."""
    from replication.runs.subset import write_subset

    folder.mkdir(exist_ok=True)
    simulate(PDE, folder / "data.h5")
    subset = folder / "subset.json"
    write_subset(subset, list(range(0, 23, 2)), dataset="tiny", ratio=0.5, rule="released", seed=0, n_total=23)
    spec = RunSpec(
        family="sciml", model="operator", dataset="tiny", ratio=0.5, method="tb",
        seed=13, model_options={"kind": "fno", "modes": 4, "width": 8}, dataset_options=PDE,
        method_options={"optimizer": "adam", "balance": {}},
        hyper={"epochs": epochs, "batch_size": 4, "lr": 5e-3, "initial_steps": 3, "checkpoint_every_s": 0},
    )  # fmt: skip
    return TinyRun(spec, folder / "data.h5", subset)


def make_demo_run(root: Path, folder: Path, family: str) -> TinyRun:
    """A training of the demo's own grid and data (TB, its smallest ratio), with a checkpoint after every epoch."""
    from replication.runs.subset import choose_rows, write_subset
    from replication.settings.config import read_config
    from replication.settings.grid import load_grid
    from replication.simulation.data import count_training_rows

    grid = load_grid(root, replace(read_config(root / "config.yaml", root), scale="demo"))
    jobs = [job for job in grid.runs.values() if job.family == family and job.method == "tb"]
    spec = sorted((job for job in jobs if job.model in ("minilm", "fno")), key=lambda job: (job.path, job.ratio))[0]
    options = spec.dataset_options
    tokens = folder / "tokens" if family == "nlp" else None
    if tokens is not None:
        data = folder / "data"
        fetching.fetch(options, folder / "raw", folder=None)
        preparing.prepare(options, folder / "raw", data)
        tokenize(options, spec.model_options, data, tokens)
        n_total, labels = preparing.count_training_rows(data), preparing.training_labels(data)
    else:
        data = folder / "data.h5"
        simulate(options, data)
        n_total, labels = count_training_rows(data, options), None
    rows = choose_rows(family=family, dataset=spec.dataset, n_total=n_total, ratio=spec.ratio, labels=labels)
    write_subset(folder / "subset.json", rows, dataset=spec.dataset, ratio=spec.ratio, n_total=n_total)
    return TinyRun(spec, data, folder / "subset.json", tokens).with_(checkpoint_every_s=0)
