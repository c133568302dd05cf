"""Whether what JSON says fits a JSON Schema, as msgspec makes one of a type: told in the words of whoever sends it."""

from __future__ import annotations

import datetime as dt
import decimal
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from weftrun.sdk.inspection import preview

_SHOWN_BYTES = 80
_DEPTH_MAX = 50
_KINDS: Mapping[str, tuple[type, ...]] = {
    "null": (type(None),), "boolean": (bool,), "integer": (int,), "number": (int, float), "string": (str,),
    "array": (list, tuple), "object": (dict,),
}  # fmt: skip
_NAMES = {
    "null": "null", "boolean": "true or false", "integer": "a whole number", "number": "a number", "string": "a text",
    "array": "a list", "object": "an object",
}  # fmt: skip


def why_unfit(value: Any, schema: Mapping[str, Any]) -> str:
    """Return why a value does not fit a schema, as `notes is 3, not a text`; empty where it does, or nobody can tell.

    What is not known of a schema is left to whoever reads the value.

    Args:
        value: None, bool, int, float, str, and lists and dicts of these.
        schema: JSON Schema (2020-12), with `$defs`.
    """
    return next(_faults("it", value, schema, schema.get("$defs", {}), 0), "")


def _faults(place: str, value: Any, schema: Any, definitions: Mapping[str, Any], depth: int) -> Iterator[str]:
    schema = _meant(schema, definitions)
    if depth > _DEPTH_MAX:
        return
    if "anyOf" in schema:
        choices = [next(_faults(place, value, each, definitions, depth + 1), "") for each in schema["anyOf"]]
        if all(choices):
            yield choices[0] if len(choices) == 1 else _is_no(place, value, schema, definitions)
        return
    allowed = [schema["const"]] if "const" in schema else schema.get("enum")
    if allowed is not None:
        if not any(_is_same(value, each) for each in allowed):
            yield _is_no(place, value, schema, definitions)
        return
    kinds = _kinds(schema)
    if kinds and not any(_is_of(value, kind, schema) for kind in kinds):
        yield _is_no(place, value, schema, definitions)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield from _out_of_bounds(place, value, schema)
    elif isinstance(value, dict):
        yield from _in_object(place, value, schema, definitions, depth)
    elif isinstance(value, list | tuple):
        first = schema.get("prefixItems", ())
        if len(value) < schema.get("minItems", 0) or len(value) > schema.get("maxItems", len(value)):
            yield f"{place} has {len(value)} items, {_count(schema)} wanted"
        for index, item in enumerate(value):
            wanted = first[index] if index < len(first) else schema.get("items", {})
            yield from _faults(f"{_within(place)}[{index}]", item, wanted, definitions, depth + 1)


def _in_object(
    place: str, value: dict[Any, Any], schema: Mapping[str, Any], definitions: Mapping[str, Any], depth: int
) -> Iterator[str]:
    members, others = schema.get("properties", {}), schema.get("additionalProperties", {})
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{place} has no {name!r}"
    for name, member in value.items():
        inner = f"{_within(place)}.{name}" if _within(place) else str(name)
        if name in members:
            yield from _faults(inner, member, members[name], definitions, depth + 1)
        elif others is False:
            yield f"{place} has {name!r}, which is not known"
        else:
            yield from _faults(inner, member, others, definitions, depth + 1)


_BOUNDS: Mapping[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "minimum": ("at least", lambda value, bound: value >= bound),
    "exclusiveMinimum": ("more than", lambda value, bound: value > bound),
    "maximum": ("at most", lambda value, bound: value <= bound),
    "exclusiveMaximum": ("less than", lambda value, bound: value < bound),
    "minLength": ("of a length of at least", lambda value, bound: len(value) >= bound),
    "maxLength": ("of a length of at most", lambda value, bound: len(value) <= bound),
    "pattern": ("a text with the pattern", lambda value, bound: re.search(bound, value) is not None),
}
_FORMATS: Mapping[str, type] = {
    "date-time": dt.datetime,
    "date": dt.date,
    "time": dt.time,
    "duration": dt.timedelta,
    "decimal": decimal.Decimal,
}


def _out_of_bounds(place: str, value: str | float, schema: Mapping[str, Any]) -> Iterator[str]:
    for key, (words, holds) in _BOUNDS.items():
        is_meant = key in schema and isinstance(value, str) == (key in ("minLength", "maxLength", "pattern"))
        if is_meant and not holds(value, schema[key]):
            yield f"{place} is {preview(value, _SHOWN_BYTES)}, not {words} {schema[key]}"
    kind = _FORMATS.get(schema.get("format", ""))
    if kind is not None and isinstance(value, str):
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError:
            yield f"{place} is {preview(value, _SHOWN_BYTES)}, not a {schema['format']}"


def _within(place: str) -> str:
    return "" if place == "it" else place


def _meant(schema: Any, definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a schema without what stands for another one; of what is none, the one that all fits."""
    for _ in range(_DEPTH_MAX):
        if not isinstance(schema, Mapping):
            return {}
        name = schema.get("$ref")
        if name is None:
            return schema
        schema = definitions.get(str(name).removeprefix("#/$defs/"), {})
    return {}


def _kinds(schema: Mapping[str, Any]) -> list[str]:
    kinds = schema.get("type", [])
    return [kind for kind in ([kinds] if isinstance(kinds, str) else kinds) if kind in _KINDS]


def _is_of(value: Any, kind: str, schema: Mapping[str, Any]) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if schema.get("format") == "decimal" and isinstance(value, int | float):
        return True  # msgspec reads it so
    return isinstance(value, _KINDS[kind])


def _count(schema: Mapping[str, Any]) -> str:
    least, most = schema.get("minItems", 0), schema.get("maxItems")
    return f"{least} are" if least == most else f"{least} or more are" if most is None else f"{least} to {most} are"


def _is_same(value: Any, other: Any) -> bool:
    return type(value) is type(other) and bool(value == other)


def _is_no(place: str, value: Any, schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    return f"{place} is {preview(value, _SHOWN_BYTES)}, not {named(schema, definitions)}"


def named(schema: Any, definitions: Mapping[str, Any]) -> str:
    """Return how people call what fits a schema."""
    schema = _meant(schema, definitions)
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(named(each, definitions) for each in schema["anyOf"]))
    if "const" in schema:
        return preview(schema["const"], _SHOWN_BYTES)
    if "enum" in schema:
        return "one of " + ", ".join(preview(each, _SHOWN_BYTES) for each in schema["enum"][:10])
    title = schema.get("title")
    kinds = [_NAMES[kind] for kind in _kinds(schema)]
    if title and kinds == ["an object"]:
        return f"an object {title}"
    return " or ".join(kinds) or "what is wanted"
