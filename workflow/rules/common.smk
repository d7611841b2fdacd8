# The configuration and the grid, checked once, and the helpers that every stage shares.

import re
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

from replication.settings.artifacts import esd_runs, read_index
from replication.runs.predictions import example_runs, flow_dimensions
from replication.errors import TempBalanceError
from replication.settings.config import Config
from replication.settings.grid import load_grid
from replication.runs.provenance import version_differences
from replication.settings.spec import canonical_json
from replication.settings.yamlfile import read_yaml

ROOT = Path(workflow.basedir)
OWN_CONFIG = (
    Path("config.yaml") if Path("config.yaml").is_file() else ROOT / "config.yaml"
)


def load_configuration():
    """Config and grid; a mistake ends the run before any job, with one sentence."""
    try:
        for path in (OWN_CONFIG, *workflow.overwrite_configfiles):
            read_yaml(Path(path))
        settings = Config.from_mapping(
            config, ROOT, "configuration (config.yaml, --configfile or --config)"
        )
        return settings, load_grid(ROOT, settings)
    except TempBalanceError as error:
        sys.exit(f"error: {error}")


configfile: str(OWN_CONFIG)


CONFIG, GRID = load_configuration()
RESULTS = CONFIG.results_dir
FIGURES = CONFIG.figures_dir
RUN = (
    f"{RESULTS}/{{experiment}}/{{model}}/{{dataset}}/ratio={{ratio}}/{{method}}/{{run}}"
)
LOGS = f"{RESULTS}/logs"
ASKED = read_yaml(ROOT / "profiles/resources.yaml")

TEXT_DATA = f"{RESULTS}/data/{{dataset}}/prepared"
PDE_DATA = f"{RESULTS}/data/{{dataset}}/data.h5"

if workflow.is_main_process and (
    differences := version_differences(ROOT / "envs/constraints.txt")
):
    logger.warning(
        f"Not the pinned versions, so numbers may differ: {', '.join(differences)}"
    )

# One thread a job: two threads on a small model are slower than one when jobs run side by side.
shell.prefix(
    # Behind everything else on the path, for a snakemake called by its full name outside its environment.
    f'export PATH="$PATH:{Path(sys.executable).parent}"; '
    "export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 NUMBA_NUM_THREADS=1 "
    "OMP_WAIT_POLICY=passive TOKENIZERS_PARALLELISM=false PYTHONHASHSEED=0 PYTHONWARNINGS=ignore; "
)


def asks_for(rule):
    """What a job of the rule asks for at the configured scale; memory and time grow with every attempt."""
    rules, scale = ASKED["rules"], CONFIG.scale
    asked = {**rules["default"][scale], **rules.get(rule, {}).get(scale, {})}
    if CONFIG.device == "cpu":
        asked["gpu"] = 0
    partition = ASKED["partition"]["gpu" if asked["gpu"] else "cpu"]
    cluster = {"slurm_partition": partition, "slurm_account": ASKED["account"]}
    return {
        "mem_mb": lambda wildcards, attempt: asked["mem_mb"] * attempt,
        "runtime": lambda wildcards, attempt: asked["runtime"] * attempt,
        "gpu": asked["gpu"],
        **{name: value for name, value in cluster.items() if value},
    }


def one_of(names):
    """A wildcard constraint that matches these names and no other."""
    return "|".join(re.escape(name) for name in sorted(names)) or r"[^\s\S]"


def datasets_where(test):
    return one_of(
        name for name, options in GRID.datasets.items() if test(name, options)
    )


def is_text(name, _options):
    return GRID.families[name] == "nlp"


def is_simulated(name, options):
    return GRID.families[name] == "sciml" and options.get("source") == "simulate"


def is_batched(name, options):
    """Simulated many samples at once, on a GPU where there is one."""
    return is_simulated(name, options) and options.get("solver") == "torch"


def is_published(name, options):
    return GRID.families[name] == "sciml" and options.get("source") != "simulate"


def dataset_options(wildcards):
    return canonical_json(GRID.datasets[wildcards.dataset])


def folder_argument(wildcards):
    folder = CONFIG.data_folders.get(wildcards.dataset)
    return ["--folder", folder] if folder else []


def run_path(wildcards):
    w = wildcards
    return f"{w.experiment}/{w.model}/{w.dataset}/ratio={w.ratio}/{w.method}/{w.run}"


def run_spec(wildcards):
    """The run's specification, or an error for a path that no experiment declares."""
    path = run_path(wildcards)
    if path not in GRID.jobs:
        raise WorkflowError(
            f"no experiment of the configured scale declares the run {path}"
        )
    return GRID.jobs[path].to_json()


def run_files(experiment, name):
    """One file of every run that an experiment's tables show."""
    return [f"{RESULTS}/{run.path}/{name}" for run in GRID.experiments[experiment].runs]


def results_folder(_wildcards):
    return RESULTS


