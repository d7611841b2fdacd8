"""The option ``pretrain`` of a model in the catalogue: the training whose weights the model's runs start from."""

from __future__ import annotations

from pydantic import Field

from replication.errors import ConfigError
from replication.settings.checks import Model, Name, Options, Seed, validate
from replication.settings.config import Catalog
from replication.settings.hyper import OperatorHyper


class Pretraining(Model):
    """How an operator is pretrained, as given in the catalogue."""

    dataset: Name = Field(description="data set of the catalogue; its whole training pool is used")
    seed: Seed = Field(0, description="decides initial weights, order of samples and noise")
    hyper: OperatorHyper = Field(description="hyper-parameters, as in an experiment")


def with_pretraining(model: Options, family: str, catalog: Catalog, where: str) -> Options:
    """A model's options with ``pretrain`` resolved, for :attr:`replication.settings.spec.RunSpec.pretraining`.

    The options of its data set and every default are filled in, so that they are part of the id of each run that starts
    from the weights.

    Raises ConfigError, beginning with ``where``, for an unknown key or data set, an invalid hyper-parameter or a model
    that also has ``weights``.
    """
    if "pretrain" not in model:
        return model
    where = f"{where}: model option 'pretrain'"
    if family != "sciml" or model.get("weights") is not None:
        raise ConfigError(f"{where} is for operators only and excludes 'weights'")
    given: Pretraining = validate(Pretraining, model["pretrain"], where)
    resolved = given.model_dump(mode="json", exclude_none=True)
    resolved["dataset_options"] = catalog.entry("datasets", family, given.dataset, where)
    return {**{key: value for key, value in model.items() if key != "weights"}, "pretrain": resolved}
