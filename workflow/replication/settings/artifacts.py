"""The artifact index: every figure and table of the paper (and ours), what it is made from, and what it needs.

The index names no experiments. An experiment's key ``artifact`` says where its runs are shown; an experiment without
it has figures and a table of its own (:func:`own_artifacts`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import pydantic.dataclasses
from pydantic import Field, StrictBool
from pydantic.json_schema import SkipJsonSchema

from replication.errors import ConfigError
from replication.settings.checks import (
    DATACLASS,
    UNIQUE,
    Family,
    FileName,
    FileNames,
    Model,
    Options,
    Text,
    known_keys,
    suggestion,
    validate,
)
from replication.settings.yamlfile import read_yaml

Claim = Literal["better", "low_data", "balances", "imbalance"]
#: Equation of a data set (its option `pde`) -> space dimensions, for equations that are predicted frame by frame.
FLOW_DIMENSIONS = {"cfd1d": 1, "cfd2d": 2}
INDEX = Path(__file__).parents[2] / "resources/artifacts.yaml"


@pydantic.dataclasses.dataclass(frozen=True, config=DATACLASS)
class Artifact:
    """One figure or table; fields as in ``workflow/resources/artifacts.yaml``, and its key there as ``name``.

    ``experiments`` and ``companions`` name experiments; :meth:`Index.of` fills them from ``shows`` and ``borrows``.
    """

    name: SkipJsonSchema[str]
    kind: Literal["figure", "table", "animation"]
    title: Text
    family: Family
    layout: Annotated[
        str,
        Field(description="name in `REGISTRY` of replication.figures.registry, or layout of replication.report.tables"),
    ]
    needs: Annotated[Text, Field(description="what it takes to build it at full size")]
    caption: str = Field("", description="the text below it")
    shows: FileNames = Field(
        (), description="it shows the configured experiments that declare one of these as `artifact`; it needs one"
    )
    borrows: FileNames = Field((), description="likewise, experiments that add methods to the same cells")
    experiments: Annotated[FileNames, SkipJsonSchema()] = Field(())
    companions: Annotated[FileNames, SkipJsonSchema()] = Field(())
    published: str | None = Field(None, description="id in the table of published values")
    pairs: tuple[tuple[Text, Text], ...] = Field((), description="[reference method, method]")
    claims: Annotated[tuple[Claim, ...], *UNIQUE] = Field((), description="claims of the paper that it tests")
    claims_of: str | None = Field(None, description="another artifact that shows the same runs and has the verdict")
    footnotes: tuple[Text, ...] = Field((), description="notes below the caption")
    unavailable: str = Field("", description="why it is never built")
    ours: StrictBool = Field(False, description="whether it is ours, not the paper's")
    flow_dimension: Literal[1, 2] | None = Field(
        None, description="space dimensions of the flow whose sample predictions it shows"
    )
    _keys = known_keys

    @property
    def sources(self) -> tuple[str, ...]:
        """Every experiment whose runs it shows, its main ones first."""
        return (*self.experiments, *self.companions)

    @property
    def heading(self) -> str:
        """Its title, after its number in the paper if it has one: ``Figure 3: ...``."""
        numbered = re.match(rf"{'fig' if self.kind == 'figure' else self.kind}(\d+)_", self.name)
        return f"{self.kind.capitalize()} {numbered[1]}: {self.title}" if numbered and not self.ours else self.title

    def plain(self) -> Options:
        """Its fields as plain values, from which a rule's script makes the artifact again."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


@dataclass(frozen=True)
class Plan:
    """What a configuration can build; ``missing`` gives the reason for every artifact that it cannot build."""

    figures: Mapping[str, Artifact]
    tables: Mapping[str, Artifact]
    animations: Mapping[str, Artifact]
    missing: Mapping[str, str]


@dataclass(frozen=True)
class Index:
    """All artifacts: the paper's in its order, then the experiments' own."""

    artifacts: Mapping[str, Artifact]

    @classmethod
    def from_plain(cls, artifacts: Iterable[Options]) -> Index:
        """The index of :meth:`Artifact.plain`."""
        return cls({values["name"]: Artifact(**values) for values in artifacts})

    def of(self, declared: Mapping[str, str | None], own: Mapping[str, Artifact] = {}) -> Index:
        """The index for some experiments.

        Args:
            declared: experiment -> its key ``artifact``.
            own: artifacts of experiments that declare none.

        Raises ConfigError if an experiment declares what no artifact shows, or if two artifacts have the same name.
        """
        known = sorted({item for artifact in self.artifacts.values() for item in artifact.shows})
        for name, item in declared.items():
            if item is not None and item not in known:
                raise ConfigError(
                    f"experiment {name}: key 'artifact' is {item!r}{suggestion(item, known)}, expected one of "
                    f"{', '.join(known)}; without the key the experiment has figures and a table of its own"
                )
        if twice := sorted(self.artifacts.keys() & own):
            raise ConfigError(f"two figures or tables would be called '{twice[0]}'; rename the experiment")

        def declaring(items: Collection[str]) -> tuple[str, ...]:
            return tuple(name for wanted in items for name, item in declared.items() if item == wanted)

        filled = {
            key: replace(artifact, experiments=declaring(artifact.shows), companions=declaring(artifact.borrows))
            for key, artifact in self.artifacts.items()
        }
        return Index({**filled, **own})

    def plan(
        self,
        experiments: Iterable[str],
        *,
        scale: str,
        skipped: Mapping[str, str] = {},
        flows: Mapping[str, Collection[int]] = {},
        only: Collection[str] | None = None,
    ) -> Plan:
        """Which artifacts the given experiments make.

        Args:
            experiments: those of the configured grid.
            scale: the configured scale, named in the reasons for missing artifacts.
            skipped: experiments that the configuration leaves out, with the reason.
            flows: experiment -> space dimensions of the flows it predicts, for artifacts that show sample predictions.
            only: the artifacts to build; None: all.
        """
        present = set(experiments)
        built: dict[str, dict[str, Artifact]] = {"figure": {}, "table": {}, "animation": {}}
        missing: dict[str, str] = {}
        for name, artifact in self.artifacts.items():
            configured = [item for item in artifact.experiments if item in present]
            shown = tuple(item for item in configured if artifact.flow_dimension in (None, *flows.get(item, ())))
            if artifact.unavailable:
                missing[name] = artifact.unavailable
            elif only is not None and name not in only:
                missing[name] = "key 'only' in config.yaml leaves it out"
            elif shown:
                companions = tuple(item for item in artifact.companions if item in present)
                built[artifact.kind][name] = replace(artifact, experiments=shown, companions=companions)
            else:
                why = [
                    f"experiment {item} has no {artifact.flow_dimension}-D flow at scale {scale}"
                    if item in present
                    else f"experiment {item}: {skipped.get(item, f'not configured at scale {scale}')}"
                    for item in artifact.experiments
                ] or [f"no configured experiment declares {' or '.join(artifact.shows)} as its artifact"]
                missing[name] = f"{'; '.join(why)}. It needs {artifact.needs}"
        return Plan(built["figure"], built["table"], built["animation"], missing)


