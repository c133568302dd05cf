"""The author's own modules that a module is made of, as bytes, so that it can be imported on another host."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Final, NamedTuple

import msgspec

from weftrun.model.beside import CodeModule, PythonCode
from weftrun.sdk.home import import_name
from weftrun.sdk.modules import RELOADS, is_own


class SentCode(NamedTuple):
    """What can be sent.

    Attributes:
        module: the import name of the module that has the Function.
        content: an encoded `PythonCode`; empty where there is none.
        digest: SHA-256 of it.
        why_not: why it can't be sent.
    """

    module: str
    content: bytes = b""
    digest: str = ""
    why_not: str = ""


_BYTES_MAX: Final = 4 << 20


def own_code(module: str) -> SentCode:
    """Return the code of a module that is imported here, and of the author's own modules that it imports."""
    return _own_code(module, RELOADS.count())


@functools.lru_cache(maxsize=64)
def _own_code(module: str, reloads: int) -> SentCode:  # noqa: ARG001  # a reload makes another code
    name = import_name(module)
    found: dict[str, CodeModule] = {}
    left = [module]
    while left:
        one = left.pop()
        loaded = sys.modules.get(one)
        if loaded is None or import_name(one) in found or (one != module and not is_own(one, loaded)):
            continue
        source = _source(loaded)
        if source is None:
            if one == module:
                return SentCode(name, why_not="its code is in no file")
            continue
        file = os.path.abspath(str(loaded.__file__))
        found[import_name(one)] = CodeModule(import_name(one), source, file, hasattr(loaded, "__path__"))
        left += _imports(source, loaded)
        left += _above(one)
    content = msgspec.msgpack.encode(PythonCode(tuple(found[one] for one in sorted(found))))
    digest = hashlib.sha256(content).hexdigest()
    if len(content) > _BYTES_MAX:
        return SentCode(
            name, b"", digest, f"its code has {len(content):,} bytes, and at most {_BYTES_MAX:,} can be sent"
        )
    return SentCode(name, content, digest)


def _source(module: ModuleType) -> bytes | None:
    file = getattr(module, "__file__", None)
    if not isinstance(file, str) or not file.endswith(".py"):
        return None
    try:
        with open(file, "rb") as source:
            return source.read()
    except OSError:
        return None


def _imports(source: bytes, module: ModuleType) -> Iterator[str]:
    """Yield names of modules that may be imported anywhere in a source, and of those above them."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
                yield from _above(alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = getattr(module, "__package__", "") or ""
                base = importlib.util.resolve_name("." * node.level + base, package) if package else base
            yield base
            yield from _above(base)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _above(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]
