"""Uploaded modules in a folder: by content, and under the names that users gave them.

ROOT/DIGEST.wasm            a module
ROOT/names/USER/FUNCTION    the digests of its versions, a line each, the newest last
ROOT/releases/DIGEST        names and digests of a user's functions at one time, a line each
"""

from __future__ import annotations

import os
import re
import threading
from typing import Final, NamedTuple

from weftrun.adapters.wasm.compiled import check
from weftrun.adapters.wasm.host import linked
from weftrun.adapters.wasm.runner import load
from weftrun.model.errors import WasmRefused
from weftrun.wire.near import digest_of

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class Uploaded(NamedTuple):
    """A module under its name.

    Attributes:
        digest: of its content.
        path: of its file.
        version: how many have had the name, with it.
    """

    digest: str
    path: str
    version: int


class Modules:
    """The modules of a folder, which any number of processes may use at once.

    Attributes:
        root: the folder.
    """

    def __init__(self, root: str) -> None:
        """Use the folder `root`, which is made by the first upload."""
        self.root = os.path.abspath(root)

    def upload(self, user: str, function: str, content: bytes) -> tuple[Uploaded, bool]:
        """Check a module, compile it, and let the name lead to it from now on.

        Returns:
            It, and whether the name led to another one before.

        Raises:
            WasmRefused: it can't be used, or a name can't be one.
        """
        name = f"{user}/{function}"
        folder = f"{self.root}/names/{_checked('user', user)}"
        _checked("function", function)
        check(content, name)
        digest = self.keep(content, name)
        os.makedirs(folder, exist_ok=True)
        now = self.find(user, function)
        if now is not None and now.digest == digest:
            return now, False
        with open(f"{folder}/{function}", "a", encoding="ascii") as file:
            file.write(f"{digest}\n")
        return Uploaded(digest, self.path(digest), 1 if now is None else now.version + 1), True

    def find(self, user: str, function: str) -> Uploaded | None:
        """Return what a name leads to; None where it leads nowhere."""
        if not _NAME.fullmatch(user) or not _NAME.fullmatch(function):
            return None
        try:
            with open(f"{self.root}/names/{user}/{function}", encoding="ascii") as file:
                digests = file.read().split()
        except FileNotFoundError:
            return None
        return Uploaded(digests[-1], self.path(digests[-1]), len(digests)) if digests else None

    def calls_others(self, digest: str) -> bool:
        """Say whether a module is a program that calls other functions."""
        return load(self.path(digest), digest).calls_others

    def release(self, user: str) -> str:
        """Return the name of what a user's functions are now; programs call those, whatever is uploaded meanwhile."""
        folder = f"{self.root}/names/{_checked('user', user)}"
        lines = []
        for name in sorted(os.listdir(folder)):
            found = self.find(user, name)
            if found is not None:
                lines.append(f"{name} {found.digest}\n")
        content = "".join(lines).encode()
        digest = digest_of(content)
        path = f"{self.root}/releases/{digest}"
        if not os.path.exists(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            _write(path, content)
        return digest

    def of_release(self, release: str, function: str) -> str | None:
        """Return the digest of the module that a function was in a release; None where it was not there."""
        if not _DIGEST.fullmatch(release):
            raise WasmRefused(f"{release[:80]!r} is no name of a release.")
        with open(f"{self.root}/releases/{release}", encoding="ascii") as file:
            found = dict(line.split() for line in file)
        return found.get(function)

    def keep(self, content: bytes, name: str) -> str:
        """Keep a module by its content, compiled; return its digest.

        Raises:
            WasmRefused: it can't be used.
        """
        check(content, name)
        digest = digest_of(content)
        path = self.path(digest)
        if not os.path.exists(path):
            os.makedirs(self.root, exist_ok=True)
            _write(path, content)
        try:
            linked(load(path, digest), name)
        except WasmRefused as error:
            raise WasmRefused(str(error).replace(path, name)) from None
        return digest

    def path(self, digest: str) -> str:
        """Return where a module with this digest is, or would be.

        Raises:
            WasmRefused: this is no digest.
        """
        if not _DIGEST.fullmatch(digest):
            raise WasmRefused(f"{digest[:80]!r} is no SHA-256 of a module.")
        return f"{self.root}/{digest}.wasm"


def _write(path: str, content: bytes) -> None:
    """Write a file, which is there whole and on the disk, or not at all."""
    new = f"{path}.{os.getpid()}.{threading.get_ident()}"
    with open(new, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.rename(new, path)


def _checked(what: str, name: str) -> str:
    if not _NAME.fullmatch(name):
        raise WasmRefused(
            f"{name[:80]!r} can't be the name of a {what}: it has letters, digits, '_', '.' and '-', up to 100."
        )
    return name