def training_data(wildcards):
    text = GRID.families[wildcards.dataset] == "nlp"
    return (TEXT_DATA if text else PDE_DATA).format(dataset=wildcards.dataset)


WEIGHTS = f"{RUN}/model.safetensors"
PREDICTIONS = f"{RUN}/predictions.npz"
SEARCHED = {
    cell: name for name, item in GRID.experiments.items() for cell in item.trials
}


def unless_kept(path):
    """Weights are large: at paper size they go once their spectra are computed."""
    return path if CONFIG.keep_models else temp(path)


def training_outputs():
    return {
        "metrics": f"{RUN}/metrics.json",
        "history": f"{RUN}/history.csv",
        "spectra": f"{RUN}/spectra.csv",
        "initial": f"{RUN}/initial_eigenvalues.npz",
        "weights": unless_kept(WEIGHTS),
    }


def operator_outputs():
    """An operator also leaves rollouts of a few test samples, for the figures."""
    return {**training_outputs(), "predictions": PREDICTIONS}


def adopted(outputs):
    """The same files as a cell's own run has them, once a trial is chosen."""
    own = f"{RESULTS}/{{cell}}/seed={{seed}}"
    return {name: path.replace(RUN, own) for name, path in outputs.items()}


def searched_in(family):
    """A wildcard constraint that matches the searched cells of a family."""
    return one_of(
        cell
        for cell, name in SEARCHED.items()
        if GRID.experiments[name].family == family
    )


def trial_records(wildcards):
    """Records of a cell's trials: of one seed where the rule has one, else of all."""
    seed = getattr(wildcards, "seed", None)
    experiment = GRID.experiments[SEARCHED[wildcards.cell]]
    return [
        f"{RESULTS}/{trial.path}/metrics.json"
        for trial in experiment.trials[wildcards.cell]
        if seed is None or trial.seed == int(seed)
    ]


# What the configured experiments can build; the report says of everything else why not.
INDEX = f"{ROOT}/workflow/resources/artifacts.yaml"
PUBLISHED = f"{ROOT}/workflow/resources/published_results.csv"
PLAN = read_index(INDEX).plan(
    GRID.experiments,
    scale=CONFIG.scale,
    skipped=GRID.skipped,
    flows=flow_dimensions(GRID.experiments),
)
ARTIFACTS = {**PLAN.figures, **PLAN.tables, **PLAN.animations}


wildcard_constraints:
    experiment=one_of(GRID.experiments),
    model=one_of({run.model for run in GRID.jobs.values()}),
    dataset=one_of(GRID.datasets),
    method=one_of({run.method for run in GRID.jobs.values()}),
    ratio=r"[0-9.e-]+",
    seed=r"[0-9]+",
    figure=one_of(PLAN.figures),
    table=one_of(PLAN.tables),
    animation=one_of(PLAN.animations),


def collected(name):
    """One collected table of every experiment."""
    return [f"{RESULTS}/{experiment}/{name}.csv" for experiment in GRID.experiments]


def tables_of(artifact, name):
    """One collected table of every experiment that an artifact shows, its main one first."""
    return [
        f"{RESULTS}/{experiment}/{name}.csv"
        for experiment in ARTIFACTS[artifact].sources
    ]


def predictions_of(artifacts):
    """Rollouts of the runs that artifacts of sample predictions show, each once."""
    runs = (
        run
        for name in artifacts
        for run in example_runs(ARTIFACTS[name], GRID.experiments)
    )
    return [f"{RESULTS}/{path}/predictions.npz" for path in dict.fromkeys(runs)]


def figure_inputs():
    """Input functions of a figure: the collected tables, and what single runs of it show (spectra, rollouts)."""
    inputs = {
        name: lambda wildcards, name=name: tables_of(wildcards.figure, name)
        for name in ("runs", "layers", "spectra")
    }
    inputs["eigenvalues"] = lambda wildcards: [
        f"{RESULTS}/{path}/eigenvalues.npz"
        for path in esd_runs(PLAN.figures[wildcards.figure], GRID.experiments)
    ]
    inputs["predictions"] = lambda wildcards: predictions_of([wildcards.figure])
    return inputs


def described(wildcards):
    """An artifact's title, caption and footnotes, for Snakemake's own report."""
    (name,) = wildcards
    artifact = ARTIFACTS[name]
    return [artifact.title, artifact.caption, *artifact.footnotes]


def animation_files():
    return [f"{FIGURES}/{name}.gif" for name in PLAN.animations]


def final_outputs():
    """Every figure, animation and table that the configuration can build, the verdicts and the report."""
    figures = [
        f"{FIGURES}/{name}.{kind}" for name in PLAN.figures for kind in ("pdf", "png")
    ]
    tables = [
        f"{RESULTS}/tables/{name}.{kind}"
        for name in (*PLAN.tables, "verdicts")
        for kind in ("csv", "md", "tex")
    ]
    return [
        *collected("runs"),
        *figures,
        *animation_files(),
        *tables,
        f"{RESULTS}/report.html",
    ]
