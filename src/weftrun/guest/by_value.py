"""Modules whose source came as bytes: they are imported from memory, before any folder is looked into."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Sequence
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import CodeType

from weftrun.model.beside import CodeModule


class GivenModules(MetaPathFinder, InspectLoader):
    """Finds and loads modules that were given."""

    def __init__(self, modules: Sequence[CodeModule]) -> None:
        """Know these; a package above one of them, of which nothing was given, has nothing in it."""
        self._modules = {one.name: one for one in modules}
        for one in modules:
            above = one.name.rpartition(".")[0]
            while above:
                self._modules.setdefault(above, CodeModule(above, b"", "", True))
                above = above.rpartition(".")[0]

    def install(self) -> None:
        """Let imports find them, and tracebacks show their lines."""
        sys.meta_path.insert(0, self)
        for one in self._modules.values():
            lines = self.get_source(one.name).splitlines(keepends=True)
            linecache.cache[one.file] = (len(one.source), None, lines, one.file)

    def find_spec(self, fullname: str, *places: object) -> ModuleSpec | None:  # noqa: ARG002  # none is looked into
        """Return what is known of a module; None where it was not given."""
        one = self._modules.get(fullname)
        if one is None:
            return None
        spec = ModuleSpec(fullname, self, origin=one.file or None, is_package=one.is_package)
        spec.has_location = bool(one.file)
        return spec

    def get_source(self, fullname: str) -> str:
        """Return the text of a module."""
        return self._modules[fullname].source.decode("utf-8", "replace")

    def is_package(self, fullname: str) -> bool:
        """Say whether modules lie in it."""
        return self._modules[fullname].is_package

    def get_code(self, fullname: str) -> CodeType:
        """Compile a module."""
        one = self._modules[fullname]
        return self.source_to_code(one.source, one.file or f"<{fullname}>")
