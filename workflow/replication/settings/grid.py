"""The grid: experiment files expanded into cells and fully resolved runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

from replication.errors import ConfigError
from replication.settings.artifacts import FLOW_DIMENSIONS, Artifact, Index, own_artifacts, read_index
from replication.settings.checks import Family, Options, suggestion, validate, within
from replication.settings.config import Catalog, Config, available_experiments
from replication.settings.experiment import Block, ExperimentFile, experiment_type
from replication.settings.hyper import resolve, unread_hyper
from replication.settings.paths import format_ratio
from replication.settings.spec import RunSpec, digest
from replication.settings.yamlfile import read_yaml

#: What distinguishes the runs of an experiment, apart from hyper-parameters.
AXES = ("model", "dataset", "ratio", "method", "seed")


@dataclass(frozen=True)
class Trial:
    """One candidate of a search, with a run for each seed. Without a search, ``values`` is empty."""

    values: Options
    runs: tuple[RunSpec, ...]


@dataclass(frozen=True)
class Cell:
    """A model, data set, ratio and method of one experiment. Tables show the best of its trials."""

    model: str
    dataset: str
    ratio: float
    method: str
    trials: tuple[Trial, ...]
    select_on: str = "validation"

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of every trial."""
        return tuple(run.seed for run in self.trials[0].runs)

    @property
    def runs(self) -> tuple[RunSpec, ...]:
        """The runs of all trials."""
        return tuple(run for trial in self.trials for run in trial.runs)

    def candidates(self, seed: int) -> tuple[RunSpec, ...]:
        """One seed's run of each trial."""
        return tuple(run for run in self.runs if run.seed == seed)


@dataclass(frozen=True)
class Experiment:
    """One file of ``experiments/`` at the configured scale: a selection of runs, and how they are shown."""

    name: str
    title: str
    family: Family
    artifact: str | None
    scale: str
    stand_in: str
    cells: tuple[Cell, ...]

    @cached_property
    def runs(self) -> dict[str, RunSpec]:
        """Path -> run, of every cell and trial."""
        return {run.path: run for cell in self.cells for run in cell.runs}


@dataclass(frozen=True)
class Grid:
    """All experiments of a configuration and what shows them; ``skipped`` says why others were left out."""

    config: Config
    catalog: Catalog
    experiments: Mapping[str, Experiment]
    skipped: Mapping[str, str]
    index: Index

    @cached_property
    def runs(self) -> dict[str, RunSpec]:
        """Path -> run, for every run that an experiment selects; a run that several select is here once."""
        return {path: run for experiment in self.experiments.values() for path, run in experiment.runs.items()}

    @cached_property
    def pretrainings(self) -> dict[str, RunSpec]:
        """Path -> run, for every run whose weights other runs start from."""
        found = (run.pretraining for run in self.runs.values())
        return {run.path: run for run in found if run is not None}

    @cached_property
    def trainings(self) -> dict[str, RunSpec]:
        """Path -> run, for every pretraining and every run."""
        return {**self.pretrainings, **self.runs}

    @cached_property
    def datasets(self) -> dict[str, Options]:
        """Id -> options without labels, for the data sets that a run or a pretraining uses."""
        return {run.dataset: run.dataset_options for run in self.trainings.values()}

    @cached_property
    def models(self) -> dict[str, Options]:
        """Id -> options without labels, for the models that a run uses."""
        return {run.model: run.model_options for run in self.runs.values()}

    @cached_property
    def families(self) -> dict[str, str]:
        """Data set id -> family."""
        return {run.dataset: run.family for run in self.trainings.values()}

    def fingerprint(self, experiment: str) -> str:
        """Hash of everything that affects an experiment's tables: its runs and their labels."""
        chosen = self.experiments[experiment]
        kinds = ("model", "dataset", "method")
        shown = {(chosen.family, kind, getattr(cell, kind)) for cell in chosen.cells for kind in kinds}
        labels = [[*key, self.labels(*key)] for key in sorted(shown)]
        return digest(
            [chosen.scale, chosen.stand_in, [cell.select_on for cell in chosen.cells], [*chosen.runs], labels]
        )

    def labels(self, family: str, kind: str, name: str) -> dict[str, str]:
        """Labels of a model, data set or method: ``title``, and ``published_as``, its name in the published table."""
        options = self.catalog.tables[f"{kind}s"][family][name]
        return {"title": options.get("title", name), "published_as": options.get("published_as", name)}


