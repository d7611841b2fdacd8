"""What all settings share: the base class of their models, field types, and errors that a user can act on."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, TypeAdapter, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from replication.errors import ConfigError

Options = dict[str, Any]
Family = Literal["nlp", "sciml"]
FAMILIES = get_args(Family)
Scale = Literal["smoke", "demo", "desk", "paper"]

#: For settings that are dataclasses. Strict mode would refuse a mapping, so their numbers have strict types instead.
DATACLASS = ConfigDict(extra="forbid")


def _no_item_twice(items: tuple[Any, ...]) -> tuple[Any, ...]:
    if any(item in items[:index] for index, item in enumerate(items)):
        raise PydanticCustomError("unique", "no repeated items")
    return items


def _known_keys(cls: Any, values: Any) -> Any:
    """Refuse an unknown key here, because pydantic's own error does not name the known ones."""
    if isinstance(values, Mapping) and getattr(cls, "model_config", DATACLASS)["extra"] == "forbid":
        known = cls.__pydantic_fields__
        unknown = [key for key in values if key not in known]
        if unknown:
            raise PydanticCustomError("unknown_key", "unknown key", {"key": unknown[0], "known": sorted(known)})
    return values


#: For classes that are not a :class:`Model`.
known_keys: Any = model_validator(mode="before")(classmethod(_known_keys))  # type: ignore[arg-type]


class Model(BaseModel):
    """Base class of all models of settings: unknown keys, numbers given as text and the like are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    _keys = known_keys


Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.+_-]*$")]
#: Name of an experiment or an artifact.
FileName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$")]
Text = Annotated[str, Field(min_length=1)]
Seed = Annotated[int, Strict(), Field(ge=0, le=2**32 - 1)]
Ratio = Annotated[float, Strict(), Field(gt=0, le=1)]
# YAML has only lists; the settings store them as tuples.
UNIQUE: Any = (Strict(False), AfterValidator(_no_item_twice), Field(json_schema_extra={"uniqueItems": True}))
Names = Annotated[tuple[Name, ...], *UNIQUE, Field(min_length=1)]
FileNames = Annotated[tuple[FileName, ...], *UNIQUE]
Seeds = Annotated[tuple[Seed, ...], *UNIQUE, Field(min_length=1)]
Ratios = Annotated[tuple[Ratio, ...], *UNIQUE, Field(min_length=1)]


@cache
def adapter(kind: Any) -> TypeAdapter[Any]:
    """The validator of a model or type, built once."""
    return TypeAdapter(kind)


def validate(kind: Any, value: Any, source: str) -> Any:
    """A value as an instance of a model or type.

    Raises ConfigError naming source, key, value and what was expected; if there are several problems, the first one.
    """
    for path, number in _numbers(value):
        if not math.isfinite(number):
            raise ConfigError(f"{source}: {_key(path)} is {number}, expected a finite number")
    try:
        return adapter(kind).validate_python(value)
    except ValidationError as error:
        raise ConfigError(f"{source}: {_sentence(error.errors(include_url=False), value)}") from None


@contextmanager
def within(place: str) -> Iterator[None]:
    """Begin the message of a ConfigError with the place where it was found."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from None


def whole_number(options: Mapping[str, Any], key: str, default: int, what: str = "data set option") -> int:
    """An option that counts something. Raises ConfigError if it is not a whole number of at least 1."""
    value = options.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigError(f"{what} '{key}' is {value!r}, expected a whole number of at least 1")
    return value


def suggestion(name: str, known: Iterable[Any]) -> str:
    """`` (did you mean 'x'?)`` if one of the known names is close, otherwise nothing."""
    close = difflib.get_close_matches(str(name), [str(k) for k in known], n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""


def _numbers(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], float]]:
    if isinstance(value, float):
        yield path, value
    elif isinstance(value, Mapping | list | tuple):
        for key, item in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _numbers(item, (*path, key))


def _key(path: Iterable[Any]) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return f"key {text!r}" if text else "the content"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


#: pydantic's kind of error -> what was expected.
_EXPECTED = {
    "greater_than_equal": "at least {ge}",
    "greater_than": "more than {gt}",
    "less_than_equal": "at most {le}",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dataclass_type": "a mapping",
    "tuple_type": "a list",
    "too_short": "at least {min_length} item(s)",
    "too_long": "at most {max_length} item(s)",
    "string_too_short": "some text",
    "string_pattern_mismatch": "letters, digits and . _ + - only (pattern {pattern})",
}


def _sentence(errors: list[ErrorDetails], value: Any) -> str:
    error, *others = errors
    kind, context = error["type"], error.get("ctx", {})
    path, found = _path_in(value, error), error["input"]
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        tag = context["discriminator"].strip("'")
        kind, path, found = "missing" if tag not in found else kind, [*path, tag], found.get(tag)
    name = path.pop() if error["loc"][-1:] == ("[key]",) else None
    if name is not None and kind == "literal_error":
        kind, context = "unknown_key", {"key": name, "known": _words(context["expected"])}
    below = path[:-1] if kind == "missing" else path
    where = f" below {_key(below)}" if below else ""
    if kind == "missing":
        return f"key {path[-1]!r} is missing{where}"
    if kind == "unknown_key":
        near = suggestion(context["key"], context["known"])
        return f"unknown key {str(context['key'])!r}{where}{near}; known keys: {', '.join(context['known'])}"
    if name is not None:
        return f"name {_shown(name)}{where} is not allowed: expected {_expected(error)}"
    alternatives = [_expected(error), *(_expected(one) for one in others if _path_in(value, one) == path)]
    return f"{_key(path)} is {_shown(found)}, expected {' or '.join(dict.fromkeys(alternatives))}"


def _words(quoted: str) -> list[str]:
    return quoted.replace("'", "").replace(" or ", ", ").split(", ")


def _expected(error: ErrorDetails) -> str:
    context = error.get("ctx", {})
    if error["type"] in ("literal_error", "union_tag_invalid"):
        words = _words(context.get("expected") or context["expected_tags"])
        return f"one of {', '.join(words)}" if len(words) > 1 else words[0]
    known = _EXPECTED.get(error["type"])
    return known.format(**context) if known else error["msg"].removeprefix("Input should be ")


def _path_in(value: Any, error: ErrorDetails) -> list[int | str]:
    """Where an error is in the file; pydantic's location also names the alternatives of a union."""
    path: list[int | str] = []
    for part in error["loc"]:
        known = value if isinstance(value, Mapping) else range(len(value)) if isinstance(value, list | tuple) else ()
        if part in known:
            value = value[part]
            path.append(part)
    return [*path, error["loc"][-1]] if error["type"] == "missing" else path
