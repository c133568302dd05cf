"""One visitor of values: finds, or changes, the data inside any message, event, command or record.

Which fields of a class can hold data is read off its annotations once, so that a visit touches only those.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from weftrun.model.ids import ObjectId
from weftrun.model.values import Blob, Data, Inline, Object

_DATA = (Inline, Object, Blob)

T = TypeVar("T")


def change_data(value: T, change: Callable[[Object | Blob], Data]) -> T:
    """Return the value with all data in it changed that is not inline, or the value itself where there is none.

    Args:
        value: a Struct of `model`, a tuple of such, or anything that holds no data.
        change: returns what is to stand in the place of an Object or a blob.
    """
    return typing.cast(T, _changed(value, change)) if not rides_along(value) else value


def _changed(value: object, change: Callable[[Object | Blob], Data]) -> object:
    if isinstance(value, Object | Blob):
        return change(value)
    if isinstance(value, tuple):
        items = [_changed(item, change) for item in value]
        return tuple(items) if any(new is not old for new, old in zip(items, value, strict=True)) else value
    if not isinstance(value, Struct):
        return value
    old = {name: getattr(value, name) for name in data_fields(type(value))}
    new = {name: _changed(field, change) for name, field in old.items()}
    changed = {name: field for name, field in new.items() if field is not old[name]}
    return replace(value, **changed) if changed else value


def _found(kinds: tuple[type[T], ...], value: object) -> list[T]:
    """Return what is of these kinds in a value. Without recursion: several values of each Step are visited."""
    found: list[T] = []
    stack = [value]
    while stack:
        value = stack.pop()
        kind = type(value)  # not `isinstance`, which takes several times as long for what is none
        if kind in kinds:
            found.append(value)  # type: ignore[arg-type]
        elif kind is tuple or kind is list:
            stack.extend(reversed(value))  # type: ignore[call-overload]
        else:
            fields = _fields.get(kind)
            for name in reversed(data_fields(kind) if fields is None else fields):
                inner = getattr(value, name)
                if inner and type(inner) is not Inline:  # most often it is; so none of `kinds` may be it
                    stack.append(inner)
    return found


objects_in: Callable[[object], list[Object]] = partial(_found, (Object,))
"""Return the Objects in a value, one for each time that one is named, in order."""

blobs_in: Callable[[object], list[Blob]] = partial(_found, (Blob,))
"""Return the blobs in a value, one for each time that one is named, in order."""


def rides_along(value: object) -> bool:
    """Say whether all data in a value is inline."""
    return not _found((Object, Blob), value)


def distinct_objects(value: object) -> tuple[ObjectId, ...]:
    """Return the Objects that a value names, each once, in order."""
    found = objects_in(value)
    return tuple(dict.fromkeys([obj.oid for obj in found])) if found else ()


_fields: dict[type[object], tuple[str, ...]] = {}
"""Of each class seen so far."""


def data_fields(kind: type[object]) -> tuple[str, ...]:
    """Return the names of those fields of a class in which data can stand; none of what is no Struct."""
    found = _fields.get(kind)
    if found is None and not issubclass(kind, Struct):
        found = _fields[kind] = ()
    elif found is None:
        hints = typing.get_type_hints(kind)
        found = _fields[kind] = tuple(name for name, hint in hints.items() if _reaches_data(hint, set()))
    return found


def _reaches_data(hint: object, seen: set[object]) -> bool:
    if hint in _DATA:
        return True
    if typing.get_origin(hint) is not None or isinstance(hint, types.UnionType):
        return any(_reaches_data(inner, seen) for inner in typing.get_args(hint))
    if not isinstance(hint, type) or not issubclass(hint, Struct) or hint in seen:
        return False
    seen.add(hint)
    return any(_reaches_data(inner, seen) for inner in typing.get_type_hints(hint).values())