def load_grid(root: Path, config: Config) -> Grid:
    """Expand the configured experiments.

    Raises ConfigError for an unknown model, data set, method, artifact or scale, an override that matches nothing, or a
    cell that occurs twice in an experiment.
    """
    catalog = Catalog.read(root, config)
    experiments: dict[str, Experiment] = {}
    skipped: dict[str, str] = {}
    declared: dict[str, str | None] = {}
    every = config.experiments == "all"
    files = available_experiments(root, config)
    for name in files if every else config.experiments:
        source = f"experiments/{name}.yaml"
        content = validate(experiment_type(), read_yaml(files[name]), source)
        declared[name] = content.artifact
        if config.scale not in content.scales:
            skipped[name] = f"it declares no {config.scale} scale"
            continue
        scale = content.scales[config.scale]
        if every and scale.on_request:
            skipped[name] = "it takes long, so it runs only if config.yaml names it"
            continue
        missing = sorted({*(scale.needs_folders or ())} - set(config.data_folders))
        if every and missing:
            skipped[name] = f"data_folders in config.yaml names no folder for {', '.join(missing)}"
            continue
        experiments[name] = _expand(name, content, config, catalog, source)
    index = _index(declared, experiments)
    if only := config.only.given():
        kept = _slice(experiments, only, index)
        reason = "key 'only' in config.yaml leaves none of its runs"
        skipped |= {name: reason for name in experiments if name not in kept}
        experiments, index = kept, _index(declared, kept)
    if not experiments:
        raise ConfigError(
            f"config.yaml: key 'experiments' is {'all' if every else list(config.experiments)}, "
            f"but none of them declares the scale '{config.scale}'"
        )
    return Grid(config, catalog, experiments, skipped, index)


def _index(declared: Mapping[str, str | None], experiments: Mapping[str, Experiment]) -> Index:
    own: dict[str, Artifact] = {}
    for name, experiment in experiments.items():
        if experiment.artifact is None:
            methods = {run.method: run.method_options for run in experiment.runs.values()}
            own |= own_artifacts(name, experiment.title, experiment.family, methods, _flows(experiment.cells))
    return read_index().of(declared, own)


def _flows(cells: Sequence[Cell]) -> set[int]:
    """Space dimensions of the flows that all methods predict with the same settings, so that figures can show them."""
    methods: defaultdict[tuple[Any, ...], set[str]] = defaultdict(set)
    for cell in cells:
        if dimension := FLOW_DIMENSIONS.get(cell.runs[0].dataset_options.get("pde", "")):
            methods[dimension, cell.model, cell.dataset, cell.ratio, cell.seeds[0]].add(cell.method)
    every = {cell.method for cell in cells}
    return {setting[0] for setting in methods} - {setting[0] for setting, some in methods.items() if some != every}


def _slice(experiments: Mapping[str, Experiment], only: Options, index: Index) -> dict[str, Experiment]:
    """The experiments with those runs that ``only`` keeps.

    Raises ConfigError for a value that no run has, and if no run has all of the values.
    """
    said = "; ".join(f"{key} {', '.join(map(str, values))}" for key, values in only.items())
    if artifacts := only.pop("artifact", None):
        _check_only("artifact", artifacts, {name for name, artifact in index.artifacts.items() if artifact.sources})
        wanted = {source for name in artifacts for source in index.artifacts[name].sources}
        experiments = {name: experiment for name, experiment in experiments.items() if name in wanted}
    for key, values in only.items():
        _check_only(key, values, {getattr(run, key) for chosen in experiments.values() for run in chosen.runs.values()})
    kept = {}
    for name, experiment in experiments.items():
        cells = (
            replace(cell, trials=tuple(replace(trial, runs=_matching(trial.runs, only)) for trial in cell.trials))
            for cell in experiment.cells
        )
        if filled := tuple(cell for cell in cells if cell.runs):
            # First, because a figure's small print is cut off at its end.
            stand_in = "; ".join(filter(None, [f"a part of the grid ({said})", experiment.stand_in]))
            kept[name] = replace(experiment, cells=filled, stand_in=stand_in)
    if not kept:
        raise ConfigError(f"config.yaml: key 'only' leaves no run: none has {said}")
    return kept


def _matching(runs: Iterable[RunSpec], only: Options) -> tuple[RunSpec, ...]:
    return tuple(run for run in runs if all(getattr(run, key) in values for key, values in only.items()))


