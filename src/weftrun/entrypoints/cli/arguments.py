"""From `name=value` words to arguments, by the annotations of the Function."""

from __future__ import annotations

import difflib
import inspect
import types
import typing
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath
from typing import Any

import msgspec

from weftrun.model.errors import UsageError
from weftrun.sdk.arguments import signature_of
from weftrun.sdk.function import Function

_LISTS = (list, tuple, set, frozenset)
_Parameters = typing.Mapping[str, inspect.Parameter]


def bind(function: Function[..., Any], words: Sequence[str]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return `(args, kwargs)` for a Function from words of the form `name=value`.

    A `str` parameter takes the text; anything else is JSON, decoded by the annotation. `name=@file` takes what a file
    holds, `name=@@text` a text that begins with `@`. A name that is given again appends to a list.

    Raises:
        UsageError: a word has no `=`, a name is unknown or missing, a value does not fit, a file can't be read.
    """
    parameters = signature_of(function.callable).parameters
    hints = _hints(function)
    given: dict[str, list[str | bytes]] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name.isidentifier():
            raise UsageError(f"{word!r} is not name=value. {_signature(function, parameters)}")
        given.setdefault(name, []).append(_text(name, text))
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for name, texts in given.items():
        parameter = _parameter(function, parameters, name)
        value = _value(name, texts, _annotation(parameter, hints), many=parameter.kind is parameter.VAR_POSITIONAL)
        if parameter.kind is parameter.VAR_POSITIONAL:
            args.extend(value)
        else:
            kwargs[name] = value
    _check_missing(function, parameters, given)
    positional = [p.name for p in parameters.values() if p.kind is p.POSITIONAL_ONLY and p.name in kwargs]
    before = positional if not args else [p.name for p in parameters.values() if _may_stand_first(p)]
    return (*(kwargs.pop(name, parameters[name].default) for name in before), *args), kwargs


def _may_stand_first(parameter: inspect.Parameter) -> bool:
    return parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)


def _hints(function: Function[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function.callable)
    except Exception:  # noqa: BLE001  # annotations are the author's code; what can't be evaluated says nothing
        return {}


def _annotation(parameter: inspect.Parameter, hints: dict[str, Any]) -> Any:
    return hints.get(parameter.name, Any)


def _parameter(function: Function[..., Any], parameters: _Parameters, name: str) -> inspect.Parameter:
    found = parameters.get(name)
    if found is not None and found.kind is not found.VAR_KEYWORD:
        return found
    rest = next((p for p in parameters.values() if p.kind is p.VAR_KEYWORD), None)
    if rest is not None:
        return rest
    near = difflib.get_close_matches(name, parameters, 1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise UsageError(f"{function.spec.label} has no parameter {name!r}.{hint} {_signature(function, parameters)}")


def _check_missing(function: Function[..., Any], parameters: _Parameters, given: Iterable[str]) -> None:
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    missing = [
        p.name for p in parameters.values() if p.name not in given and p.default is p.empty and p.kind not in optional
    ]
    if missing:
        needed = ", ".join(f"{name}=…" for name in missing)
        raise UsageError(f"{function.spec.label} needs {needed}. {_signature(function, parameters)}")


def _signature(function: Function[..., Any], parameters: _Parameters) -> str:
    if not parameters:
        return f"{function.spec.label} takes no arguments."
    hints = _hints(function)
    told = [p.replace(annotation=hints.get(p.name, p.annotation)) for p in parameters.values()]
    return f"It takes {', '.join(map(str, told))}."


def _text(name: str, text: str) -> str | bytes:
    """Return the text of a word, or the bytes of the file that it names."""
    if text.startswith("@@"):
        return text[1:]
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_bytes()
    except OSError as error:
        raise UsageError(f"{name}={text}: the file can't be read: {error.strerror}.") from error


def _value(name: str, texts: list[str | bytes], annotation: Any, *, many: bool) -> Any:
    element = annotation if many else _element(annotation)
    if many:
        return [_decoded(name, text, element) for text in texts]
    if element is None:
        if len(texts) > 1:
            raise UsageError(f"{name} is given {len(texts)} times, but takes one value.")
        return _decoded(name, texts[0], annotation)
    if len(texts) == 1 and texts[0].lstrip()[:1] in ("[", b"["):
        return _decoded(name, texts[0], annotation)
    values = [_decoded(name, text, element) for text in texts]
    try:
        return msgspec.convert(values, annotation, dec_hook=_hook)
    except (msgspec.ValidationError, TypeError) as error:
        raise UsageError(f"{name}: {error}.") from error


def _element(annotation: Any) -> Any:
    """Return what a list's items are, or None where the annotation is no list."""
    origin = typing.get_origin(annotation) or annotation
    if origin in (typing.Union, types.UnionType):
        return next((e for e in map(_element, typing.get_args(annotation)) if e is not None), None)
    if not isinstance(origin, type) or issubclass(origin, str | bytes):
        return None
    if origin in _LISTS or origin.__module__ == "collections.abc":
        args = [arg for arg in typing.get_args(annotation) if arg is not Ellipsis]
        return args[0] if len(args) == 1 else Any if not args else None
    return None


def _decoded(name: str, text: str | bytes, annotation: Any) -> Any:
    kinds = typing.get_args(annotation) if typing.get_origin(annotation) in (typing.Union, types.UnionType) else ()
    kinds = kinds or (annotation,)
    if bytes in kinds:
        return text if isinstance(text, bytes) else text.encode()
    if isinstance(text, bytes):
        try:
            text = text.decode()
        except UnicodeDecodeError as error:
            raise UsageError(f"{name}: the file is not UTF-8 text: {error}.") from error
    if str in kinds:
        return text
    if Any in kinds or object in kinds:
        return _json_or_text(text)
    return _by_annotation(name, text, annotation)


def _json_or_text(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError):
        return text


def _by_annotation(name: str, text: str, annotation: Any) -> Any:
    """Decode JSON; a text that is no JSON may still be a date, an enum's value, a path."""
    try:
        return msgspec.json.decode(text, type=annotation, dec_hook=_hook)
    except (msgspec.DecodeError, NotImplementedError, TypeError, ValueError) as error:
        try:
            return msgspec.convert(text, annotation, strict=False, dec_hook=_hook)
        except (msgspec.ValidationError, NotImplementedError, TypeError, ValueError) as second:
            why = error if isinstance(error, msgspec.ValidationError) else second
    shown = text if len(text) <= 60 else text[:57] + "…"
    wanted = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    raise UsageError(f"{name}={shown} is no {wanted}: {why}.") from why


def _hook(kind: type, value: Any) -> Any:
    """Make what msgspec does not know: paths."""
    if issubclass(kind, PurePath) and isinstance(value, str | PurePath):
        return kind(value)
    raise NotImplementedError(f"a {kind.__name__} is not made from JSON; let a Function make it")
