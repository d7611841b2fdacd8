"""A training job: runs of one cell with different seeds, one after the other in one process."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from replication.errors import InputError, TempBalanceError, TerminatedError
from replication.runs.checkpoint import sha256
from replication.runs.devices import acquire_device
from replication.runs.rundir import MODEL, RunDir
from replication.runs.subset import read_subset
from replication.runs.termination import ending_on_sigterm
from replication.runs.tracking import check_tracker
from replication.settings.paths import RUNS, RunPath
from replication.settings.spec import RunSpec, digest


def train_runs(
    spec: str,
    records: Sequence[Path],
    *,
    data: Path,
    subset: Path,
    tokens: Path | None = None,
    unseen: Mapping[str, Any] = {},
    device: str = "auto",
    jobs_per_gpu: int = 1,
    keep_models: bool = True,
    report_to: str = "none",
) -> None:
    """Train the runs that the records name, each from its last checkpoint, and publish them when all are finished.

    The arguments are those of ``replication train``. The path of a record names its run's seed; the hyper-parameters in
    ``unseen`` replace those of ``spec`` (:meth:`RunSpec.to_json`).

    If a run fails, the others are trained all the same; its error is raised at the end. Raises InputError if a record's
    path does not belong to the settings.
    """
    check_tracker(report_to)
    specs = [_spec_of(spec, record, unseen) for record in records]
    rows = read_subset(subset)
    results = records[0].parents[len(Path(specs[0].path).parts) + 1]
    pretrained = _pretrained(specs[0], results)
    inputs = {"data": data_hash(data), "subset": digest(rows, 64), **_weights(specs[0], pretrained)}
    train = _trainer(specs[0], data, tokens, pretrained)
    problems: list[TempBalanceError] = []
    with (
        ending_on_sigterm(),
        acquire_device(device, results / ".devices", jobs_per_device=jobs_per_gpu) as chosen,
    ):
        for one in specs:
            try:
                with RunDir.open(one, results, inputs=inputs, device=chosen, keep_model=keep_models) as run:
                    if run.finished:
                        print(f"{one.path}  already finished with these settings and inputs", file=sys.stderr)
                    else:
                        run.report_to = report_to
                        train(one, indices=rows, run=run, device=chosen)
            except TerminatedError:
                raise
            except TempBalanceError as error:
                if len(specs) > 1:
                    print(f"{one.path}  failed: {error}", file=sys.stderr)
                problems.append(error)
        if problems:
            raise problems[0]
        for one in specs:
            with RunDir.open(one, results, inputs=inputs, device=chosen) as run:
                run.publish()


def _spec_of(text: str, record: Path, unseen: Mapping[str, Any]) -> RunSpec:
    path = RunPath.of(record)
    spec = RunSpec.from_json(text, path.seed)
    spec = replace(spec, hyper={**spec.hyper, **unseen})
    if spec.path != str(path):
        raise InputError(f"{record}: the settings given belong to {RUNS}/{spec.path}")
    return spec


def _pretrained(spec: RunSpec, results: Path) -> Path | None:
    """The weights made by the pretraining of the model; None if it has none."""
    if spec.pretraining is None:
        return None
    path = results / RUNS / spec.pretraining.path / MODEL
    if not path.is_file():
        raise InputError(f"{path}: missing; it is made by pretraining {spec.model}, which the workflow does first")
    return path


def _weights(spec: RunSpec, pretrained: Path | None) -> dict[str, str]:
    """Hashes of the pretrained weights and of the user's own code that a run uses, if any."""
    if spec.family == "nlp":
        from replication.text.encoders import fingerprint

        return {"weights": fingerprint(spec.model_options)}
    from replication.operators.models import fingerprints

    found = fingerprints(spec.model_options)
    if spec.weights is None:
        found.pop("weights", None)
    return found if pretrained is None else {**found, "weights": sha256(pretrained)}


def _trainer(spec: RunSpec, data: Path, tokens: Path | None, weights: Path | None) -> Callable[..., None]:
    if spec.family == "nlp":
        from replication.text.training import finetune

        if tokens is None:
            raise InputError(f"{spec.path}: --tokens is missing; a text run needs it")
        return partial(finetune, data=data, tokens=tokens)
    from replication.operators.training import train

    return partial(train, data=data, weights=weights)


def data_hash(data: Path) -> str:
    """Hash of a data set's manifest, which has the hashes of its files, so that no run reads 55 GB to hash them."""
    manifest = data / "manifest.json" if data.is_dir() else data.with_name(data.name + ".json")
    with suppress(OSError, ValueError):
        if isinstance(json.loads(manifest.read_text(encoding="utf-8")), dict):
            return sha256(manifest)
    raise InputError(f"{manifest}: missing or damaged, so {data} is not a finished data set; make the data again")
