"""Arguments from JSON by the type hints of a Function, and values to JSON where nothing is lost by it.

Nothing here is called in an engine: it runs the author's code, as their constructors and their hints are.
"""

from __future__ import annotations

import functools
import json
import types
from pathlib import PurePath
from typing import Any

import msgspec

from weftrun.model.errors import UsageError
from weftrun.model.telling import writable
from weftrun.sdk.function import Function
from weftrun.sdk.parameters import Parameters

JSON_SCHEMA_ANY: dict[str, Any] = {}
"""The JSON Schema of what may be anything."""
_SCHEMA_MAX = 16 * 1024


def bind_json(function: Function[..., Any], body: bytes) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return `(args, kwargs)` of a call from JSON: an object of arguments by name, or an array of them by position.

    An argument of `*rest` is an array. Values are made by the type hints, as msgspec does it; without one they are
    what JSON has.

    Raises:
        UsageError: it is no such JSON, an argument is unknown or missing, or its value does not fit its hint.
    """
    parameters = _parameters(function)
    given = _given(parameters, body)
    rest: list[Any] = []
    by_name: dict[str, Any] = {}
    for name, raw in given.items():
        parameter = parameters.named(name)
        annotation = parameters.annotation(parameter)
        if parameter.kind is parameter.VAR_POSITIONAL:
            rest = _made(name, raw, list[Any] if annotation is Any else types.GenericAlias(list, (annotation,)))
        else:
            by_name[name] = _made(name, raw, annotation)
    parameters.check_missing(given)
    return parameters.call(rest, by_name)


@functools.lru_cache(maxsize=1_024)
def _parameters(function: Function[..., Any]) -> Parameters:
    """Return what a Function takes; reading hints costs more than a call does."""
    return Parameters(function, extras=True)


def _given(parameters: Parameters, body: bytes) -> dict[str, msgspec.Raw]:
    """Return the arguments of a call by name, not decoded yet."""
    try:
        given = msgspec.json.decode(body, type=dict[str, msgspec.Raw] | list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeError) as error:
        raise UsageError(f"The arguments of {parameters.label} are no JSON object and no array: {error}.") from None
    if isinstance(given, dict):
        return given
    names = [p.name for p in parameters.by_name.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    rest = next((p.name for p in parameters.by_name.values() if p.kind is p.VAR_POSITIONAL), None)
    found = dict(zip(names, given, strict=False))
    if len(given) > len(names):
        if rest is None:
            raise UsageError(
                f"{parameters.label} was given {len(given)} arguments by position, and takes {len(names)}. "
                f"{parameters.sentence()}"
            )
        found[rest] = msgspec.Raw(b"[" + b",".join(bytes(raw) for raw in given[len(names) :]) + b"]")
    return found


def _made(name: str, raw: msgspec.Raw, annotation: Any) -> Any:
    """Make one argument by its hint; of a hint that JSON has nothing for, what JSON gives is taken."""
    if annotation is Any or annotation is object:
        return msgspec.json.decode(raw)
    try:
        return msgspec.json.decode(raw, type=annotation, dec_hook=from_json_hook)
    except msgspec.ValidationError as error:
        raise UsageError(f"{name}: {error}.") from error
    except UsageError:
        raise
    except Exception as error:  # the author's type may raise anything; msgspec refuses some types with TypeError
        wanted = annotation.__name__ if isinstance(annotation, type) else str(annotation)
        raise UsageError(f"{name} can't be made as {wanted} from JSON: {error}.") from error


def from_json_hook(kind: type, value: Any) -> Any:
    """Make what msgspec does not know: paths."""
    if issubclass(kind, PurePath) and isinstance(value, str | PurePath):
        return kind(value)
    raise NotImplementedError(f"a {kind.__name__} is not made from JSON; let a Function make it")


def value_as_json(value: object) -> str | None:
    """Return an author's value as JSON, or None where that would lose or change something."""
    try:
        plain = msgspec.to_builtins(value, builtin_types=(bytes, bytearray, memoryview))
        text = json.dumps(plain, ensure_ascii=False, allow_nan=False)
        return text if writable(text) == text else json.dumps(plain, allow_nan=False)
    except (TypeError, ValueError, RecursionError, OverflowError, NotImplementedError):
        return None


def json_schema(function: Function[..., Any]) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the object with a Function's arguments by name.

    Of a hint that has none, or that can't be evaluated, anything may be given.
    """
    parameters = Parameters(function, extras=True)
    properties, required, definitions = dict[str, Any](), [], dict[str, Any]()
    open_ended = False
    for parameter in parameters.by_name.values():
        annotation = parameters.annotation(parameter)
        if parameter.kind is parameter.VAR_KEYWORD:
            open_ended = True
            continue
        if parameter.kind is parameter.VAR_POSITIONAL:
            annotation = types.GenericAlias(list, (annotation,))
        elif parameter.default is parameter.empty:
            required.append(parameter.name)
        properties[parameter.name] = _schema_of(annotation, definitions)
        if parameter.default is not parameter.empty and (told := value_as_json(parameter.default)) is not None:
            properties[parameter.name] = {**properties[parameter.name], "default": json.loads(told)}
    schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": open_ended}
    return schema | ({"$defs": definitions} if definitions else {})


def type_schema(annotation: Any) -> str:
    """Return the JSON Schema (2020-12) of a type, as JSON; empty of one that has none, or a very long one."""
    definitions = dict[str, Any]()
    schema = _schema_of(annotation, definitions)
    told = json.dumps(schema | ({"$defs": definitions} if definitions else {}), separators=(",", ":"))
    return told if schema and len(told) <= _SCHEMA_MAX else ""


def _schema_of(annotation: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if annotation is Any or annotation is object:
        return JSON_SCHEMA_ANY
    try:
        (schema,), found = msgspec.json.schema_components(
            [annotation], schema_hook=_schema_hook, ref_template="#/$defs/{name}"
        )
    except Exception:  # noqa: BLE001  # hints are the author's, and may name types that msgspec does not know
        return JSON_SCHEMA_ANY
    definitions.update(found)
    return schema


def _schema_hook(kind: type) -> dict[str, Any]:
    if issubclass(kind, PurePath):
        return {"type": "string", "format": "path"}
    raise NotImplementedError
