"""Code that has no file: what a notebook, a REPL or a program from stdin has defined travels as one blob.

All of it together, so that its Functions keep sharing their globals. The blob holds the values of globals that they
use, and what closures hold; it is made again when one of these has changed, and when a cell defined something anew.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import pickle
import sys
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

from weftrun.model.errors import NotSerializable, UsageError
from weftrun.sdk.callee import Callee
from weftrun.sdk.function import Function, adopt
from weftrun.sdk.home import MAIN, Home
from weftrun.sdk.registry import registered

_PLAIN: Final = frozenset({int, float, complex, bool, str, bytes, type(None), range, type(...)})
_WRAPPERS: Final = (("__func__",), ("fget", "fset", "fdel"), ("__wrapped__",), ("func",))
"""What hands on to a function in a class: `staticmethod`, `classmethod`, `property`, `cached_property`."""


class Values:
    """What a notebook's Functions are made of, as it was when this was made."""

    def __init__(self, home: Home) -> None:
        """Look at everything that `home` has now."""
        self._home = home
        self._own, self._made = _defined(home)
        self._state, self._kept = _look(self._own, self._made)

    def are_so(self) -> bool:
        """Say whether all of it is as it was."""
        return _look(*_defined(self._home))[0] == self._state

    def blob(self) -> bytes:
        """Pickle it.

        Raises:
            NotSerializable: something in it can't be pickled.
        """
        wrapped = {name: (found.handler, found.spec) for name, found in self._made.items()}
        cloudpickle = importlib.import_module("cloudpickle")  # late: only notebooks need it
        try:
            blob: bytes = cloudpickle.dumps((self._own, wrapped))
        except UsageError:
            raise
        except Exception as error:  # pickling runs the author's code, which may raise anything
            raise NotSerializable(
                f"What was defined in this session can't be sent to a Sandbox ({error}): a function or a class of it "
                "uses something that can't be pickled. Make that inside the function, or write a module."
            ) from error
        return blob


def _defined(home: Home) -> tuple[dict[str, Any], dict[str, Callee]]:
    """Return the functions and classes that were written in a notebook, and its Functions, by name."""
    own = {name: value for name, value in list(home.names.items()) if _is_own(name, value)}
    return own, registered(home)


def _is_own(name: str, value: object) -> bool:
    return (
        not name.startswith("__")
        and isinstance(value, FunctionType | type)
        and getattr(value, "__module__", None) == MAIN
    )


def _look(own: dict[str, Any], made: dict[str, Callee]) -> tuple[list[Any], list[Any]]:
    """Return what tells one state from another, and the objects whose ids stand in it, to be kept alive."""
    reader = _GlobalsReader()
    for name, value in own.items():
        reader.state.append(name)
        reader.read(value)
    for name, found in made.items():
        reader.state.append((name, found.spec))
        reader.read(found.handler)
    return reader.state, reader.kept


class _GlobalsReader:
    """Walks through functions, and through the globals, cells and defaults that they use.

    What can't change is told by itself or by its id, all else by a digest of its pickle: a list that grew has its id.
    """

    def __init__(self) -> None:
        self.state: list[Any] = []
        self.kept: list[Any] = []
        self._seen: dict[int, int] = {}

    def read(self, value: Any) -> None:
        """Add what tells `value` from what it may be later."""
        kind = type(value)
        if kind in _PLAIN:
            self.state.append((kind, value))
            return
        place = self._seen.get(id(value))
        if place is not None:
            self.state.append(place)
            return
        self._seen[id(value)] = len(self._seen)
        self.kept.append(value)
        if kind is FunctionType and _by_value(value):
            self._function(value)
        elif isinstance(value, type) and _by_value(value):
            self._class(value)
        elif isinstance(value, Function):
            self.state.append(id(value))
            self.read(value.handler)
        elif isinstance(value, FunctionType | type | ModuleType):
            self.state.append(id(value))
        else:
            self.state.append(_content(value))

    def _function(self, function: FunctionType) -> None:
        self.state.append((id(function), function.__code__))
        for part in (function.__defaults__, *(function.__kwdefaults__ or {}).items(), *vars(function).items()):
            self.read(part)
        for cell in function.__closure__ or ():
            try:
                self.read(cell.cell_contents)
            except ValueError:  # nothing is in it yet
                self.state.append("empty")
        names = function.__globals__
        for name in _names_used(function.__code__):
            if name in names:
                self.state.append(name)
                self.read(names[name])

    def _class(self, cls: type) -> None:
        self.state.append(id(cls))
        for base in cls.__bases__:
            self.read(base)
        for name, value in vars(cls).items():
            if name in ("__dict__", "__weakref__", "__module__"):
                continue
            self.state.append(name)
            parts = [
                part for parts in _WRAPPERS for part in parts if isinstance(getattr(value, part, None), FunctionType)
            ]
            if parts and type(value) is not FunctionType:
                for part in parts:
                    self.read(getattr(value, part))
            else:
                self.read(value)


def _by_value(value: Any) -> bool:
    """Say whether a function or a class travels by value: no module that can be imported has it."""
    module = sys.modules.get(getattr(value, "__module__", None) or MAIN)
    if module is None or module.__name__ == MAIN:
        return True
    found: Any = module
    for part in value.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is not value


@functools.lru_cache(maxsize=1_000)
def _names_used(code: CodeType) -> tuple[str, ...]:
    """Return the names that code looks up, also in functions inside it: those of globals, and some others."""
    found = dict.fromkeys(code.co_names)
    for const in code.co_consts:
        if isinstance(const, CodeType):
            found.update(dict.fromkeys(_names_used(const)))
    return tuple(found)


def _content(value: Any) -> Any:
    """Return a digest of what `value` holds; its id where it can't be pickled, which whoever sends it will say."""
    for dumps in (pickle.dumps, importlib.import_module("cloudpickle").dumps):
        try:
            return hashlib.blake2b(dumps(value, 5), digest_size=16).digest()
        except Exception:  # noqa: BLE001  # pickling runs the author's code, which may raise anything
            continue
    return id(value)


def install(blob: bytes) -> None:
    """Define in this process what a notebook has defined, in `__main__`."""
    names = vars(sys.modules[MAIN])
    own, wrapped = pickle.loads(blob)
    names.update(own)
    for name, (callable, spec) in wrapped.items():
        found = adopt(name, callable, spec)
        names[getattr(callable, "__name__", spec.label)] = found
