"""The user's own operator: the model option ``kind: <file>.py:<name>`` names a file and a function or class in it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replication.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn


def code_file(options: Mapping[str, Any]) -> Path | None:
    """The file in a model's ``kind``; None for a built-in kind."""
    file, _, _ = str(options.get("kind")).rpartition(":")
    return Path(file).expanduser() if file.endswith(".py") else None


def own_builder(file: Path, name: str) -> Callable[..., nn.Module]:
    """The function or class of a Python file that builds a model.

    Raises ConfigError if the file cannot be run or does not have the name.
    """
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{file}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        builder: Callable[..., nn.Module] = getattr(module, name)
    except Exception as error:  # whatever the user's code raises
        raise ConfigError(f"{file}: cannot build a model with '{name}' ({type(error).__name__}: {error})") from None
    return builder
