"""One run on disk: what it writes while it trains, and what it leaves behind.

A run works in ``<results>/.store/<run hash>/``, where the hash covers its whole configuration and its
inputs. When it is finished its files are linked to the run's public path, so a changed hyper-parameter
never overwrites another run's files, and going back to an earlier configuration finds its finished run.
"""

from __future__ import annotations

import csv
import io
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from replication.errors import BusyError, TerminatedError
from replication.runs.checkpoint import Checkpoints, fsync, link_or_copy, write_atomically
from replication.runs.provenance import peak_memory_mb, provenance
from replication.runs.termination import termination_asked
from replication.settings.spec import RunSpec, digest

Row = Mapping[str, Any]

#: Files a finished run publishes; metrics.json comes last and means "finished".
FILES = (
    "history.csv",
    "spectra.csv",
    "initial_eigenvalues.npz",
    "predictions.npz",
    "model.safetensors",
    "metrics.json",
)
REPORT_EVERY_S = 5.0


def to_csv(rows: Sequence[Row]) -> str:
    """Rows as CSV text; columns in the order they first appear."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


class RunDir:
    """The folder of one run. Make one with :meth:`open`."""

    def __init__(self, spec: RunSpec, results: Path, inputs: Mapping[str, str], device: str) -> None:
        self.spec = spec
        self.inputs = dict(inputs)
        self.device = device
        self.run_hash = digest({"spec": spec.identity(), "inputs": self.inputs})
        self.public = results / spec.path
        self.folder = results / ".store" / self.run_hash
        self.checkpoints = Checkpoints(self.folder / "checkpoints", self.run_hash)
        self._history: list[Row] = []
        self._spectra: list[Row] = []
        self._started = time.monotonic()
        self._earlier_s = 0.0
        self._reported = 0.0
        self._checkpointed = time.monotonic()

    @classmethod
    @contextmanager
    def open(cls, spec: RunSpec, results: Path, *, inputs: Mapping[str, str], device: str = "cpu") -> Iterator[RunDir]:
        """The run's folder, locked against a second writer until the block ends.

        Args:
            spec: the run.
            results: the results folder.
            inputs: name -> SHA-256 of everything the run reads (data, subset, pretrained weights).
            device: torch device the run uses.

        Raises BusyError where another live process holds the run.
        """
        import filelock

        run = cls(spec, results, inputs, device)
        run.folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(run.folder / "lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise BusyError(
                f"another process is writing {spec.path} (lock {run.folder / 'lock'}); "
                "wait for it, or end it, then run again"
            ) from None
        try:
            yield run
        finally:
            lock.release()

    # ---- while it trains -----------------------------------------------------------------------------

    @property
    def finished(self) -> bool:
        """Whether the store already holds this very run, finished."""
        return (self.folder / "metrics.json").is_file()

    def history(self, **row: Any) -> None:
        """Add one row (an epoch) to ``history.csv``."""
        self._history.append(row)

    def spectra(self, rows: Sequence[Row]) -> None:
        """Add rows (an epoch and a layer each: ``epoch, step, layer, block, alpha, lr``) to ``spectra.csv``."""
        self._spectra.extend(rows)

    def heartbeat(self, epoch: int, epochs: int, **values: float) -> None:
        """Say where the run is: ``heartbeat.json`` at every call, a line on standard error now and then."""
        now = time.monotonic()
        beat = {
            "run": self.spec.path, "epoch": epoch, "epochs": epochs, "elapsed_s": round(now - self._started, 1),
            "time": time.time(), "pid": os.getpid(), **values,
        }  # fmt: skip
        # No fsync: losing a heartbeat in a crash costs nothing, and a small run beats many times a second.
        temporary = self.folder / ".heartbeat.tmp"
        temporary.write_text(json.dumps(beat))
        temporary.replace(self.folder / "heartbeat.json")
        if now - self._reported >= REPORT_EVERY_S or epoch == epochs:
            self._reported = now
            shown = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
            print(f"{self.spec.path}  epoch {epoch}/{epochs}  {shown}", file=sys.stderr, flush=True)

    # ---- checkpoints ---------------------------------------------------------------------------------

    def checkpoint_due(self, every_s: float) -> bool:
        """Whether ``every_s`` seconds have passed since the last checkpoint (0: always), or the process has to end."""
        return termination_asked() or time.monotonic() - self._checkpointed >= every_s

    def checkpoint(self, step: int, write: Any) -> None:
        """Save a checkpoint; ``write(folder)`` adds the trainer's files to the run's own rows.

        Raises TerminatedError, once all is saved, where the process was asked to end.
        """

        def write_all(folder: Path) -> None:
            write(folder)
            rows = {"history": self._history, "spectra": self._spectra, "elapsed_s": self._elapsed_s()}
            (folder / "rows.json").write_text(json.dumps(rows))

        self.checkpoints.save(step, write_all)
        self._checkpointed = time.monotonic()
        if termination_asked():
            raise TerminatedError(f"{self.spec.path}  ended by SIGTERM; a checkpoint is saved, run again to go on")

    def resume(self) -> Path | None:
        """The newest good checkpoint's folder, with the rows of that moment taken back; None for a new run."""
        folder = self.checkpoints.latest()
        if folder is not None:
            rows = json.loads((folder / "rows.json").read_text())
            self._history, self._spectra = rows["history"], rows["spectra"]
            self._earlier_s = rows["elapsed_s"]
            print(f"{self.spec.path}  resumed from {folder.name}", file=sys.stderr, flush=True)
        return folder

    def _elapsed_s(self) -> float:
        return self._earlier_s + time.monotonic() - self._started

    # ---- the end -------------------------------------------------------------------------------------

    def finish(
        self,
        result: Mapping[str, Any],
        *,
        model: Mapping[str, Any] | None = None,
        initial_eigenvalues: Mapping[str, Any] | None = None,
        predictions: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the run's record and publish it.

        Args:
            result: ``status`` (``finished`` or ``diverged``), ``primary`` (name of the main metric),
                ``higher_is_better``, ``metrics`` (``{"test": {"selected": {...}, "final": {...}, "paper": {...}},
                "val": {...}}``), ``selected_epoch``, ``n_train``, ``n_parameters``, and what else the trainer knows.
            model: tensors of the trained model, name -> tensor.
            initial_eigenvalues: layer -> eigenvalues before training.
            predictions: arrays of a few test samples and their predictions (operators; none for text).
        """
        import numpy as np

        write_atomically(self.folder / "history.csv", to_csv(self._history))
        write_atomically(self.folder / "spectra.csv", to_csv(self._spectra))
        for name, arrays in (("initial_eigenvalues", initial_eigenvalues), ("predictions", predictions)):
            if arrays is not None:
                buffer = io.BytesIO()
                np.savez_compressed(buffer, allow_pickle=False, **{key: np.asarray(a) for key, a in arrays.items()})
                write_atomically(self.folder / f"{name}.npz", buffer.getvalue())
        if model is not None:
            from safetensors.torch import save_file

            temporary = self.folder / ".model.tmp"
            save_file({name: tensor.detach().cpu().contiguous() for name, tensor in model.items()}, temporary)
            fsync(temporary)
            temporary.replace(self.folder / "model.safetensors")
        record = {
            "run": asdict(self.spec),
            "config_hash": self.run_hash,
            "inputs": self.inputs,
            **result,
            "wall_s": round(self._elapsed_s(), 3),
            "peak_memory_mb": round(peak_memory_mb(self.device), 1),
            "provenance": provenance(self.device),
        }
        write_atomically(self.folder / "metrics.json", json.dumps(record, indent=1))
        self.checkpoints.clear()
        (self.folder / "heartbeat.json").unlink(missing_ok=True)
        self.publish()

    def publish(self) -> None:
        """Link the finished files to the run's public path (copy where links are not possible)."""
        self.public.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            source, target = self.folder / name, self.public / name
            if not source.is_file():
                target.unlink(missing_ok=True)
                continue
            link_or_copy(source, target)
