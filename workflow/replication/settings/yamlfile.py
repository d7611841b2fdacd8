"""YAML files read strictly and checked against a JSON schema, with errors a user can act on."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from replication.errors import ConfigError

MAX_BYTES = 1_000_000


class _Loader(yaml.SafeLoader):
    """Safe loading that refuses a key given twice, aliases, and reads ``1e-4`` as the number it is."""

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
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} stands twice", key_node.start_mark)
            keys.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+$"),
    list("-+0123456789."),
)


def read_yaml(path: Path) -> Any:
    """The content of a YAML file.

    Raises ConfigError where it is missing, too large, not UTF-8, or not YAML, or where a key stands twice.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{path}: larger than {MAX_BYTES} bytes; a configuration file was expected")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a folder, a YAML file was expected") from None
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


@cache
def _validator(schema_path: Path, part: str) -> Any:
    import jsonschema

    schema = yaml.safe_load(schema_path.read_text(encoding="utf-8"))
    if part:
        schema = {"$ref": f"#/$defs/{part}", "$defs": schema["$defs"]}
    return jsonschema.validators.extend(jsonschema.Draft202012Validator, {"pattern": _pattern})(schema)


def _pattern(_validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[Any]:
    """The rule ``pattern``, with ``$`` as the very end: Python's also matches before a last line break."""
    import jsonschema

    if isinstance(instance, str) and not re.search(re.sub(r"\$$", r"\\Z", pattern), instance):
        yield jsonschema.ValidationError(f"{instance!r} does not match {pattern!r}")


def validate(value: Any, schema_path: Path, source: str, part: str = "") -> None:
    """Check a value against a schema, or against one part of it (a name under ``$defs``).

    Raises ConfigError naming source, key, value and what was expected; of several problems the first in the file.
    """
    if not isinstance(value, Mapping):
        raise ConfigError(f"{source}: {_shown(value)} was found, a mapping of keys to values was expected")
    for path, number in _numbers(value):
        if not math.isfinite(number):
            raise ConfigError(f"{source}: {_key(path)} is {number}, a finite number was expected")
    errors = sorted(
        _validator(schema_path, part).iter_errors(value), key=lambda error: [str(part) for part in error.path]
    )
    if errors:
        raise ConfigError(f"{source}: {_sentence(errors[0])}")


def _numbers(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], float]]:
    if isinstance(value, float):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _numbers(item, (*path, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _numbers(item, (*path, index))


def _key(path: Any) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return f"key '{text}'" if text else "the file"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def suggestion(name: str, known: Any) -> str:
    """`` (did you mean 'x'?)`` where one of the known names is close, else nothing."""
    close = difflib.get_close_matches(str(name), [str(k) for k in known], n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""


def _sentence(error: Any) -> str:
    if error.validator == "additionalProperties" and error.validator_value is False:
        known = list(error.schema.get("properties", ()))
        unknown = next(key for key in error.instance if key not in known)
        where = f" below {_key(error.path)}" if error.path else ""
        return f"unknown key '{unknown}'{where}{suggestion(unknown, known)}; known keys: {', '.join(sorted(known))}"
    if error.validator == "required":
        missing = next(key for key in error.validator_value if key not in error.instance)
        where = f" below {_key(error.path)}" if error.path else ""
        return f"key '{missing}' is missing{where}"
    if "propertyNames" in error.schema_path:
        return f"name {_shown(error.instance)} below {_key(error.path)} is not allowed: {_expected(error)}"
    return f"{_key(error.path)} is {_shown(error.instance)}, expected {_expected(error)}"


def _expected(error: Any) -> str:
    rule, bound = error.validator, error.validator_value
    if rule == "oneOf":
        return " or ".join(_describe(option) for option in bound)
    words = {
        "enum": lambda: "one of " + ", ".join(map(str, bound)),
        "const": lambda: repr(bound),
        "type": lambda: _describe({"type": bound}),
        "minimum": lambda: f"at least {bound}",
        "maximum": lambda: f"at most {bound}",
        "exclusiveMinimum": lambda: f"more than {bound}",
        "minItems": lambda: f"at least {bound} item(s)",
        "minLength": lambda: "some text",
        "minProperties": lambda: f"at least {bound} key(s)",
        "uniqueItems": lambda: "no item twice",
        "pattern": lambda: f"letters, digits and . _ + - only (pattern {bound})",
    }
    return words[rule]() if rule in words else error.message


_TYPES = {"object": "a mapping", "array": "a list", "string": "text", "integer": "a whole number", "number": "a number",
          "boolean": "true or false", "null": "nothing (null)"}  # fmt: skip


def _describe(schema: Mapping[str, Any]) -> str:
    if "const" in schema:
        return repr(schema["const"])
    types = schema.get("type", "object")
    text = " or ".join(_TYPES[name] for name in ([types] if isinstance(types, str) else types))
    items = schema.get("items")
    if isinstance(items, Mapping):
        text += f" (not empty, no item twice) of {_describe(items).removeprefix('a ')} items"
    for rule, words in (("minimum", ">="), ("maximum", "<="), ("exclusiveMinimum", ">")):
        if rule in schema:
            text += f" {words} {schema[rule]}"
    return text
