"""The user's configuration and the catalogue: read and validated, with every default filled in."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic.dataclasses
from pydantic import ConfigDict, Field, StrictBool, StrictInt

from replication.errors import ConfigError
from replication.settings.checks import (
    DATACLASS,
    FAMILIES,
    Family,
    FileNames,
    Model,
    Name,
    Options,
    Scale,
    Seed,
    Seeds,
    Text,
    known_keys,
    suggestion,
    validate,
    within,
)  # fmt: skip
from replication.settings.experiment import Only
from replication.settings.hyper import LABELS, NlpMethod, OperatorMethod, Pretraining
from replication.settings.yamlfile import read_yaml

Folder = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./-]*$")]

# The names that transformers accepts; importing it here would cost seconds.
Tracker = Literal[
    "none", "azure_ml", "clearml", "codecarbon", "comet_ml", "dagshub", "dvclive", "flyte", "kubeflow", "mlflow",
    "neptune", "swanlab", "tensorboard", "trackio", "wandb",
]  # fmt: skip


class Subset(Model):
    """How training rows are chosen (:mod:`replication.runs.subset`)."""

    rule: Literal["released", "random", "stratified"] = Field(
        "released",
        description="released: the first rows (language) or every k-th row (operators), as in the released code; "
        "random: a seeded draw; stratified: a seeded draw that keeps the shares of the classes",
    )
    seed: Seed = Field(0, description="seed of the draw")


@pydantic.dataclasses.dataclass(frozen=True, config=DATACLASS)
class Config:
    """``config.yaml``, validated. Fields are its keys."""

    scale: Scale = Field(description="which grid of each experiment to run")
    experiments: Annotated[FileNames, Field(min_length=1)] | Literal["all"] = Field(
        description="names of files under experiments/ (without .yaml), or all: every one that declares the scale "
        "and is not on request"
    )
    study_dir: Text | None = Field(
        None, description="a folder of yours, anywhere; its experiments/ and catalog/ are read too"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto: a GPU if there is one; cpu: never a GPU; cuda: a GPU is required"
    )
    jobs_per_gpu: StrictInt = Field(1, ge=1, le=64, description="training jobs that share one GPU")
    seeds: Seeds | None = Field(None, description="replaces the seeds of every experiment")
    only: Only = Field(Only(), description="restricts the grid to the runs that match every given key")
    subset: Subset = Field(Subset(), description="how training rows are chosen")
    data_folders: dict[Name, Text] = Field({}, description="data set: folder with your own copy of the published files")
    datasets: dict[str, Options] = Field({}, description="new data sets, or changed options of those in the catalogue")
    models: dict[str, Options] = Field({}, description="new models, or changed options of those in the catalogue")
    methods: dict[str, Options] = Field({}, description="new methods, or changed options of those in the catalogue")
    results_dir: Folder = Field("results", description="folder of results, below the working directory")
    figures_dir: Folder = Field("figures", description="folder of figures, below the working directory")
    keep_models: StrictBool = Field(True, description="keep trained weights; their spectra are always kept")
    report_to: Tracker = Field(
        "none", description="tracker that shows trainings while they run; operators support tensorboard only"
    )
    runs_per_job: StrictInt = Field(
        0, ge=0, description="runs of a cell (its seeds) that one job trains, one after the other; 0: all of them"
    )
    style: Options = Field({}, description="matplotlib rc parameters that override the figures' style")
    _keys = known_keys

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], root: Path, source: str = "config.yaml") -> Config:
        """The configuration from plain values, as a file or ``snakemake --config`` gives them.

        ``root`` is the repository, with ``experiments`` below it; error messages begin with ``source``.

        Raises ConfigError naming key, value and what was expected.
        """
        config: Config = validate(cls, values, source)
        for key in ("results_dir", "figures_dir"):
            if ".." in Path(folder := getattr(config, key)).parts:
                raise ConfigError(f"{source}: key '{key}' is {folder!r}, expected a folder below this one")
            for path in map(str, (Path(folder), *Path(folder).parents)):
                if os.path.lexists(path) and not os.path.isdir(path):  # noqa: PTH112 - False for a name that is too long
                    what = "a link that leads nowhere" if os.path.islink(path) else "a file"  # noqa: PTH114
                    raise ConfigError(f"{source}: key '{key}' is {folder!r}, but {path} is {what}")
        for key, folder in {"study_dir": config.study_dir or "", **config.data_folders}.items():
            try:
                Path(folder).expanduser()
            except RuntimeError:
                raise ConfigError(f"{source}: the folder of {key} is {folder!r}, but this user has no home") from None
        if config.study_dir and not list((config.study(root)[-1] / "experiments").glob("*.yaml")):
            raise ConfigError(f"{source}: key 'study_dir' is {config.study_dir!r}, which has no experiments/*.yaml")
        known = [*available_experiments(root, config)]
        for name in config.experiments if config.experiments != "all" else ():
            if name not in known:
                raise ConfigError(
                    f"{source}: key 'experiments' names '{name}', but there is no experiments/{name}.yaml"
                    f"{suggestion(name, known)}; there are: {', '.join(known)}"
                )
        return config

    def study(self, root: Path) -> tuple[Path, ...]:
        """The folders with ``experiments/`` and ``catalog/``: the repository, and the user's own."""
        return (root, Path(self.study_dir).expanduser()) if self.study_dir else (root,)


#: Folders in the results folder. An experiment, whose tables are in a folder of its name, cannot have these names.
RESERVED = ("data", "logs", "runs", "subsets", "tables", "trivial")


