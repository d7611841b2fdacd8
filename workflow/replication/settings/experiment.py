"""An experiment file: for each scale, blocks of a grid of models, data sets, ratios and methods."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal, Optional

from pydantic import Field, create_model, model_validator
from pydantic_core import PydanticCustomError

from replication.settings.checks import Family, FileNames, Model, Names, Options, Ratios, Scale, Seeds, Text
from replication.settings.hyper import HYPER, changes_model, search_model


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


class Override(Model):
    """Other hyper-parameters for a part of a block."""

    when: When = Field(description="the runs that it applies to: those that match every given key")
    hyper: Given = Field(Given(), description="hyper-parameters that replace the block's")
    search: NotEmpty | None = Field(None, description="hyper-parameter: candidates, which replace the block's")


class Block(Model):
    """Every combination of models, data sets, ratios and methods."""

    models: Names = Field(description="ids in the catalogue")
    datasets: Names = Field(description="ids in the catalogue")
    ratios: Ratios = Field(description="shares of the training pool")
    methods: Names = Field(description="ids in the catalogue")
    seeds: Seeds | None = Field(None, description="replaces the scale's seeds")
    hyper: Given = Field(description="hyper-parameters")
    overrides: tuple[Override, ...] = Field((), description="changes for parts of the block; the last one wins")
    search: NotEmpty | None = Field(
        None, description="hyper-parameter: candidates; every combination is trained and the best one is shown"
    )
    select_on: Literal["validation", "test"] = Field(
        "validation", description="the set whose scores choose the best combination of a search"
    )


class ScaleGrid(Model):
    """What an experiment trains at one scale."""

    stand_in: str = Field("", description="what stands in for the paper's data or model")
    on_request: bool = Field(False, description="true: `experiments: all` leaves it out; it runs only if it is named")
    needs_folders: Names | None = Field(
        None, description="data sets; `experiments: all` leaves it out unless `data_folders` has a folder for each"
    )
    seeds: Seeds = Field(description="one run for each; a seed decides initial weights, order of rows and dropout")
    grid: tuple[Block, ...] = Field(description="blocks; no two may have the same cell")


class ExperimentFile(Model):
    """``experiments/*.yaml``."""

    title: Text = Field(description="its name in figures, tables and the report")
    family: Family = Field(description="nlp: language models; sciml: operators")
    artifact: str | None = Field(
        None,
        description="id that figures and tables list under `shows`; they show its runs. null: it has figures and a "
        "table of its own",
    )
    scales: dict[Scale, ScaleGrid] = Field(min_length=1, description="what is trained at each scale")


def _tuple_of(item: Any, **field: Any) -> Any:
    return Annotated[tuple[item, ...], Field(strict=False, **field)]


def _experiment_model(family: Family) -> type[ExperimentFile]:
    """The model of an experiment file with a family's hyper-parameters."""
    kind = HYPER[family].__name__.removesuffix("Hyper")
    hyper: Any = changes_model(family, Given)
    search: Any = Optional[search_model(family, NotEmpty)]  # noqa: UP045 - built when it runs

    def derived(base: type[Model], **types: Any) -> Any:
        fields: dict[str, Any] = {name: (type_, base.model_fields[name]) for name, type_ in types.items()}
        return create_model(kind + base.__name__, __base__=base, **fields)

    override = derived(Override, hyper=hyper, search=search)
    block = derived(Block, hyper=hyper, search=search, overrides=_tuple_of(override))
    grid = derived(ScaleGrid, grid=_tuple_of(block, min_length=1))
    made: type[ExperimentFile] = derived(ExperimentFile, family=Literal[family], scales=dict[Scale, grid])  # type: ignore[valid-type]
    return made


@cache
def experiment_type() -> Any:
    """The type of any experiment file; its key ``family`` decides which hyper-parameters it may have."""
    return Annotated[_experiment_model("nlp") | _experiment_model("sciml"), Field(discriminator="family")]
