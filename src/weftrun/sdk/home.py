"""Which module a Function belongs to: its own globals tell, not `sys.modules["__main__"]`.

A profiler, a debugger or `runpy` run a program whose globals are not those of the module `__main__`. A script is known
by an import name (the stem of its file) whoever runs it, a module by the name that its spec has, also under
`python -m`; what a notebook or a REPL has defined has no name outside it.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import FrozenImporter
from types import ModuleType
from typing import Any, Final

from weftrun.sdk.program import STARTED_IN, argv_here, cwd_here

MAIN: Final = "__main__"
_STDLIB: Final = os.path.dirname(os.__file__) + os.sep
RUN_AS: Final = (MAIN, "__mp_main__", "<run_path>")
"""Names that scripts run under: as the program, in a worker of multiprocessing, by `runpy.run_path`."""
_homes: dict[str, Home] = {}


class Home:
    """The module that made a Function, and whose import makes it again in a Sandbox.

    Attributes:
        module: its import name; `__main__` for a notebook, a REPL, `python -c` and a program that is read from stdin.
        file: absolute path of its file, which may lie in a zip archive; empty where there is none.
        is_script: whether it is loaded by that path.
        names: its globals.
        argv: what the program was called with.
        kept: the bundle with its code and what it was made of, until that is no longer so.
    """

    __slots__ = ("argv", "file", "is_script", "kept", "module", "names")

    def __init__(self, module: str, file: str, names: dict[str, Any], *, is_script: bool) -> None:
        """Stand for the module with these globals."""
        self.module = module
        self.file = file
        self.is_script = is_script
        self.names = names
        self.argv = argv_here()
        self.kept: Any = None


def home_of(names: dict[str, Any]) -> Home:
    """Return the module with these globals. It is being executed, perhaps again: what was known of its code is not."""
    module, file, is_script = _resolved(names)
    home = _homes.get(module)
    if home is None or home.names is not names or home.file != file:
        home = _homes[module] = Home(module, file, names, is_script=is_script)
        let_be_found(home)
    home.kept = None
    return home


def notebook() -> Home:
    """Return the home of what came by value; it is in `__main__`."""
    names = vars(sys.modules[MAIN])
    home = _homes.get(MAIN)
    if home is None or home.names is not names:
        home = _homes[MAIN] = Home(MAIN, "", names, is_script=False)
    return home


def forget_notebook() -> None:
    """Release what the last bundle of a notebook was made of; the next one is made anew."""
    if MAIN in _homes:
        _homes[MAIN].kept = None


def module_of(names: dict[str, Any]) -> str:
    """Return the import name of the module with these globals."""
    return _resolved(names)[0]


def import_name(module: str) -> str:
    """Return the import name of the module that classes name as theirs: of a script its own, not `__main__`."""
    if module not in RUN_AS:
        return module
    found = sys.modules.get(module)
    return module_of(getattr(found, "_names", None) or vars(found)) if found is not None else module


def _resolved(names: dict[str, Any]) -> tuple[str, str, bool]:
    """Return import name and file of the module with these globals, and whether it is a script."""
    name = names.get("__name__") or MAIN
    file = names.get("__file__") or ""
    path = absolute(file) if isinstance(file, str) and file else ""
    spec_name = getattr(names.get("__spec__"), "name", None) or MAIN
    if spec_name != MAIN:
        return str(spec_name), path, False
    if path and container_of(path):
        return script_name(path), path, True
    if name not in RUN_AS and getattr(sys.modules.get(name), "__dict__", None) is names:
        return name, path, False
    return MAIN, "", False


def absolute(file: str) -> str:
    """Return the path of a file that a program was started with, although it may have gone to another folder since."""
    if not os.path.isabs(file):
        for folder in (STARTED_IN, cwd_here(), os.environ.get("PWD", "")):
            found = os.path.normpath(os.path.join(folder, file))
            if folder and container_of(found):
                return found
    return os.path.abspath(file)


def container_of(file: str) -> str:
    """Return the file on disk that holds `file`: itself, or the archive in which it lies; nothing if it is gone."""
    at = file
    while at and not os.path.exists(at) and os.path.dirname(at) != at:
        at = os.path.dirname(at)
    return at if os.path.isfile(at) else ""


def script_name(file: str) -> str:
    """Return the import name of a script: the stem of its file, unless that is the name of another module.

    It is that for a `__main__.py`, for a script beside a package of its name, and for one that is called as a module of
    the interpreter is. A dot would make a package of what is before it.
    """
    folder, stem = os.path.dirname(file), os.path.splitext(os.path.basename(file))[0]
    if stem == MAIN:
        stem = os.path.splitext(os.path.basename(folder))[0]
    elif not (
        stem in sys.builtin_module_names
        or os.path.isfile(os.path.join(folder, stem, "__init__.py"))
        or FrozenImporter.find_spec(stem) is not None
    ):
        return stem.replace(".", "_")
    return stem.replace(".", "_") + MAIN


class _Running(ModuleType):
    """A program that runs in globals of somebody else's making, as a module."""

    def __init__(self, name: str, names: dict[str, Any]) -> None:
        super().__init__(name)
        self._names = names

    def __getattr__(self, name: str) -> Any:
        try:
            return self._names[name]
        except KeyError:
            raise AttributeError(name) from None


def let_be_found(home: Home) -> None:
    """Let pickle find a program's classes here: by the name that it runs under, and by the one that Sandboxes have."""
    name = home.names.get("__name__")
    if name in sys.modules and (name == home.module or (name not in RUN_AS and not home.is_script)):
        return
    running = sys.modules.get(str(name))
    if getattr(running, "__dict__", None) is not home.names and getattr(running, "_names", None) is not home.names:
        there = getattr(running, "__file__", None) or _STDLIB
        running = _Running(str(name), home.names)
        if there.startswith(_STDLIB):
            # `cProfile` and `trace` of Python 3.11 leave themselves there, later ones do this; `runpy` cleans up.
            sys.modules[str(name)] = running
    if running is not None:
        sys.modules.setdefault(home.module, running)
