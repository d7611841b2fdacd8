# The configuration and the grid, checked once, and the helpers that every stage shares.

import os
import re
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import update_config

from replication.runs.predictions import esd_runs, example_runs, flow_dimensions
from replication.errors import TempBalanceError
from replication.operators.own import code_file
from replication.settings.config import Config
from replication.settings.grid import load_grid
from replication.runs.provenance import version_differences
from replication.runs.tracking import check_tracker
from replication.settings.spec import canonical_json
from replication.settings.yamlfile import as_read, read_yaml

# Not workflow.basedir: if another workflow imports this one as a module, that is the other's folder.
ROOT = Path(
    workflow.current_basedir.join("../..").get_path_or_uri(secret_free=False)
).resolve()
IS_MODULE = not workflow.modifier.is_main_snakefile()
# If this is a module, config.yaml in the working directory belongs to the other workflow.
OWN_CONFIG = (
    ROOT / "config.yaml"
    if IS_MODULE or not Path("config.yaml").is_file()
    else Path("config.yaml")
)


def load_configuration():
    """Config and grid; a mistake ends the workflow before any job, with one sentence."""
    try:
        for path in (OWN_CONFIG, *workflow.overwrite_configfiles):
            read_yaml(Path(path))
        settings = Config.from_mapping(
            config, ROOT, "configuration (config.yaml, --configfile or --config)"
        )
        check_tracker(settings.report_to)
        grid = load_grid(ROOT, settings)
        if workflow.is_main_process:
            from replication.preflight import check_grid

            check_grid(grid)
        return settings, grid
    except TempBalanceError as error:
        sys.exit(f"error: {error}")


configfile: str(OWN_CONFIG)


if IS_MODULE:
    if workflow.modifier.path_modifier.prefix:
        sys.exit(
            "error: this workflow cannot be imported with prefix:; give results_dir and figures_dir in config: instead"
        )
    # If a module is given `config:`, Snakemake ignores its `configfile:`. In place, because scripts read it too.
    config.update({**read_yaml(OWN_CONFIG), **config})
else:
    update_config(config, as_read(workflow.config_settings.config))

CONFIG, GRID = load_configuration()
RESULTS = CONFIG.results_dir
FIGURES = CONFIG.figures_dir
RUNS = f"{RESULTS}/runs"
CELL = f"{RUNS}/{{model}}/{{dataset}}/ratio={{ratio}}/{{method}}/{{id}}"
LOGS = f"{RESULTS}/logs"
MAIN = workflow.is_main_process
for folder in (RESULTS, FIGURES) if MAIN else ():
    if Path(folder).is_dir() and not os.access(folder, os.W_OK):
        logger.warning(f"{folder}: cannot be written, so nothing can be made there")
ASKED = read_yaml(ROOT / "profiles/resources.yaml")

TEXT_DATA = f"{RESULTS}/data/{{dataset}}/prepared"
TOKENS = f"{RESULTS}/data/{{dataset}}/tokens-{{model}}"
PDE_DATA = f"{RESULTS}/data/{{dataset}}/data.h5"

if workflow.is_main_process and (
    differences := version_differences(ROOT / "envs/constraints.txt")
):
    logger.warning(
        f"Not the pinned versions, so numbers may differ: {', '.join(differences)}"
    )

# Where a job runs and which files it keeps affect no number. Jobs get these settings from the environment, because a
# changed parameter of a rule would train every run again.
ENVIRONMENT = {
    "REPLICATION_DEVICE": CONFIG.device,
    "REPLICATION_JOBS_PER_GPU": CONFIG.jobs_per_gpu,
    "REPLICATION_KEEP_MODELS": int(CONFIG.keep_models),
    "REPLICATION_REPORT_TO": CONFIG.report_to,
}
# One thread per job: on a small model two threads are slower than one when jobs run side by side.
shell.prefix(
    # Last on the path, for a snakemake called by its full path outside its environment.
    f'export PATH="$PATH:{Path(sys.executable).parent}"; '
    "export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 NUMBA_NUM_THREADS=1 "
    "OMP_WAIT_POLICY=passive TOKENIZERS_PARALLELISM=false PYTHONHASHSEED=0 PYTHONWARNINGS=ignore "
    + " ".join(f"{name}={value}" for name, value in ENVIRONMENT.items())
    + "; "
)


def asks_for(rule, runs=1):
    """A job's resources at the configured scale: time is for all of its runs, and grows like memory with every attempt."""
    rules, scale = ASKED["rules"], CONFIG.scale
    asked = {**rules["default"][scale], **rules.get(rule, {}).get(scale, {})}
    if CONFIG.device == "cpu":
        asked["gpu"] = 0
    partition = ASKED["partition"]["gpu" if asked["gpu"] else "cpu"]
    cluster = {"slurm_partition": partition, "slurm_account": ASKED["account"]}
    return {
        "mem_mb": lambda wildcards, attempt: asked["mem_mb"] * attempt,
        "runtime": lambda wildcards, attempt: asked["runtime"] * runs * attempt,
        "gpu": asked["gpu"],
        **{name: value for name, value in cluster.items() if value},
    }


def one_of(names):
    """A wildcard constraint that matches only these names."""
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
    """Whether many samples are simulated at once, on a GPU if there is one."""
    return is_simulated(name, options) and options.get("solver") == "torch"


def is_published(name, options):
    return GRID.families[name] == "sciml" and options.get("source") != "simulate"