def _check_only(key: str, values: Iterable[Any], known: Iterable[Any]) -> None:
    for value in values:
        if value not in known:
            raise ConfigError(
                f"config.yaml: key 'only.{key}' names {value!r}, which the configured experiments do not have"
                f"{suggestion(value, known)}; there are: {', '.join(map(str, sorted(known)))}"
            )


def _expand(name: str, content: ExperimentFile, config: Config, catalog: Catalog, source: str) -> Experiment:
    scale = content.scales[config.scale]
    cells: dict[str, Cell] = {}
    for index, block in enumerate(scale.grid):
        with within(f"{source}: key 'scales.{config.scale}.grid[{index}]'"):
            seeds = config.seeds or block.seeds or scale.seeds
            for cell in _block_cells(block, content.family, seeds, config, catalog):
                name_of_cell = f"{cell.model}/{cell.dataset}/ratio={format_ratio(cell.ratio)}/{cell.method}"
                if name_of_cell in cells:
                    raise ConfigError(f"it gives {name_of_cell} a second time")
                cells[name_of_cell] = cell
    # Without this text, figures and verdicts would treat it as the paper's setting.
    stand_in = scale.stand_in or ("" if content.artifact else "own models and data, not the paper's")
    return Experiment(
        name, content.title, content.family, content.artifact, config.scale, stand_in, tuple(cells.values())
    )


def _block_cells(
    block: Block, family: Family, seeds: Sequence[int], config: Config, catalog: Catalog
) -> Iterator[Cell]:
    options = {
        kind: {name: catalog.entry(kind, family, name) for name in getattr(block, kind)}
        for kind in ("models", "datasets", "methods")
    }
    axes = (block.models, block.datasets, block.ratios, block.methods)
    _check_overrides(block, dict(zip(AXES, (*axes, seeds), strict=True)), config)
    subset = config.subset.model_dump()
    unread = {name: unread_hyper(family, method) for name, method in options["methods"].items()}
    for model, dataset, ratio, method in product(*axes):
        trials: dict[str, Trial] = {}
        for seed in seeds:
            identity: dict[str, Any] = dict(zip(AXES, (model, dataset, ratio, method, seed), strict=True))
            hyper, search = _settings(block, identity, unread[method])
            for candidates in product(*search.values()):
                values = dict(zip(search, candidates, strict=True))
                method_options, chosen = resolve(family, options["methods"][method], {**hyper, **values})
                run = RunSpec(
                    family=family,
                    **identity,
                    model_options=options["models"][model],
                    dataset_options=options["datasets"][dataset],
                    method_options=method_options,
                    hyper=chosen,
                    subset=subset,
                )
                earlier = trials.get(str(values), Trial(values, ()))
                trials[str(values)] = Trial(values, (*earlier.runs, run))
        yield Cell(model, dataset, ratio, method, tuple(trials.values()), block.select_on)


def _settings(block: Block, identity: Mapping[str, Any], unread: set[str]) -> tuple[Options, Options]:
    """Hyper-parameters and search candidates of a run, without those that its method does not read."""
    hyper, search = block.hyper.given(), block.search.given() if block.search else {}
    for override in block.overrides:
        if all(identity[key] in allowed for key, allowed in override.when.given().items()):
            changes = override.hyper.given()
            if "s" in changes:
                hyper = {key: value for key, value in hyper.items() if key not in ("s_min", "s_max")}
            hyper.update(changes)
            search.update(override.search.given() if override.search else {})
    hyper, search = ({key: value for key, value in some.items() if key not in unread} for some in (hyper, search))
    sides = [key for key in ("s_min", "s_max") if key in hyper or key in search]
    if "s" in search and sides:
        raise ConfigError(
            f"it searches 's', which sets both sides, and also has '{sides[0]}' for the method {identity['method']}; "
            "leave one of them out"
        )
    return hyper, search


def _check_overrides(block: Block, axes: Mapping[str, Sequence[Any]], config: Config) -> None:
    for index, override in enumerate(block.overrides):
        for key, allowed in override.when.given().items():
            unknown = [value for value in allowed if value not in axes[key]]
            # Seeds given in config.yaml may leave an override of a seed without runs; that is not a mistake.
            if unknown and not (key == "seed" and config.seeds):
                raise ConfigError(
                    f"'overrides[{index}].when.{key}' names {unknown[0]!r}, which this block does not have: "
                    f"{sorted(axes[key])}"
                )