def available_experiments(root: Path, config: Config) -> dict[str, Path]:
    """Name -> file of every experiment, sorted; the repository's, then the user's own.

    Raises ConfigError for a file name that is not allowed, or that both have.
    """
    files: dict[str, Path] = {}
    for folder in config.study(root):
        for path in sorted((folder / "experiments").glob("*.yaml")):
            plain = re.fullmatch(r"[a-z0-9][a-z0-9_]*", path.stem)
            if not plain or path.stem in RESERVED:
                why = "results have a folder of that name" if plain else "use small letters, digits and _ only"
                raise ConfigError(f"experiments/: the file name {path.name!r} is not allowed; {why}")
            if path.stem in files:
                raise ConfigError(
                    f"{path}: the repository has an experiment {path.stem} too; rename yours (study_dir in config.yaml)"
                )
            files[path.stem] = path
    return files


def read_config(path: Path, root: Path, changes: Mapping[str, Any] = {}) -> Config:
    """The configuration of a file, which overrides the repository's ``config.yaml`` as ``--configfile`` does."""
    values = read_yaml(path) or {}
    if isinstance(values, dict):
        base = root / "config.yaml"
        values = {**(read_yaml(base) or {} if base.is_file() else {}), **values, **changes}
    return Config.from_mapping(values, root, str(path))


class Labels(Model):
    """Those options of a catalogue entry that are only shown."""

    title: Text | None = Field(None, description="its name in figures and tables; its id by default")
    published_as: str | None = Field(None, description="its name in the published tables")


class Entry(Labels):
    """A model or data set of the catalogue; its other options depend on its kind."""

    model_config = ConfigDict(extra="allow")
    family: Family


class NlpEntry(NlpMethod, Labels):
    """A method of the catalogue."""

    family: Literal["nlp"]
    optimizer: Literal["adamw", "adafactor", "sam"]


class OperatorEntry(OperatorMethod, Labels):
    """A method of the catalogue."""

    family: Literal["sciml"]
    optimizer: Literal["adam", "none"]


class CatalogFile(Model):
    """``catalog/*.yaml``: id -> options."""

    models: dict[Name, Entry] = Field({}, description="see docs/nlp.md and docs/sciml.md for their options")
    datasets: dict[Name, Entry] = Field({}, description="see docs/nlp.md and docs/data-sciml.md for their options")
    methods: dict[Name, Annotated[NlpEntry | OperatorEntry, Field(discriminator="family")]] = Field(
        {}, description="how a model is trained"
    )


@dataclass(frozen=True)
class Catalog:
    """Every declared model, data set and method: kind -> family -> id -> options.

    Kinds are ``models``, ``datasets`` and ``methods``. Ids are unique within a family: both families have a ``tb``.
    """

    tables: Mapping[str, Mapping[str, Options]]

    @classmethod
    def read(cls, root: Path, config: Config) -> Catalog:
        """The files of every ``catalog/``, overridden by the configuration's own entries.

        Raises ConfigError for a file that is not valid, or if two files declare the same id.
        """
        tables: dict[str, dict[str, Options]] = {
            kind: {family: {} for family in FAMILIES} for kind in CatalogFile.model_fields
        }
        for path in (path for folder in config.study(root) for path in sorted((folder / "catalog").glob("*.yaml"))):
            content = read_yaml(path)
            validate(CatalogFile, content, f"catalog/{path.name}")
            for kind, entries in content.items():
                for name, options in entries.items():
                    table = tables[kind][options["family"]]
                    if name in table:
                        raise ConfigError(f"catalog/{path.name}: {kind} '{name}' is declared in another file too")
                    table[name] = options
        for kind, families in tables.items():
            for name, options in getattr(config, kind).items():
                named = (
                    [options["family"]] if "family" in options else [one for one in families if name in families[one]]
                )
                if len(named) != 1:
                    why = "both families have it" if named else "no family has it"
                    raise ConfigError(f"config.yaml: key '{kind}.{name}' needs a 'family' (nlp or sciml): {why}")
                family = named[0]
                merged = {**families.get(str(family), {}).get(name, {}), **options, "family": family}
                validate(CatalogFile, {kind: {name: merged}}, "config.yaml")
                families[family][name] = merged
        return cls(tables)

    def entry(self, kind: str, family: str, name: str) -> Options:
        """One entry's options without labels, and of a pretrained model all that affects its weights.

        Raises ConfigError for an id the family does not have, and for a mistake in the option ``pretrain``.
        """
        table = self.tables[kind][family]
        if name not in table:
            for other, entries in self.tables[kind].items():
                if name in entries:
                    raise ConfigError(f"the {kind[:-1]} '{name}' is of the family {other}, not {family}")
            raise ConfigError(
                f"unknown {kind[:-1]} '{name}'{suggestion(name, table)}; known: {', '.join(sorted(table))}"
            )
        options = {key: value for key, value in table[name].items() if key not in LABELS}
        if kind == "models" and "pretrain" in options:
            with within(f"model '{name}'"):
                return self._with_pretraining(family, options)
        return options

    def _with_pretraining(self, family: str, model: Options) -> Options:
        """A model's options with those of its pretraining's data set and all defaults, as parts of its runs' ids."""
        where = "model option 'pretrain'"
        if family != "sciml" or model.pop("weights", None) is not None:
            raise ConfigError(f"{where} is for operators only and excludes 'weights'")
        given: Pretraining = validate(Pretraining, model["pretrain"], where)
        with within(where):
            data = self.entry("datasets", family, given.dataset)
        return {**model, "pretrain": {**given.model_dump(mode="json", exclude_none=True), "dataset_options": data}}
