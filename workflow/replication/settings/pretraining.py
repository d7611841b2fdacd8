"""The option ``pretrain`` of a model in the catalogue: the training whose weights the model's runs start from."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from replication.errors import ConfigError
from replication.settings.checks import Model, Name, Options, Seed, validate
from replication.settings.config import Catalog
from replication.settings.hyper import parse_hyper
from replication.settings.spec import without_labels


class Pretraining(Model):
    """How an operator is pretrained, as given in the catalogue."""

    dataset: Name = Field(description="data set of the catalogue; its whole training pool is used")
    seed: Seed = Field(0, description="decides initial weights, order of samples and noise")
    hyper: dict[str, Any] = Field(description="hyper-parameters, as in an experiment")


def with_pretraining(model: Options, family: str, catalog: Catalog, where: str) -> Options:
    """A model's options with ``pretrain`` resolved, for :attr:`replication.settings.spec.RunSpec.pretraining`.

    The options of its data set and every default are filled in, so that they are part of the id of each run that starts
    from the weights.

    Raises ConfigError, beginning with ``where``, for an unknown key or data set, an invalid hyper-parameter or a model
    that also has ``weights``.
    """
    if "pretrain" not in model:
        return model
    if family != "sciml" or model.get("weights") is not None:
        raise ConfigError(f"{where}: model option 'pretrain' is for operators only and excludes 'weights'")
    try:
        given: Pretraining = validate(Pretraining, model["pretrain"], "model option 'pretrain'")
        hyper = parse_hyper(family, given.hyper).model_dump(mode="json", exclude_none=True)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    data = without_labels(catalog.entry("datasets", family, given.dataset, f"{where}: model option 'pretrain'"))
    resolved = {"dataset": given.dataset, "dataset_options": data, "seed": given.seed, "hyper": hyper}
    return {**{key: value for key, value in model.items() if key != "weights"}, "pretrain": resolved}
