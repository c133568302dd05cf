"""The code that a Sandbox needs: what it is made of, as long as it is the same, and how it is installed.

A bundle is made again when the module that it names has been executed again, when a module of the author's own was
reloaded, when a notebook's Functions or what they use has changed, and when the program has another `sys.path` or
working directory. A file that was only edited changes nothing here: this program has the old code.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
import zipimport
from importlib.machinery import BuiltinImporter, FrozenImporter, ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import TYPE_CHECKING, Any

from weftrun.model.errors import UsageError
from weftrun.model.policy import Bundle, Program
from weftrun.model.telling import writable
from weftrun.sdk.home import MAIN, RUN_AS, Home, container_of, let_be_found
from weftrun.sdk.modules import RELOADS
from weftrun.sdk.place import importing
from weftrun.sdk.program import STARTED_IN, cwd_here, interpreter_options

if TYPE_CHECKING:
    from weftrun.sdk.function import Function

_scripts: set[str] = set()
"""Modules that were loaded by path."""


class _KeptBundle:
    """A bundle, and what it was made of."""

    __slots__ = ("bundle", "cwd", "path", "reloads", "values")

    def __init__(self, home: Home) -> None:
        self.cwd = cwd_here()
        self.path = list(sys.path)
        self.reloads = RELOADS.count()
        self.values: Any = None
        let_be_found(home)
        if home.module == MAIN:
            notebooks = importlib.import_module("weftrun.sdk.notebook")  # late: only notebooks need it
            self.values = notebooks.Values(home)
            self.bundle = _writable(self._of_values(home, self.values.blob()))
        else:
            self.bundle = _writable(self._of_module(home))

    def is_so(self) -> bool:
        """Say whether all that it was made of is as it was."""
        return (
            self.path == sys.path
            and self.reloads == RELOADS.count()
            and self.cwd == cwd_here()
            and (self.values is None or self.values.are_so())
        )

    def _program(self, home: Home) -> Program:
        return Program(self.cwd, home.argv, interpreter_options())

    def _of_values(self, home: Home, blob: bytes) -> Bundle:
        return Bundle(MAIN, "", blob, search_path(), self._program(home), _digest(blob))

    def _of_module(self, home: Home) -> Bundle:
        path, file = search_path(), home.file
        if not home.is_script and home.module not in _scripts and file:
            root = _root(home.module, file)
            if _origin(home.module, path) == file:
                file = ""
            elif root and _origin(home.module, (*path, root)) == file:
                # It was imported from a folder that is on no path, as pytest's `importlib` mode does.
                file, path = "", (*path, root)
        return Bundle(home.module, file, b"", path, self._program(home), _digest(_content(home.file)))


def _writable(bundle: Bundle) -> Bundle:
    """Return a bundle that a record can hold.

    Raises:
        UsageError: one of its names is no Unicode text.
    """
    for name in (bundle.module, bundle.file, bundle.program.cwd, *bundle.path):
        if writable(name) != name:
            raise UsageError(
                f"The name {name!r}, by which a Sandbox is to find the program, is no UTF-8: rename that file or "
                "folder, or take it out of sys.path."
            )
    return bundle


def search_path() -> tuple[str, ...]:
    """Return `sys.path` for another process; what is relative in it also as this program found it when it began."""
    found: dict[str, None] = {}
    for entry in map(str, sys.path):
        if not os.path.isabs(entry) and STARTED_IN:
            found[os.path.normpath(os.path.join(STARTED_IN, entry))] = None
        found[os.path.abspath(entry) if cwd_here() else entry] = None
    return tuple(found)


def bundle_of(function: Function[..., Any]) -> Bundle:
    """Return the bundle with a Function's code: its script, its module, or what a notebook has defined so far.

    Raises:
        NotSerializable: something that a notebook's Functions use can't be pickled.
    """
    home = function.home
    kept: _KeptBundle | None = home.kept
    if kept is None or not kept.is_so():
        kept = home.kept = _KeptBundle(home)
    bundle: Bundle = kept.bundle
    return bundle


def _content(file: str) -> bytes:
    """Return what identifies the code in a file; of an archive, all of it."""
    held = container_of(file) if file else ""
    if not held:
        return b""
    with open(held, "rb") as source:
        return source.read()


def digest_of(file: str) -> str:
    """Return the digest of the code in a file as a Bundle has it, or nothing where the file can't be read."""
    try:
        return _digest(_content(file))
    except OSError:
        return ""


