"""Strict reading of YAML files, with errors that a user can act on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from replication.errors import ConfigError

MAX_BYTES = 1_000_000


class _Loader(yaml.SafeLoader):
    """Safe loader that refuses aliases and repeated keys, and reads ``1e-4`` as a number."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        # An alias can make a small file expand without bound or refer to itself; no grid needs one.
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.constructor.ConstructorError(None, None, "aliases (*name) are not supported", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} is not text; put it in quotes", key_node.start_mark
                )
            if key in keys:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is repeated", key_node.start_mark)
            keys.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+$"),
    list("-+0123456789."),
)


def as_read(value: Any) -> Any:
    """A value of ``snakemake --config`` as it would be read from a file.

    Snakemake passes the items of a list or mapping as text, even numbers.
    """
    if isinstance(value, dict):
        return {key: as_read(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_read(item) for item in value]
    if not isinstance(value, str):
        return value
    try:
        read = yaml.load(value, Loader=_Loader)  # noqa: S506 - a subclass of SafeLoader
    except (yaml.YAMLError, ValueError):
        return value
    return read if read is None or isinstance(read, bool | int | float) else value


def read_yaml(path: Path) -> Any:
    """The content of a YAML file.

    Raises ConfigError if it is missing, too large, not UTF-8 or not YAML, or repeats a key.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{path}: larger than {MAX_BYTES} bytes, so it is no configuration file")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a subclass of SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError(f"{path}: {where}{problem}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not readable as YAML ({error})") from None
