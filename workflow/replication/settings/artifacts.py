"""The artifact index: every figure and table of the paper (and ours), what it is made from, and what it needs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
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
    Text,
    known_keys,
    validate,
)
from replication.settings.yamlfile import read_yaml

Claim = Literal["better", "low_data", "balances", "imbalance"]


@pydantic.dataclasses.dataclass(frozen=True, config=DATACLASS)
class Artifact:
    """One figure or table; fields as in ``workflow/resources/artifacts.yaml``, and its key there as ``name``."""

    name: SkipJsonSchema[str]
    kind: Literal["figure", "table", "animation"]
    title: Text
    family: Family
    layout: Annotated[
        str, Field(description="module of replication.figures, or arrangement of replication.report.tables")
    ]
    needs: Annotated[Text, Field(description="what it takes to build it at full size")]
    caption: str = Field("", description="the text below it")
    experiments: FileNames = Field(
        (), description="experiments that it is about; it shows those that are configured, and needs one"
    )
    companions: FileNames = Field((), description="experiments that lend methods for the same cells")
    published: str | None = Field(None, description="id in the published table")
    pairs: tuple[tuple[Text, Text], ...] = Field((), description="[method compared with, method]")
    claims: Annotated[tuple[Claim, ...], *UNIQUE] = Field((), description="claims of the paper that it tests")
    claims_of: str | None = Field(None, description="another artifact that shows the same runs and carries the verdict")
    footnotes: tuple[Text, ...] = Field((), description="notes below the caption")
    unavailable: str = Field("", description="why it is never built")
    ours: StrictBool = Field(False, description="not in the paper")
    flow_dimension: Literal[1, 2] | None = Field(
        None, description="space dimensions of the flow whose sample predictions it shows"
    )
    _keys = known_keys

    def shows_one_of(self, dimensions: Collection[int]) -> bool:
        """Whether an experiment with flows of these space dimensions has what it shows."""
        return self.flow_dimension is None or self.flow_dimension in dimensions

    @property
    def sources(self) -> tuple[str, ...]:
        """Every experiment whose runs it shows, those that it is about first."""
        return (*self.experiments, *self.companions)


@dataclass(frozen=True)
class Plan:
    """What a configuration can build; ``missing`` says of every other artifact why not."""

    figures: Mapping[str, Artifact]
    tables: Mapping[str, Artifact]
    animations: Mapping[str, Artifact]
    missing: Mapping[str, str]


@dataclass(frozen=True)
class Index:
    """All artifacts, in the paper's order."""

    artifacts: Mapping[str, Artifact]

    def plan(
        self,
        experiments: Iterable[str],
        *,
        scale: str,
        skipped: Mapping[str, str] | None = None,
        flows: Mapping[str, Collection[int]] | None = None,
    ) -> Plan:
        """Which artifacts the given experiments make.

        Args:
            experiments: those of the configured grid.
            scale: the configured scale, for the sentences about what is missing.
            skipped: experiments that the configuration leaves out, with the reason.
            flows: experiment -> space dimensions of the flows it predicts, for artifacts that show sample predictions.
        """
        present, reasons = set(experiments), dict(skipped or {})
        built: dict[str, dict[str, Artifact]] = {"figure": {}, "table": {}, "animation": {}}
        missing: dict[str, str] = {}
        for name, artifact in self.artifacts.items():
            configured = tuple(item for item in artifact.experiments if item in present)
            own = tuple(item for item in configured if artifact.shows_one_of((flows or {}).get(item, ())))
            if artifact.unavailable:
                missing[name] = artifact.unavailable
            elif own:
                companions = tuple(item for item in artifact.companions if item in present)
                built[artifact.kind][name] = replace(artifact, experiments=own, companions=companions)
            else:
                why = "; ".join(
                    f"experiment {item} has no {artifact.flow_dimension}-D flow at scale {scale}"
                    if item in present
                    else f"experiment {item}: {reasons.get(item, f'not configured at scale {scale}')}"
                    for item in artifact.experiments
                )
                missing[name] = f"{why}. It needs {artifact.needs}"
        return Plan(built["figure"], built["table"], built["animation"], missing)


class ArtifactsFile(Model):
    """``workflow/resources/artifacts.yaml``."""

    artifacts: dict[FileName, Artifact] = Field(min_length=1)


def read_index(path: Path | str) -> Index:
    """The index of a file.

    Raises ConfigError where it is not valid, or an artifact takes its claims from one that does not exist.
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
        if not artifact.experiments and not artifact.unavailable:
            raise ConfigError(f"{path}: artifacts.{name} has neither experiments nor a reason why it is unavailable")
    return Index(artifacts)
