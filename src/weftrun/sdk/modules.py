"""Modules of the author's own that were imported again in this process: Sandboxes must not keep their old code."""

from __future__ import annotations

import hashlib
import os
import sys
from operator import attrgetter
from types import ModuleType
from typing import Any

from weftrun.sdk.home import container_of

_spec_of = attrgetter("__spec__")
_NOT_OWN = tuple(os.sep + name + os.sep for name in ("site-packages", "dist-packages"))
_STDLIB = os.path.dirname(os.__file__) + os.sep


class Reloads:
    """Counts the times that a module of the author's own was reloaded, and knows what those hold now.

    `importlib.reload` gives a module a new spec; who deletes it from `sys.modules` and imports it again, a new module.
    Nothing is read from disk before one of that is seen, and to look takes a few microseconds for a hundred modules.
    """

    def __init__(self) -> None:
        """Begin with no module."""
        self._count = 0
        self._known = 0
        self._names: list[str] = []
        self._there: list[ModuleType | None] = []
        self._modules: list[ModuleType] = []
        self._specs: list[Any] = []
        self._ids: list[int] = []
        self._contents: dict[str, bytes] = {}

    def count(self) -> int:
        """Return how often one was reloaded so far, by what is seen now."""
        loaded = sys.modules
        there = len(loaded) == self._known and list(map(loaded.get, self._names)) == self._there
        if not there or list(map(id, map(_spec_of, self._modules))) != self._ids:
            self._look()
        return self._count

    def digest(self) -> bytes:
        """Return a digest of all that were reloaded; empty where none was."""
        if not self._contents:
            return b""
        return hashlib.sha256(repr(sorted(self._contents.items())).encode()).digest()

    def _look(self) -> None:
        known = zip(self._names, self._modules, self._specs, strict=True)
        before = {name: (module, spec) for name, module, spec in known}
        found = {name: module for name, module in list(sys.modules.items()) if is_own(name, module)}
        for name, module in found.items():
            last = before.pop(name, None)
            if last is not None and (last[0] is not module or last[1] is not module.__spec__):
                self._count += 1
                self._contents[name] = _content(module)
        # One that is not there now may be imported again later.
        found.update((name, module) for name, (module, _) in before.items() if name not in sys.modules)
        self._known = len(sys.modules)
        self._names, self._modules = list(found), list(found.values())
        self._there = list(map(sys.modules.get, self._names))
        self._specs = list(map(_spec_of, self._modules))
        self._ids = list(map(id, self._specs))  # two specs of one file are equal


def is_own(name: str, module: Any) -> bool:
    """Say whether a module is the author's own: neither the standard library's, nor installed, nor weftrun's."""
    file = getattr(module, "__file__", None)
    return (
        isinstance(file, str)
        and getattr(module, "__spec__", None) is not None
        and not file.startswith(_STDLIB)
        and not any(part in file for part in _NOT_OWN)
        and name.partition(".")[0] != "weftrun"
    )


def written_since(at: float) -> tuple[str, ...]:
    """Return the names of the author's own files that are imported here and were written to after this time.

    Args:
        at: in seconds since the epoch; with 0 nothing is looked for.
    """
    own = [module for name, module in list(sys.modules.items()) if at and is_own(name, module)]
    files = {container_of(os.path.abspath(module.__file__ or "")) for module in own}
    return tuple(sorted(os.path.basename(file) for file in files if file and os.stat(file).st_mtime > at))


def _content(module: ModuleType) -> bytes:
    held = container_of(os.path.abspath(module.__file__ or ""))
    if not held:
        return b""
    with open(held, "rb") as source:
        return hashlib.sha256(source.read()).digest()


RELOADS = Reloads()
