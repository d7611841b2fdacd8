"""The grid: experiment files expanded into cells and runs, each run with everything it needs to know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

from replication.errors import ConfigError
from replication.settings.config import Catalog, Config
from replication.settings.paths import format_ratio
from replication.settings.spec import Options, RunSpec, digest, without_labels
from replication.settings.yamlfile import read_yaml, validate

#: Hyper-parameters that mean something only to a method that balances.
BALANCE_KEYS = ("s", "s_min", "s_max")


@dataclass(frozen=True)
class Trial:
    """One candidate of a search (``values`` is empty where nothing is searched), with a run for each seed."""

    values: Options
    runs: tuple[RunSpec, ...]


@dataclass(frozen=True)
class Cell:
    """A model, data set, ratio and method of one experiment; the best of its trials is what tables show."""

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
    """One file of ``experiments/`` at the configured scale: a selection of runs, and what is shown of them."""

    name: str
    title: str
    family: str
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
    """All experiments of a configuration; ``skipped`` says why the others were left out."""

    config: Config
    catalog: Catalog
    experiments: Mapping[str, Experiment]
    skipped: Mapping[str, str]

    @cached_property
    def runs(self) -> dict[str, RunSpec]:
        """Path -> run, for every run that is trained; one that several experiments select is here once."""
        return {path: run for experiment in self.experiments.values() for path, run in experiment.runs.items()}

    @cached_property
    def datasets(self) -> dict[str, Options]:
        """Id -> options without labels, for the data sets that a run uses."""
        return {run.dataset: run.dataset_options for run in self.runs.values()}

    @cached_property
    def models(self) -> dict[str, Options]:
        """Id -> options without labels, for the models that a run uses."""
        return {run.model: run.model_options for run in self.runs.values()}

    @cached_property
    def families(self) -> dict[str, str]:
        """Data set id -> family."""
        return {run.dataset: run.family for run in self.runs.values()}

    def fingerprint(self, experiment: str) -> str:
        """Hash of everything that decides an experiment's tables: its runs, and what is shown of them."""
        chosen = self.experiments[experiment]
        shown = {
            (run.family, kind, getattr(run, kind))
            for run in chosen.runs.values()
            for kind in ("model", "dataset", "method")
        }
        labels = [[*key, self.labels(*key)] for key in sorted(shown)]
        return digest(
            [chosen.scale, chosen.stand_in, [cell.select_on for cell in chosen.cells], [*chosen.runs], labels]
        )

    def labels(self, family: str, kind: str, name: str) -> dict[str, str]:
        """What is shown of a model, data set or method: ``title``, and ``published_as`` in the paper's table."""
        options = self.catalog.tables[f"{kind}s"][family][name]
        return {"title": options.get("title", name), "published_as": options.get("published_as", name)}


def load_grid(root: Path, config: Config) -> Grid:
    """Expand the configured experiments.

    Raises ConfigError for an unknown model, data set, method or scale, an override that matches nothing, or a cell
    that an experiment has twice.
    """
    catalog = Catalog.read(root, config)
    experiments: dict[str, Experiment] = {}
    skipped: dict[str, str] = {}
    for name in config.experiments:
        source = f"experiments/{name}.yaml"
        content = read_yaml(root / source)
        schema = root / "workflow/schemas/experiment.schema.yaml"
        validate(content, schema, source)
        _check_searches(content, schema, source)
        if config.scale not in content["scales"]:
            skipped[name] = f"it declares no {config.scale} scale"
            continue
        scale = content["scales"][config.scale]
        if config.all_experiments and scale.get("on_request"):
            skipped[name] = "it takes long, so it runs only where config.yaml names it"
            continue
        missing = sorted(set(scale.get("needs_folders", ())) - set(config.data_folders))
        if config.all_experiments and missing:
            skipped[name] = f"data_folders in config.yaml names no folder of {', '.join(missing)}"
            continue
        experiments[name] = _expand(name, content, config, catalog, source)
    if not experiments:
        raise ConfigError(
            f"config.yaml: key 'experiments' is {list(config.experiments)}, "
            f"but none of them declares the scale '{config.scale}'"
        )
    return Grid(config, catalog, experiments, skipped)


