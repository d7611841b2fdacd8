"""Operators by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from tempbalance.errors import ConfigError


def _fno(in_channels: int, out_channels: int, ndim: int, modes: int = 12, width: int = 20) -> nn.Module:
    from tempbalance.sciml.fno import FNO

    return FNO(in_channels, out_channels, ndim, modes=modes, width=width)


def _unet(in_channels: int, out_channels: int, ndim: int, init_features: int = 32) -> nn.Module:
    from tempbalance.sciml.unet import UNet

    return UNet(in_channels, out_channels, ndim, init_features=init_features)


#: kind -> builder; a builder's further arguments are the model's options in the catalogue.
BUILDERS: dict[str, Callable[..., nn.Module]] = {"fno": _fno, "unet": _unet}
#: Options of a model that say how it is treated, not how it is built.
OTHER_OPTIONS = ("kind", "title", "published_as", "spectra")


def build_model(options: Mapping[str, Any], in_channels: int, out_channels: int, ndim: int) -> nn.Module:
    """A freshly initialised operator ``model(frames, grid) -> frame``.

    Args:
        options: ``kind`` and the builder's arguments.
        in_channels: channels of all given frames together.
        out_channels: channels of one predicted frame.
        ndim: space dimensions.

    Raises ConfigError for an unknown kind or argument.
    """
    kind = options.get("kind")
    if kind not in BUILDERS:
        raise ConfigError(f"model option 'kind' is {kind!r}, expected one of {', '.join(sorted(BUILDERS))}")
    arguments = {key: value for key, value in options.items() if key not in OTHER_OPTIONS}
    try:
        return BUILDERS[kind](in_channels, out_channels, ndim, **arguments)
    except TypeError as error:
        raise ConfigError(f"model options of kind '{kind}' do not fit: {error}") from None
