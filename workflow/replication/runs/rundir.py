"""One run on disk: what it writes while it trains, and what it leaves behind.

While a run trains, its folder has ``checkpoints/`` and ``heartbeat.json``. A finished run is first sealed in
``finished/`` and then published: its files move up into the folder. A job that trains several runs publishes them
together when all are finished, because Snakemake removes the outputs of a failed job; sealed files are no outputs.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import AcquireReturnProxy, FileLock, Timeout

from replication.errors import BusyError, InputError, TerminatedError
from replication.runs.checkpoint import Checkpoints, fingerprint, fsync, link_or_copy, write_atomically
from replication.runs.provenance import peak_memory_mb, provenance
from replication.runs.records import RECORD, read_record, record_digest
from replication.runs.spectra import final_spectra
from replication.runs.termination import termination_asked
from replication.runs.tracking import Sink, block_scalars, epoch_scalars
from replication.settings.paths import RUNS
from replication.settings.spec import RunSpec, digest

Row = Mapping[str, Any]

#: File of a run's trained weights.
MODEL = "model.safetensors"
#: Folder of a finished run's files before they are published.
SEALED = "finished"
REPORT_EVERY_S = 5.0


def to_csv(rows: Sequence[Row]) -> str:
    """Rows as CSV text; columns in the order they first appear."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def hold_folder(folder: Path, what: str = "") -> AcquireReturnProxy:
    """Make a folder and lock it until the lock is released or this process ends. ``what`` names it in the message.

    Raises BusyError if another live process holds it, InputError if nothing can be written there.
    """
    lock = FileLock(folder / ".lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return lock.acquire(timeout=0)
    except Timeout:
        raise BusyError(
            f"another process is writing {what or folder.resolve()} (lock {lock.lock_file}); "
            "wait for it, or end it, then run again"
        ) from None
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror})") from None