def _expand(name: str, content: Mapping[str, Any], config: Config, catalog: Catalog, source: str) -> Experiment:
    scale = content["scales"][config.scale]
    cells: dict[tuple[Any, ...], Cell] = {}
    for index, block in enumerate(scale["grid"]):
        where = f"{source}: key 'scales.{config.scale}.grid[{index}]'"
        for cell in _block_cells(block, content["family"], scale["seeds"], config, catalog, where):
            key = (cell.model, cell.dataset, cell.ratio, cell.method)
            if key in cells:
                raise ConfigError(f"{where} gives {_named(key)} a second time")
            cells[key] = cell
    return Experiment(
        name, content["title"], content["family"], content.get("artifact"), config.scale, scale.get("stand_in", ""),
        tuple(cells.values()),
    )  # fmt: skip


def _named(key: tuple[Any, ...]) -> str:
    model, dataset, ratio, method = key
    return f"{model}/{dataset}/ratio={format_ratio(ratio)}/{method}"


def _block_cells(
    block: Mapping[str, Any], family: str, seeds: Sequence[int], config: Config, catalog: Catalog, where: str
) -> Iterator[Cell]:
    seeds = config.seeds or block.get("seeds") or seeds
    options = {
        kind: {item: without_labels(catalog.entry(kind, family, item, where)) for item in block[kind]}
        for kind in ("models", "datasets", "methods")
    }
    keys = list(product(block["models"], block["datasets"], block["ratios"], block["methods"]))
    _check_overrides(block, keys, seeds, where, config)
    for model, dataset, ratio, method in keys:
        trials: dict[str, Trial] = {}
        for seed in seeds:
            identity = {"model": model, "dataset": dataset, "ratio": ratio, "method": method, "seed": seed}
            balanced = options["methods"][method].get("balance") is not None
            hyper, search = _resolve(block, identity, balanced)
            run = RunSpec(
                family=family,
                **identity,
                model_options=options["models"][model],
                dataset_options=options["datasets"][dataset],
                method_options=options["methods"][method],
                hyper=hyper,
                subset={"rule": config.subset.rule, "seed": config.subset.seed},
            )
            for values in _combinations(search):
                chosen = replace(run, hyper={**hyper, **values})
                earlier = trials.get(str(values), Trial(values, ()))
                trials[str(values)] = Trial(values, (*earlier.runs, chosen))
        yield Cell(model, dataset, ratio, method, tuple(trials.values()), block.get("select_on", "validation"))


def _matches(when: Mapping[str, Sequence[Any]], identity: Mapping[str, Any]) -> bool:
    return all(identity[key] in allowed for key, allowed in when.items())


def _resolve(block: Mapping[str, Any], identity: Mapping[str, Any], balanced: bool) -> tuple[Options, Options]:
    hyper, search = dict(block["hyper"]), dict(block.get("search", {}))
    for override in block.get("overrides", ()):
        if _matches(override["when"], identity):
            hyper.update(override.get("hyper", {}))
            search.update(override.get("search", {}))
    if not balanced:
        hyper = {key: value for key, value in hyper.items() if key not in BALANCE_KEYS}
        search = {key: value for key, value in search.items() if key not in BALANCE_KEYS}
    return hyper, search


def _combinations(search: Options) -> Iterator[Options]:
    for values in product(*search.values()):
        yield dict(zip(search, values, strict=True))


def _check_searches(content: Mapping[str, Any], schema: Path, source: str) -> None:
    """Every candidate of a search must be a value that the hyper-parameter may have."""
    for scale, grid in ((name, scale["grid"]) for name, scale in content["scales"].items()):
        for index, block in enumerate(grid):
            for holder in (block, *block.get("overrides", ())):
                for key, candidates in holder.get("search", {}).items():
                    for candidate in candidates:
                        where = f"{source}: below 'scales.{scale}.grid[{index}]', search"
                        validate({key: candidate}, schema, where, part="hyper")


def _check_overrides(
    block: Mapping[str, Any], cells: Sequence[tuple[Any, ...]], seeds: Sequence[int], where: str, config: Config
) -> None:
    axes: dict[str, set[Any]] = {
        key: {cell[position] for cell in cells} for position, key in enumerate(("model", "dataset", "ratio", "method"))
    }
    axes["seed"] = set(seeds)
    for index, override in enumerate(block.get("overrides", ())):
        for key, allowed in override["when"].items():
            unknown = [value for value in allowed if value not in axes[key]]
            # Seeds replaced from config.yaml may leave a seed's override without a run; that is no mistake.
            if unknown and not (key == "seed" and config.seeds):
                raise ConfigError(
                    f"{where}.overrides[{index}].when.{key} names {unknown[0]!r}, "
                    f"which this block does not have: {sorted(axes[key])}"
                )