def dataset_options(wildcards):
    return canonical_json(GRID.datasets[wildcards.dataset])


def results_folder(_wildcards):
    """A function, because the linter would take plain text for a hardcoded prefix of the rule's files."""
    return RESULTS


def folder_argument(wildcards):
    folder = CONFIG.data_folders.get(wildcards.dataset)
    return ["--folder", folder] if folder else []


def own_files(wildcards):
    """The user's own files that a data set is made from; if one changes, the data set's runs are trained again."""
    options = GRID.datasets[wildcards.dataset]
    if wildcards.dataset in CONFIG.data_folders:
        return []
    source = options if options.get("source") == "file" else options.get("source")
    if not isinstance(source, dict) or "package" in source:
        return []
    files = [*source.get("files", {}).values(), source.get("file")]
    return [str(Path(name).expanduser()) for name in files if isinstance(name, str)]


def own_code(wildcards):
    """The Python file of a user's own operator; if it changes, the operator's runs are trained again."""
    file = code_file(GRID.models[wildcards.model])
    return [] if file is None else [str(file)]


def cell_spec(wildcards):
    """The settings that affect the numbers of a cell's runs, or an error for a path that no experiment declares."""
    spec = TRAININGS.get(wildcards.id)
    if spec is None:
        raise WorkflowError(
            f"no experiment of the configured scale declares runs with the id {wildcards.id}"
        )
    return spec.without_unseen().to_json()


def cell_unseen(wildcards, threads):
    """The other hyper-parameters of a cell's runs, as JSON.

    Snakemake does not compare parameters that depend on `threads`, so a change of these trains nothing.
    """
    return canonical_json(TRAININGS[wildcards.id].unseen)


def records(experiment):
    """The records of every run, and of every trial of a search, that an experiment selects."""
    return [f"{RUNS}/{path}/metrics.json" for path in GRID.experiments[experiment].runs]


def shown_files(experiment, name):
    """One file of every run that an experiment shows whatever the scores are.

    Trials of a search are left out: only one of them is shown, and the scores tell which. Its record, which a run
    publishes last, is an input instead. With files of every trial, planning a search of thousands takes long.
    """
    return [
        f"{RUNS}/{run.path}/{name}"
        for cell in GRID.experiments[experiment].cells
        if len(cell.trials) == 1
        for run in cell.runs
    ]


def pretrained_weights(wildcards):
    """The weights that a run starts from, if the workflow makes them."""
    spec = SPECS.get(wildcards.id)
    if spec is None or spec.pretraining is None:
        return []
    return [f"{RUNS}/{spec.pretraining.path}/model.safetensors"]


def trivial_files(experiment):
    """Scores of the trivial predictors on every data set of an experiment."""
    runs = GRID.experiments[experiment].runs.values()
    return [
        f"{RESULTS}/trivial/{name}.csv"
        for name in sorted({run.dataset for run in runs})
    ]


def training_data(wildcards):
    text = GRID.families[wildcards.dataset] == "nlp"
    return (TEXT_DATA if text else PDE_DATA).format(dataset=wildcards.dataset)


# Every run once, whichever experiments select it. Runs that differ only in the seed share an id.
PRETRAININGS = {run.id: run for run in GRID.pretrainings.values()}
SPECS = {run.id: run for run in GRID.runs.values()}
TRAININGS = {**PRETRAININGS, **SPECS}
PATHS = {}
for run in GRID.runs.values():
    PATHS.setdefault(run.id, {})[run.seed] = f"{RUNS}/{run.path}"


# What the configured experiments can build; the report says why anything else is missing.
PUBLISHED = f"{ROOT}/workflow/resources/published_results.csv"
PLAN = GRID.index.plan(
    GRID.experiments,
    scale=CONFIG.scale,
    skipped=GRID.skipped,
    flows=flow_dimensions(GRID.experiments),
    only=CONFIG.only.artifact,
)
ARTIFACTS = {**PLAN.figures, **PLAN.tables, **PLAN.animations}


wildcard_constraints:
    experiment=one_of(GRID.experiments),
    model=one_of(GRID.models),
    dataset=one_of(GRID.datasets),
    method=one_of({run.method for run in TRAININGS.values()}),
    id=r"[0-9a-f]+",
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
    """Rollouts of the runs that artifacts of sample predictions show, each run once."""
    runs = (
        run
        for name in artifacts
        for run in example_runs(ARTIFACTS[name], GRID.experiments)
    )
    return [f"{RUNS}/{path}/predictions.npz" for path in dict.fromkeys(runs)]


def figure_inputs():
    """Input functions of a figure: the collected tables, and files of single runs that it shows (spectra, rollouts)."""
    inputs = {
        name: lambda wildcards, name=name: tables_of(wildcards.figure, name)
        for name in ("runs", "layers", "spectra")
    }
    inputs["eigenvalues"] = lambda wildcards: [
        f"{RUNS}/{path}/eigenvalues.npz"
        for path in esd_runs(PLAN.figures[wildcards.figure], GRID.experiments)
    ]
    inputs["predictions"] = lambda wildcards: predictions_of([wildcards.figure])
    return inputs


def artifact(wildcards):
    """What a script has to know about an artifact."""
    (name,) = wildcards
    return ARTIFACTS[name].plain()


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
        f"{FIGURES}/{name}.{kind}"
        for name in ("forest", "agreement", *PLAN.figures)
        for kind in ("pdf", "png")
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
