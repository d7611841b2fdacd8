"""The user's configuration: read, checked, with every default filled in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from replication.errors import ConfigError
from replication.settings.spec import Options
from replication.settings.yamlfile import read_yaml, suggestion, validate

SCALES = ("smoke", "demo", "paper")
FAMILIES = ("nlp", "sciml")


@dataclass(frozen=True)
class Subset:
    """How training rows are chosen (see :mod:`replication.runs.subset`)."""

    rule: str = "released"
    seed: int = 0


@dataclass(frozen=True)
class Config:
    """``config.yaml``, checked. Fields are its keys."""

    scale: str
    experiments: tuple[str, ...]
    all_experiments: bool = False
    device: str = "auto"
    jobs_per_gpu: int = 1
    seeds: tuple[int, ...] | None = None
    subset: Subset = field(default_factory=Subset)
    data_folders: Mapping[str, str] = field(default_factory=dict)
    datasets: Options = field(default_factory=dict)
    models: Options = field(default_factory=dict)
    methods: Options = field(default_factory=dict)
    results_dir: str = "results"
    figures_dir: str = "figures"
    keep_models: bool = True
    runs_per_job: int = 0
    style: Options = field(default_factory=dict)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], root: Path, source: str = "config.yaml") -> Config:
        """The configuration from plain values, as a file or ``snakemake --config`` gives them.

        Args:
            values: keys and values.
            root: the repository, with ``workflow/schemas`` and ``experiments`` below it.
            source: what error messages call the values' origin.

        Raises ConfigError naming key, value and what was expected.
        """
        validate(values, root / "workflow/schemas/config.schema.yaml", source)
        fields = {key: value for key, value in values.items() if value is not None}
        for key in ("results_dir", "figures_dir"):
            if ".." in Path(fields.get(key, "")).parts:
                raise ConfigError(f"{source}: key '{key}' is {fields[key]!r}, a folder below this one was expected")
        fields["subset"] = Subset(**fields.get("subset", {}))
        if "seeds" in fields:
            fields["seeds"] = tuple(fields["seeds"])
        known = available_experiments(root)
        if fields["experiments"] == "all":
            fields["experiments"] = tuple(known)
            fields["all_experiments"] = True
        for name in fields["experiments"]:
            if name not in known:
                raise ConfigError(
                    f"{source}: key 'experiments' names '{name}', but there is no experiments/{name}.yaml"
                    f"{suggestion(name, known)}; there are: {', '.join(known)}"
                )
        fields["experiments"] = tuple(fields["experiments"])
        return cls(**fields)


def available_experiments(root: Path) -> list[str]:
    """Names of the experiment files, sorted. Raises ConfigError for a file whose name cannot be a folder's."""
    names = sorted(path.stem for path in (root / "experiments").glob("*.yaml"))
    for name in names:
        if not re.fullmatch(r"[a-z0-9][a-z0-9_]*", name):
            raise ConfigError(
                f"experiments/: the file name {name + '.yaml'!r} is not allowed; use small letters, digits and _ only"
            )
    return names


def read_config(path: Path, root: Path) -> Config:
    """The configuration of a file laid over the repository's ``config.yaml``, as ``--configfile`` does it."""
    values = read_yaml(path)
    if values is None:
        values = {}
    if not isinstance(values, Mapping):
        raise ConfigError(f"{path}: a mapping of keys to values was expected")
    base = root / "config.yaml"
    if base.is_file() and base.resolve() != path.resolve():
        values = {**read_yaml(base), **values}
    return Config.from_mapping(values, root, str(path))


@dataclass(frozen=True)
class Catalog:
    """Every declared model, data set and method: kind -> family -> id -> options.

    Kinds are ``models``, ``datasets`` and ``methods``. Each family has its own names: both have a ``tb``.
    """

    tables: Mapping[str, Mapping[str, Options]]

    @classmethod
    def read(cls, root: Path, config: Config) -> Catalog:
        """The files of ``catalog/``, with the configuration's own entries laid over them.

        Raises ConfigError where a file breaks its schema or two files declare one id.
        """
        tables: dict[str, dict[str, Options]] = {
            kind: {family: {} for family in FAMILIES} for kind in ("models", "datasets", "methods")
        }
        schema = root / "workflow/schemas/catalog.schema.yaml"
        for path in sorted((root / "catalog").glob("*.yaml")):
            content = read_yaml(path)
            validate(content, schema, f"catalog/{path.name}")
            for kind, entries in content.items():
                for name, options in entries.items():
                    table = tables[kind][options["family"]]
                    if name in table:
                        raise ConfigError(f"catalog/{path.name}: {kind} '{name}' is declared in another file too")
                    table[name] = options
        for kind, families in tables.items():
            for name, options in getattr(config, kind).items():
                if not isinstance(options, Mapping):
                    raise ConfigError(f"config.yaml: key '{kind}.{name}' is {options!r}, a mapping was expected")
                family = options.get("family") or _family_of(name, kind, families)
                merged = {**families.get(family, {}).get(name, {}), **options, "family": family}
                validate({kind: {name: merged}}, schema, "config.yaml")
                families[family][name] = merged
        return cls(tables)

    def entry(self, kind: str, family: str, name: str, where: str) -> Options:
        """One entry's options. Raises ConfigError, beginning with ``where``, for an id the family does not have."""
        table = self.tables[kind][family]
        if name in table:
            return {key: value for key, value in table[name].items() if key != "family"}
        for other, entries in self.tables[kind].items():
            if name in entries:
                raise ConfigError(
                    f"{where} names the {kind[:-1]} '{name}', which is of the family {other}, not {family}"
                )
        raise ConfigError(
            f"{where} names the unknown {kind[:-1]} '{name}'{suggestion(name, table)}; "
            f"known: {', '.join(sorted(table))}"
        )


def _family_of(name: str, kind: str, families: Mapping[str, Options]) -> str:
    owners = [family for family, table in families.items() if name in table]
    if len(owners) != 1:
        known = "no family has it" if not owners else "both families have it"
        raise ConfigError(f"config.yaml: key '{kind}.{name}' needs a 'family' (nlp or sciml): {known}")
    return owners[0]