@dataclass
class RunDir:
    """The folder of one run. Make one with :meth:`open`.

    Attributes:
        inputs: SHA-256 of everything that the run reads (data, subset, pretrained weights), by name.
        keep_model: whether the trained weights are kept; those of a RoBERTa take 500 MB.
        track: set by the trainer if ``report_to`` names a tracker.
    """

    spec: RunSpec
    results: Path
    inputs: Mapping[str, str]
    device: str = "cpu"
    keep_model: bool = True
    report_to: str = "none"
    track: Sink | None = None

    def __post_init__(self) -> None:
        self.run_hash = digest({"id": self.spec.id, "path": self.spec.path, "inputs": dict(self.inputs)})
        self.folder = self.results / RUNS / self.spec.path
        self.sealed = self.folder / SEALED
        self.checkpoints = Checkpoints(self.folder / "checkpoints", self.run_hash)
        self.events = self.folder / "tensorboard"
        self._history: list[Row] = []
        self._spectra: list[Row] = []
        self._started = self._checkpointed = time.monotonic()
        self._earlier_s = self._reported = 0.0

    @classmethod
    @contextmanager
    def open(cls, spec: RunSpec, results: Path, **options: Any) -> Iterator[RunDir]:
        """The run's folder, locked against a second writer until the block ends; ``options`` as in the attributes.

        Raises BusyError if another live process holds the run.
        """
        run = cls(spec, results, **options)
        with hold_folder(run.folder, spec.path):
            yield run

    # ---- while it trains -----------------------------------------------------------------------------

    @property
    def finished(self) -> bool:
        """Whether a run with these settings and inputs is sealed or published."""
        for folder in (self.sealed, self.folder):
            with suppress(OSError, ValueError, KeyError, TypeError):
                if json.loads((folder / RECORD).read_text(encoding="utf-8"))["config_hash"] == self.run_hash:
                    return True
        return False

    def history(self, **row: Any) -> None:
        """Add one row (an epoch) to ``history.csv``."""
        self._history.append(row)
        if self.track:
            self.track(epoch_scalars(row), row["epoch"])

    def spectra(self, rows: Sequence[Row]) -> None:
        """Add rows (an epoch and a layer each: ``epoch, step, layer, block, alpha, lr``) to ``spectra.csv``."""
        self._spectra.extend(rows)
        if self.track and rows:
            self.track(block_scalars(rows), rows[0]["epoch"])

    def heartbeat(self, epoch: int, epochs: int, **values: float) -> None:
        """Report progress: ``heartbeat.json`` at every call, a line on standard error every few seconds."""
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
        """Whether the last checkpoint is ``every_s`` seconds old, or the process was asked to end."""
        return termination_asked() or time.monotonic() - self._checkpointed >= every_s

    def checkpoint(self, step: int, write: Callable[[Path], None]) -> None:
        """Save a checkpoint: what ``write(folder)`` writes, and the rows so far.

        Raises TerminatedError after saving if the process was asked to end.
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
        """Folder of the newest valid checkpoint, whose rows are restored; None for a new run."""
        folder = self.checkpoints.latest()
        if folder is None:
            shutil.rmtree(self.events, ignore_errors=True)
        else:
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
        model: Mapping[str, Any],
        initial_eigenvalues: Mapping[str, Any],
        predictions: Mapping[str, Any] | None = None,
    ) -> None:
        """Measure the trained model's spectra, write the run's files and, last, its record.

        Args:
            result: of :func:`replication.runs.epochs.outcome`, with ``n_train``, ``n_parameters``, and what else the
                trainer knows.
            model: tensors of the trained model, name -> tensor.
            initial_eigenvalues: layer -> eigenvalues before training.
            predictions: arrays of a few test samples and their predictions (operators only).
        """
        shutil.rmtree(self.sealed, ignore_errors=True)
        self.sealed.mkdir()
        layers, last = final_spectra(model, self.spec, initial_eigenvalues)
        first = {f"first/{name}": values for name, values in initial_eigenvalues.items()}
        self._write("history.csv", to_csv(self._history))
        self._write("spectra.csv", to_csv(self._spectra))
        self._write("layers.csv", to_csv(layers))
        self._write_arrays("eigenvalues.npz", {**first, **{f"last/{name}": values for name, values in last.items()}})
        if predictions is not None:
            self._write_arrays("predictions.npz", predictions)
        if self.keep_model:
            self._write_model(model)
        record = {
            "run": {"id": self.spec.id, **asdict(self.spec)},
            "config_hash": self.run_hash,
            "inputs": self.inputs,
            **result,
            "wall_s": round(self._elapsed_s(), 3),
            "peak_memory_mb": round(peak_memory_mb(self.device), 1),
            "provenance": provenance(self.device),
            "files": {path.name: fingerprint(path) for path in sorted(self.sealed.iterdir())},
        }
        self._write(RECORD, json.dumps({**record, "digest": record_digest(record)}, indent=1))
        self.checkpoints.clear()
        (self.folder / "heartbeat.json").unlink(missing_ok=True)

    def _write(self, name: str, content: str) -> None:
        write_atomically(self.sealed / name, content)

    def _write_arrays(self, name: str, arrays: Mapping[str, Any]) -> None:
        import numpy as np

        path = self.sealed / name
        np.savez_compressed(path, allow_pickle=False, **{key: np.asarray(array) for key, array in arrays.items()})
        fsync(path)

    def _write_model(self, tensors: Mapping[str, Any]) -> None:
        from safetensors.torch import save_file

        path = self.sealed / MODEL
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)
        fsync(path)

    def publish(self) -> None:
        """Move a sealed run's files up, the record last; a published run stays as it is."""
        if not self.sealed.is_dir():
            return
        for path in sorted(self.sealed.iterdir(), key=lambda path: path.name == RECORD):
            path.replace(self.folder / path.name)
        self.sealed.rmdir()


def forget_finished(record: Path) -> None:
    """Remove what is sealed of a run, so that it is trained again."""
    shutil.rmtree(record.with_name(SEALED), ignore_errors=True)


def keep_finished(record: Path) -> None:
    """Seal a published run again: its training then only publishes it, if settings and inputs hash the same.

    If data are made again and come out the same, Snakemake starts the trainings, but nothing is trained.
    """
    forget_finished(record)
    record.with_name(SEALED).mkdir()
    for name in (*read_record(record).get("files", ()), RECORD):
        if (file := record.with_name(name)).exists():
            link_or_copy(file, record.with_name(SEALED) / name)