def _digest(content: bytes) -> str:
    """Return a digest of code, and of the modules of the author's own that were reloaded since the program began."""
    reloaded = RELOADS.digest()
    return hashlib.sha256(content + reloaded).hexdigest()[:16] if content or reloaded else ""


# ---------------------------------------------------------------------- what a fresh process would import


def _origin(module: str, path: tuple[str, ...]) -> str:
    """Return the file that `import module` would find in a fresh process with this path, or nothing."""
    name, search, spec = "", list(path), None
    for part in module.split("."):
        name = f"{name}.{part}" if name else part
        spec = _found(name, search)
        if spec is None:
            return ""
        try:
            search = list(spec.submodule_search_locations or ())
        except KeyError:  # the folders of a namespace package whose parent has not been imported here
            return ""
    return os.path.abspath(spec.origin) if spec is not None and spec.origin else ""


def _found(name: str, search: list[str]) -> ModuleSpec | None:
    spec: ModuleSpec | None = PathFinder.find_spec(name, search)
    if spec is not None:
        return spec
    for finder in sys.meta_path:  # editable installs have finders of their own, in every process
        if finder in (BuiltinImporter, FrozenImporter, PathFinder) or not hasattr(finder, "find_spec"):
            continue
        spec = finder.find_spec(name, search if "." in name else None)
        if spec is not None:
            return spec
    return None


def _root(module: str, file: str) -> str:
    """Return the folder from which a module with this name has this file; nothing if its path has other names."""
    parts = os.path.splitext(file)[0].split(os.sep)
    names = module.split(".")
    if parts[-1] == "__init__":
        parts.pop()
    return os.sep.join(parts[: -len(names)]) or os.sep if parts[-len(names) :] == names else ""


# ---------------------------------------------------------------------- in a Sandbox


def install(bundle: Bundle) -> ModuleType | None:
    """Import a bundle's code into this process, a zygote or a Sandbox. Raises whatever the author's module raises.

    Returns:
        The entry module; None for what a notebook has defined.
    """
    importing.file = bundle.file or bundle.module
    try:
        if bundle.blob:
            importlib.import_module("weftrun.sdk.notebook").install(bundle.blob)  # late: only notebooks need it
            return None
        loaded = load_file(bundle.file, bundle.module) if bundle.file else importlib.import_module(bundle.module)
        # What the author's process pickled as `__main__.Thing` is found in the script itself.
        sys.modules.update(dict.fromkeys(RUN_AS, loaded))
        return loaded
    finally:
        importing.file = ""


def load_file(file: str, module: str) -> ModuleType:
    """Import a script by path under its import name.

    Raises:
        UsageError: it isn't Python code; and whatever the script raises.
    """
    known = sys.modules.get(module)
    if known is not None and os.path.abspath(getattr(known, "__file__", None) or "") == os.path.abspath(file):
        return known
    archive = container_of(os.path.abspath(file))
    inside = archive not in ("", os.path.abspath(file))
    loader = _Archived(module, archive, file) if inside else None
    spec = importlib.util.spec_from_file_location(module, file, loader=loader)
    if spec is None or spec.loader is None:
        raise UsageError(f"{file} can't be loaded as Python code: its name must end in .py.")
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[module] = loaded
    _scripts.add(module)
    try:
        spec.loader.exec_module(loaded)
    except BaseException:
        sys.modules.pop(module, None)
        _scripts.discard(module)
        raise
    return loaded


class _Archived(SourceFileLoader):
    """Loads a script that lies in a zip archive: the `__main__.py` of a zipapp."""

    def __init__(self, module: str, archive: str, file: str) -> None:
        super().__init__(module, file)
        self._archive = zipimport.zipimporter(archive)

    def get_data(self, path: str) -> bytes:
        """Return what lies at a path in the archive."""
        return self._archive.get_data(path)
