"""Build an operator from the options of a model."""

from __future__ import annotations

import pickle
from argparse import Namespace
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from replication.errors import ConfigError, DataError
from replication.operators.dpot import DPOT
from replication.operators.fno import FNO
from replication.operators.own import code_file, own_builder
from replication.operators.stock import stock_operator
from replication.operators.unet import UNet
from replication.runs.checkpoint import sha256
from replication.settings.checks import whole_number

#: kind -> builder, whose keyword arguments are options of the model in the catalogue.
BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "fno": FNO,
    "unet": UNet,
    "dpot": DPOT,
    "neuralop-fno": partial(stock_operator, "FNO"),
    "neuralop-tfno": partial(stock_operator, "TFNO"),
}
#: Options that must be whole numbers of at least 1.
COUNTS = ("modes", "width", "init_features", "depth", "heads", "patch", "size", "head_width", "classes")
#: Options of a model that are not arguments of the builder.
OTHER_OPTIONS = ("kind", "title", "published_as", "spectra", "weights", "pretrain")


def build_model(options: Mapping[str, Any], in_channels: int, out_channels: int, ndim: int) -> nn.Module:
    """A new operator ``model(frames, grid) -> frame``, with the weights of the option ``weights``, if it is there.

    ``options`` are ``kind`` and the builder's arguments. ``in_channels`` is the number of channels of all initial steps
    together (all channels of a step follow each other), ``out_channels`` that of one predicted frame. ``frames`` are
    ``[batch, x, (y), in_channels]``, ``grid`` has the coordinates ``[batch, x, (y), ndim]``, and ``frame`` is
    ``[batch, x, (y), out_channels]``.

    Raises ConfigError for an unknown kind or argument, or a size below 1.
    """
    kind = options.get("kind")
    if (file := code_file(options)) is None and kind not in BUILDERS:
        raise ConfigError(
            f"model option 'kind' is {kind!r}, expected one of {', '.join(sorted(BUILDERS))}, or <file>.py:<name>"
        )
    builder = BUILDERS[str(kind)] if file is None else own_builder(file, str(kind).rpartition(":")[2])
    arguments = {key: value for key, value in options.items() if key not in OTHER_OPTIONS}
    for key in COUNTS:
        whole_number(arguments, key, 1, "model option")
    try:
        model = builder(in_channels, out_channels, ndim, **arguments)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"model options of kind '{kind}' do not fit: {error}") from None
    if "weights" in options:
        load_weights(model, weights_file(options))
    return model


def weights_file(options: Mapping[str, Any]) -> Path:
    """The file of a model's pretrained weights.

    Raises ConfigError if no file is named, DataError if it is missing.
    """
    if not isinstance(options["weights"], str):
        raise ConfigError(
            f"model option 'weights' is {options['weights']!r}: name the file of {options.get('title', 'the model')}'s "
            "pretrained weights under 'models' in config.yaml"
        )
    path = Path(options["weights"])
    if not path.is_file():
        raise DataError(f"{path}: no such file; model option 'weights' names a pretrained state dict")
    return path


def load_weights(model: nn.Module, path: Path) -> None:
    """Load a state dict from ``.safetensors`` or ``torch.save``, alone or under the key ``model``, into a model.

    Only tensors, plain containers and an ``argparse.Namespace`` are unpickled.

    Raises DataError if the file cannot be read or its tensors do not fit the model.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            tensors: Any = load_file(path)
        else:
            with torch.serialization.safe_globals([Namespace]):  # published checkpoints include it
                tensors = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, ValueError, RuntimeError, pickle.UnpicklingError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path}: pretrained weights cannot be read ({reason}), expected a state dict") from None
    tensors = tensors.get("model", tensors) if isinstance(tensors, Mapping) else {}
    wanted = model.state_dict()
    for name, tensor in wanted.items():
        shape = getattr(tensors.get(name), "shape", None)
        if shape != tensor.shape:
            found = "lacks it" if shape is None else f"has {list(shape)}"
            raise DataError(f"{path}: the model needs tensor '{name}' {list(tensor.shape)}, the file {found}")
    if unexpected := sorted(set(tensors) - set(wanted)):
        raise DataError(f"{path}: unexpected tensor '{unexpected[0]}', which the model does not have")
    model.load_state_dict(tensors)


def fingerprints(model_options: Mapping[str, Any]) -> dict[str, str]:
    """SHA-256 of a model's pretrained weights and of the user's own code, if any. Raises as :func:`weights_file`."""
    found = {"weights": weights_file(model_options)} if "weights" in model_options else {}
    if (code := code_file(model_options)) is not None:
        found["code"] = code
    return {name: sha256(path) for name, path in found.items()}
