"""An experiment file: for each scale, blocks of a grid of models, data sets, ratios and methods."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Generic, Literal, TypeVar, cast

from pydantic import Field, Strict, create_model, model_validator
from pydantic_core import PydanticCustomError

from replication.settings.checks import UNIQUE, Family, FileNames, Model, Names, Options, Ratios, Scale, Seeds, Text
from replication.settings.hyper import HYPER


class Given(Model):
    """A mapping of which any keys may be given."""

    def given(self) -> Options:
        """The keys that were given, as plain values."""
        return self.model_dump(mode="json", exclude_unset=True)


class NotEmpty(Given):
    """A mapping of which at least one key is given."""

    @model_validator(mode="after")
    def _has_a_key(self) -> NotEmpty:
        if not self.model_fields_set:
            raise PydanticCustomError("empty", "at least 1 key")
        return self


#: The models of some of a family's hyper-parameters, and of a search over some of them.
Hyper = TypeVar("Hyper", bound=Given)
Search = TypeVar("Search", bound=NotEmpty)


class Filter(Given):
    """Runs that match every given key."""

    model: Names | None = Field(None, description="ids in the catalogue")
    dataset: Names | None = Field(None, description="ids in the catalogue")
    ratio: Ratios | None = Field(None, description="data ratios")
    method: Names | None = Field(None, description="ids in the catalogue")
    seed: Seeds | None = Field(None, description="seeds of runs")


class When(Filter, NotEmpty):
    """The runs that an override applies to."""


class Only(Filter):
    """The part of the grid that is trained and shown."""

    artifact: Annotated[FileNames, Field(min_length=1)] | None = Field(
        None, description="figures and tables; runs that none of them shows are left out"
    )


class Override(Model, Generic[Hyper, Search]):
    """Other hyper-parameters for a part of a block."""

    when: When = Field(description="the runs that it applies to: those that match every given key")
    hyper: Hyper = Field(Given(), description="hyper-parameters that replace the block's")  # type: ignore[assignment]
    search: Search | None = Field(None, description="hyper-parameter: candidates, which replace the block's")


class Block(Model, Generic[Hyper, Search]):
    """Every combination of models, data sets, ratios and methods."""

    models: Names = Field(description="ids in the catalogue")
    datasets: Names = Field(description="ids in the catalogue")
    ratios: Ratios = Field(description="shares of the training pool")
    methods: Names = Field(description="ids in the catalogue")
    seeds: Seeds | None = Field(None, description="replaces the scale's seeds")
    hyper: Hyper = Field(description="hyper-parameters")
    overrides: Annotated[tuple[Override[Hyper, Search], ...], Strict(False)] = Field(
        (), description="changes for parts of the block; the last one wins"
    )
    search: Search | None = Field(
        None, description="hyper-parameter: candidates; every combination is trained and the best one is shown"
    )
    select_on: Literal["validation", "test"] = Field(
        "validation", description="the set whose scores choose the best combination of a search"
    )


class ScaleGrid(Model, Generic[Hyper, Search]):
    """What an experiment trains at one scale."""

    stand_in: str = Field("", description="what stands in for the paper's data or model")
    on_request: bool = Field(False, description="true: `experiments: all` leaves it out; it runs only if it is named")
    needs_folders: Names | None = Field(
        None, description="data sets; `experiments: all` leaves it out unless `data_folders` has a folder for each"
    )
    seeds: Seeds = Field(description="one run for each; a seed decides initial weights, order of rows and dropout")
    grid: Annotated[tuple[Block[Hyper, Search], ...], Strict(False)] = Field(
        min_length=1, description="blocks; no two may have the same cell"
    )


class ExperimentFile(Model, Generic[Hyper, Search]):
    """``experiments/*.yaml``."""

    title: Text = Field(description="its name in figures, tables and the report")
    family: Family = Field(description="nlp: language models; sciml: operators")
    artifact: str | None = Field(
        None,
        description="id that figures and tables list under `shows`; they show its runs. null: it has figures and a "
        "table of its own",
    )
    scales: dict[Scale, ScaleGrid[Hyper, Search]] = Field(min_length=1, description="what is trained at each scale")


def _experiment_model(family: Family) -> Any:
    """The model of an experiment file with a family's hyper-parameters, each optional."""
    original, generic = HYPER[family], cast("Any", ExperimentFile)
    hyper: dict[str, Any] = {}
    search: dict[str, Any] = {}
    for key, info in original.model_fields.items():
        kind: Any = Annotated[info.annotation, Field(), *info.metadata]
        optional = Field(None, description=info.description)
        hyper[key] = kind, optional
        search[key] = Annotated[tuple[kind, ...], *UNIQUE, Field(min_length=1)], optional
    name = original.__name__
    base = generic[
        create_model(f"{name}Given", __base__=Given, **hyper),
        create_model(f"{name}NotEmpty", __base__=NotEmpty, **search),
    ]
    fields: dict[str, Any] = {"family": (Literal[family], generic.model_fields["family"])}
    return create_model(f"{name}Experiment", __base__=base, **fields)


@cache
def experiment_type() -> Any:
    """The type of any experiment file; its key ``family`` decides which hyper-parameters it may have."""
    return Annotated[_experiment_model("nlp") | _experiment_model("sciml"), Field(discriminator="family")]