class ArtifactsFile(Model):
    """``workflow/resources/artifacts.yaml``."""

    artifacts: dict[FileName, Artifact] = Field(min_length=1)


def own_artifacts(
    experiment: str, title: str, family: Family, methods: Mapping[str, Options], flows: Collection[int]
) -> dict[str, Artifact]:
    """The artifacts of an experiment that declares none: figures of scores and of the STD of alpha, and a table.

    ``methods`` has the options of the methods of its runs. If it predicts flows, in ``flows`` space dimensions, it also
    gets its own versions of the artifacts of sample predictions.
    """
    pairs = own_pairs(methods)
    score, spread = OWN_LAYOUTS[family]
    shared: Options = {
        "family": family,
        "needs": "what its experiment names",
        "experiments": (experiment,),
        "pairs": pairs,
        "ours": True,
        "unavailable": "" if pairs else f"{experiment} does not have both a method that balances and one that does not",
    }
    entries: dict[str, Options] = {
        "score": {
            "kind": "figure", "title": title, "layout": score, "caption": SCORES, "claims": ("better", "low_data"),
        },
        "alpha_std": {
            "kind": "figure", "title": f"{title}: STD of alpha", "layout": spread, "caption": SPREADS,
            "claims": ("balances",),
        },
        "table": {
            "kind": "table", "title": f"{title}: numbers", "layout": "by_ratio", "claims_of": f"{experiment}_score",
        },
    }  # fmt: skip
    own = [Artifact(name=f"{experiment}_{suffix}", **entry, **shared) for suffix, entry in entries.items()]
    for like in read_index().artifacts.values() if pairs else ():
        if like.flow_dimension in flows:
            name, heading = f"{experiment}_{like.name}", f"{title}: {like.title[0].lower()}{like.title[1:]}"
            own.append(replace(like, name=name, title=heading, shows=(), experiments=(experiment,), pairs=pairs))
    return {artifact.name: artifact for artifact in own}


#: Family -> layouts of an experiment's own figures, of scores and of the STD of alpha.
OWN_LAYOUTS = {
    "nlp": ("fig3_glue_ratio", "fig7_alpha_std_tb_nlp"),
    "sciml": ("fig4_cfd_ratio", "fig8_alpha_std_tb_sciml"),
}
SCORES = (
    "Test score against the data ratio: mean over seeds, bars one standard deviation, dots single seeds. The last "
    "panel shows the gain with its bootstrap 95 % interval."
)
SPREADS = (
    "Standard deviation of alpha after training with each method, and before training (dotted). The last panel shows "
    "its reduction with the bootstrap 95 % interval."
)


def own_pairs(methods: Mapping[str, Options]) -> tuple[tuple[str, str], ...]:
    """Pairs (plain, balanced): each balanced method with the plain ones that differ in nothing else, or with all."""
    plain = {name: options for name, options in methods.items() if options.get("balance") is None}
    pairs = []
    for name in (name for name in methods if name not in plain):
        alike = [one for one in plain if {**plain[one], "balance": None} == {**methods[name], "balance": None}]
        pairs += [(one, name) for one in alike or plain]
    return tuple(pairs)


@cache
def read_index(path: Path | str = INDEX) -> Index:
    """The index of a file; :meth:`Index.of` adds what a configuration has.

    Raises ConfigError if it is not valid, or if an artifact takes its claims from one that does not exist.
    """
    path = Path(path)
    content = read_yaml(path)
    if isinstance(content, dict) and isinstance(entries := content.get("artifacts"), dict):
        named = {key: {**value, "name": key} if isinstance(value, dict) else value for key, value in entries.items()}
        content = {**content, "artifacts": named}
    artifacts: dict[str, Artifact] = validate(ArtifactsFile, content, str(path)).artifacts
    for name, artifact in artifacts.items():
        if artifact.claims_of is not None and artifact.claims_of not in artifacts:
            raise ConfigError(f"{path}: artifacts.{name}.claims_of names '{artifact.claims_of}', which is no artifact")
        if not artifact.shows and not artifact.unavailable:
            raise ConfigError(f"{path}: artifacts.{name} shows nothing and gives no reason why it is unavailable")
    return Index(artifacts)
