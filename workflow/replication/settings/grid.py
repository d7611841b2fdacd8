"""The grid: experiment files expanded into runs, each with everything it needs to know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

from replication.errors import ConfigError
from replication.settings.config import Catalog, Config
from replication.settings.spec import RECIPES, Options, RunSpec
from replication.settings.yamlfile import read_yaml, validate

#: Hyper-parameters that mean something only to a method that balances.
BALANCE_KEYS = ("s", "s_min", "s_max")


@dataclass(frozen=True)
class Experiment:
    """One file of ``experiments/`` at the configured scale."""

    name: str
    title: str
    family: str
    artifact: str | None
    stand_in: str
    runs: tuple[RunSpec, ...]
    trials: Mapping[str, tuple[RunSpec, ...]]
    select_on: Mapping[str, str]

    @cached_property
    def searched(self) -> bool:
        """Whether any cell chooses among trials."""
        return bool(self.trials)


@dataclass(frozen=True)
class Grid:
    """All experiments of a configuration; ``skipped`` says why the others were left out."""

    config: Config
    catalog: Catalog
    experiments: Mapping[str, Experiment]
    skipped: Mapping[str, str]

    @cached_property
    def runs(self) -> dict[str, RunSpec]:
        """Path -> run, for the runs that tables and figures show."""
        return {run.path: run for experiment in self.experiments.values() for run in experiment.runs}

    @cached_property
    def jobs(self) -> dict[str, RunSpec]:
        """Path -> run, for the runs that are trained: trials where a cell is searched, else the runs themselves."""
        jobs = {}
        for experiment in self.experiments.values():
            for run in experiment.runs:
                for job in experiment.trials.get(run.cell, (run,)):
                    jobs[job.path] = job
        return jobs

    @cached_property
    def datasets(self) -> dict[str, Options]:
        """Id -> options, for the data sets that a run uses."""
        return {run.dataset: run.dataset_options for run in self.jobs.values()}

    @cached_property
    def models(self) -> dict[str, Options]:
        """Id -> options, for the models that a run uses."""
        return {run.model: run.model_options for run in self.jobs.values()}

    @cached_property
    def families(self) -> dict[str, str]:
        """Data set id -> family."""
        return {run.dataset: run.family for run in self.jobs.values()}


def load_grid(root: Path, config: Config) -> Grid:
    """Expand the configured experiments.

    Raises ConfigError for an unknown model, data set, method or scale, an override that matches nothing, or two
    runs that would share a path.
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
    family = content["family"]
    runs: dict[str, RunSpec] = {}
    trials: dict[str, tuple[RunSpec, ...]] = {}
    select_on: dict[str, str] = {}
    for index, block in enumerate(scale["grid"]):
        where = f"{source}: key 'scales.{config.scale}.grid[{index}]'"
        entries = {
            kind: {item: catalog.entry(kind, family, item, where) for item in block[kind]}
            for kind in ("models", "datasets", "methods")
        }
        seeds = config.seeds or block.get("seeds") or scale["seeds"]
        cells = list(product(block["models"], block["datasets"], block["ratios"], block["methods"]))
        _check_overrides(block, cells, seeds, where, config)
        for (model, dataset, ratio, method), seed in product(cells, seeds):
            identity = {"model": model, "dataset": dataset, "ratio": ratio, "method": method, "seed": seed}
            balanced = entries["methods"][method].get("balance") is not None
            hyper, search = _resolve(block, identity, balanced)
            run = RunSpec(
                experiment=name,
                family=family,
                scale=config.scale,
                **identity,
                model_options=entries["models"][model],
                dataset_options=entries["datasets"][dataset],
                method_options=entries["methods"][method],
                hyper=hyper,
                stand_in=scale.get("stand_in", ""),
                recipe=RECIPES[family],
            )
            if run.path in runs:
                raise ConfigError(f"{where} gives the run {run.path} a second time")
            runs[run.path] = run
            if search:
                candidates = tuple(
                    replace(run, trial=trial, hyper={**hyper, **trial}) for trial in _combinations(search)
                )
                trials[run.cell] = trials.get(run.cell, ()) + candidates
                select_on[run.cell] = block.get("select_on", "validation")
    return Experiment(
        name, content["title"], family, content.get("artifact"), scale.get("stand_in", ""),
        tuple(runs.values()), trials, select_on,
    )  # fmt: skip


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
