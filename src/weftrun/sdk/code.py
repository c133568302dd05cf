"""The code of callables: its digest, and whether two callables do the same. Nothing is called here."""

from __future__ import annotations

import hashlib
import importlib
from functools import partial
from types import CellType, CodeType, FunctionType, MethodType
from typing import Any

from weftrun.sdk.canonical import digest

_COROUTINE = 0x80 | 0x100
"""Code flags of `async def`, and of generators that `types.coroutine` made awaitable."""
_GENERATOR = 0x20
_ASYNC_GENERATOR = 0x200
_AWAITABLE_GENERATOR = 0x100

Pairs = set[tuple[int, int]]
"""Identities of what is being compared: a closure may lead back to itself."""


def is_coroutine_function(callable: Any) -> bool:
    """Say whether calling it gives a coroutine, also through `functools.partial`."""
    return bool(_flags_of(callable) & _COROUTINE)


def yields(callable: Any) -> bool:
    """Say whether calling it gives a generator, also through `functools.partial`; so does `async def` that yields."""
    flags = _flags_of(callable)
    return bool(flags & (_GENERATOR | _ASYNC_GENERATOR)) and not flags & _AWAITABLE_GENERATOR


def _flags_of(callable: Any) -> int:
    while hasattr(callable, "func"):
        callable = callable.func
    code = getattr(callable, "__code__", None)
    return code.co_flags if isinstance(code, CodeType) else 0


def stands_in_a_module(callable: Any) -> bool:
    """Say whether a callable was written at the top of a module or of a class, and not made by a function that ran."""
    written = getattr(getattr(callable, "__code__", None), "co_qualname", "")
    return hasattr(callable, "__qualname__") and "<" not in callable.__qualname__ + written


def code_version(callable: Any) -> str:
    """Return a digest of a callable's code: of its instructions, constants and names, not of its file or its lines.

    It is the same in every process of one Python version; empty for a callable written in C.
    """
    while hasattr(callable, "func"):
        callable = callable.func
    code = getattr(callable, "__code__", None)
    return hashlib.sha256(_code_text(code).encode()).hexdigest()[:16] if isinstance(code, CodeType) else ""


def _code_text(const: object) -> str:
    """Return a text of a constant that has no address in it, and no order that a hash seed decides."""
    if isinstance(const, CodeType):
        names = (const.co_names, const.co_varnames, const.co_freevars, const.co_flags)
        consts = ",".join(map(_code_text, const.co_consts))
        return f"<{const.co_name} {const.co_code.hex()} {names!r} {consts}>"
    if isinstance(const, tuple):
        return f"({','.join(map(_code_text, const))})"
    if isinstance(const, frozenset):
        return f"{{{','.join(sorted(map(_code_text, const)))}}}"
    return repr(const)


# ---------------------------------------------------------------------- whether two do the same


def difference(one: Any, other: Any) -> str:
    """Return what of two callables differs: `code`, `globals`, `defaults` or `closures`; nothing if they do the same.

    Lines and files do not count. Values that can't be compared, for they are of a class that has no equality of its
    own, are the same only if they are one object.
    """
    return _difference(one, other, set())


def _difference(one: Any, other: Any, pairs: Pairs) -> str:
    if one is other or (id(one), id(other)) in pairs:
        return ""
    pairs.add((id(one), id(other)))
    if type(one) is not type(other):
        return "code"
    if isinstance(one, FunctionType):
        return _difference_of_functions(one, other, pairs)
    if isinstance(one, partial):
        same = _same((one.args, one.keywords), (other.args, other.keywords), pairs)
        return _difference(one.func, other.func, pairs) or ("" if same else "arguments")
    if isinstance(one, MethodType):
        same = _same(one.__self__, other.__self__, pairs)
        return _difference(one.__func__, other.__func__, pairs) or ("" if same else "objects")
    if hasattr(one, "__wrapped__") and hasattr(other, "__wrapped__"):
        return _difference(one.__wrapped__, other.__wrapped__, pairs)
    return "" if _equal(one, other) else "code"


def _difference_of_functions(one: FunctionType, other: FunctionType, pairs: Pairs) -> str:
    if _code_text(one.__code__) != _code_text(other.__code__):
        return "code"
    if one.__globals__ is not other.__globals__:
        return "globals"
    if not _same((one.__defaults__, one.__kwdefaults__), (other.__defaults__, other.__kwdefaults__), pairs):
        return "defaults"
    cells = zip(one.__closure__ or (), other.__closure__ or (), strict=True)
    return "" if all(_same_cell(mine, theirs, other, pairs) for mine, theirs in cells) else "closures"


def _same_cell(mine: CellType, theirs: CellType, other: FunctionType, pairs: Pairs) -> bool:
    """Compare a variable of two closures. A function that calls itself has an empty one while it is decorated."""
    held = (*_contents(mine), *_contents(theirs))
    if len(held) == 2:
        return _same(held[0], held[1], pairs)
    return not held or _unwrapped(held[0]) is other


def _contents(cell: CellType) -> tuple[object, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:  # it is empty
        return ()


def _unwrapped(value: object) -> object:
    functions = importlib.import_module("weftrun.sdk.function")  # late: it imports this module
    return value.handler if isinstance(value, functions.Function) else value


def _same(one: Any, other: Any, pairs: Pairs) -> bool:
    """Say whether two values are the same for whoever computes with them."""
    if one is other:
        return True
    kind = type(one)
    if kind is not type(other):
        return False
    if kind is tuple or kind is list:
        return len(one) == len(other) and all(_same(*both, pairs) for both in zip(one, other, strict=True))
    if kind is dict:
        return _same(list(one), list(other), pairs) and _same(list(one.values()), list(other.values()), pairs)
    if isinstance(one, FunctionType | partial | MethodType):
        return not _difference(one, other, pairs)
    if _unwrapped(one) is not one:
        return bool(one.spec == other.spec) and not _difference(one.handler, other.handler, pairs)
    if isinstance(one, type):
        return False  # two classes of one name, which their digest would be of
    text = digest(one)
    return text == digest(other) if text else _equal(one, other)


def _equal(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:  # noqa: BLE001  # equality is the author's code, which may raise anything
        return False
