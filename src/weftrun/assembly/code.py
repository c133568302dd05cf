"""Which code there is now, as a digest: a Run that waits for code that fits is tried once with each (L2)."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path

from weftrun.model.policy import Bundle
from weftrun.sdk.bundle import digest_of
from weftrun.sdk.registry import version_here


def code_here(bundle: Bundle, names: Iterable[str]) -> str:
    """Return the digest of what stands here of a Run's code, or nothing where none of it is known.

    It is made of the file of the entry module and of the versions of those Functions that this process has: changed
    code that neither of them shows is tried by `weftrun resume`.
    """
    hasher = hashlib.sha256(bundle.blob)
    found = bool(bundle.blob)
    for name in names:
        if version := version_here(name):
            hasher.update(f"{name}={version};".encode())
            found = True
    file = bundle.file or _file_of(bundle.module)
    if file:
        with contextlib.suppress(OSError):
            hasher.update(Path(file).read_bytes())
            found = True
    return hasher.hexdigest()[:32] if found else ""


def code_changed(bundle: Bundle) -> bool:
    """Say whether the file of a Run's entry module is known to be another one than when the Run was begun."""
    here = digest_of(bundle.file or _file_of(bundle.module)) if bundle.digest and not bundle.blob else ""
    return bool(here) and here != bundle.digest


def _file_of(module: str) -> str:
    loaded = sys.modules.get(module)
    if loaded is not None:
        return getattr(loaded, "__file__", None) or ""
    # Of a module inside a package, finding it would import the package: the author's code.
    with contextlib.suppress(ImportError, ValueError, AttributeError):
        spec = importlib.util.find_spec(module) if "." not in module else None
        return (spec.origin or "") if spec is not None and spec.has_location else ""
    return ""
