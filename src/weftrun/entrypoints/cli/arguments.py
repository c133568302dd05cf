"""From `name=value` words to arguments, by the annotations of the Function."""

from __future__ import annotations

import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from weftrun.model.errors import UsageError
from weftrun.sdk.function import Function
from weftrun.sdk.json_values import from_json_hook
from weftrun.sdk.parameters import Parameters

_LISTS = (list, tuple, set, frozenset)


def bind(function: Function[..., Any], words: Sequence[str]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return `(args, kwargs)` for a Function from words of the form `name=value`.

    A `str` parameter takes the text; anything else is JSON, decoded by the annotation. `name=@file` takes what a file
    holds, `name=@@text` a text that begins with `@`. A name that is given again appends to a list.

    Raises:
        UsageError: a word has no `=`, a name is unknown or missing, a value does not fit, a file can't be read.
    """
    parameters = Parameters(function)
    given: dict[str, list[str | bytes]] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name.isidentifier():
            raise UsageError(f"{word!r} is not name=value. {parameters.sentence()}")
        given.setdefault(name, []).append(_text(name, text))
    rest: list[Any] = []
    by_name: dict[str, Any] = {}
    for name, texts in given.items():
        parameter = parameters.named(name)
        many = parameter.kind is parameter.VAR_POSITIONAL
        value = _value(name, texts, parameters.annotation(parameter), many=many)
        if many:
            rest.extend(value)
        else:
            by_name[name] = value
    parameters.check_missing(given)
    return parameters.call(rest, by_name)


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
        return msgspec.convert(values, annotation, dec_hook=from_json_hook)
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
        return msgspec.json.decode(text, type=annotation, dec_hook=from_json_hook)
    except (msgspec.DecodeError, NotImplementedError, TypeError, ValueError) as error:
        try:
            return msgspec.convert(text, annotation, strict=False, dec_hook=from_json_hook)
        except (msgspec.ValidationError, NotImplementedError, TypeError, ValueError) as second:
            why = error if isinstance(error, msgspec.ValidationError) else second
    shown = text if len(text) <= 60 else text[:57] + "…"
    wanted = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    raise UsageError(f"{name}={shown} is no {wanted}: {why}.") from why
