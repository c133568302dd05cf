"""The author's code as this process has it (port Code), and which Runs an engine goes on with."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path

from weftrun.model.policy import Bundle
from weftrun.model.records import Started
from weftrun.sdk.bundle import digest_of
from weftrun.sdk.registry import version_here

WHOLE = "app-"
"""What the digest of a bundle begins with that is one of all files which the entry module needs, not of that alone."""


class CodeHere:
    """What there is now where Runs' bundles say; every Run is gone on with (`versions="any"`)."""

    @property
    def serves_all(self) -> bool:
        """Go on with every Run."""
        return True

    def serves(self, started: Started) -> bool:  # noqa: ARG002
        """Go on with every Run."""
        return True

    def begun_with(self, bundle: Bundle) -> Bundle:
        """Record the bundle as it is."""
        return bundle

    def close(self) -> None:
        """Hold nothing."""

    def version(self, bundle: Bundle, name: str) -> str:
        """Return the version of a Function as this process has it; of a Run with kept code that tells nothing."""
        return "" if is_kept(bundle) else version_here(name)

    def digest(self, bundle: Bundle, names: Iterable[str]) -> str:
        """Return the digest of what stands here of a Run's code, or nothing where none of it is known.

        It is made of the file of the entry module and of the versions of those Functions that this process has: changed
        code that neither of them shows is tried by `weftrun resume`.
        """
        hasher = hashlib.sha256(bundle.blob)
        found = bool(bundle.blob)
        for name in names:
            if version := self.version(bundle, name):
                hasher.update(f"{name}={version};".encode())
                found = True
        file = bundle.file or _file_of(bundle.module)
        if file:
            with contextlib.suppress(OSError):
                hasher.update(Path(file).read_bytes())
                found = True
        return hasher.hexdigest()[:32] if found else ""

    def has_changed(self, bundle: Bundle) -> bool:
        """Say whether the file of a Run's entry module is known to be another one than when the Run was begun."""
        if not bundle.digest or bundle.blob or bundle.digest.startswith(WHOLE):
            return False
        here = digest_of(bundle.file or _file_of(bundle.module))
        return bool(here) and here != bundle.digest


def is_kept(bundle: Bundle) -> bool:
    """Say whether a bundle is of code that an engine with `versions="kept"` has put beside the Journal."""
    return bundle.digest.startswith(WHOLE) and any(bundle.digest in Path(path).parts for path in bundle.path)


def _file_of(module: str) -> str:
    loaded = sys.modules.get(module)
    if loaded is not None:
        return getattr(loaded, "__file__", None) or ""
    # Of a module inside a package, finding it would import the package: the author's code.
    with contextlib.suppress(ImportError, ValueError, AttributeError):
        spec = importlib.util.find_spec(module) if "." not in module else None
        return (spec.origin or "") if spec is not None and spec.has_location else ""
    return ""
