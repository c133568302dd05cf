"""What code that is not trusted may read: interpreter, system libraries and the author's code, but no data."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from typing import Final

LIBRARIES: Final = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/etc/ssl", "/etc/mime.types")
FOR_NETWORK: Final = ("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/services")
_CODE: Final = (".py", ".pyc", ".so", ".pth", ".zip", ".egg", ".whl")


def of_interpreter() -> list[str]:
    """Return where this interpreter and what is installed for it lie."""
    found = [sys.prefix, sys.base_prefix, sys.exec_prefix, os.path.dirname(os.path.dirname(__file__))]
    return found + [path for path in sys.path if os.path.basename(path) in ("site-packages", "dist-packages")]


def of_author(folders: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """Yield what may be read of folders that code is imported from, and whether that is only the names in it.

    Modules and visible folders, and nothing else: a Journal lies in a hidden folder, or is a file of another kind.
    """
    for folder in dict.fromkeys(folders):
        if os.path.isfile(folder):
            yield folder, False
        if not os.path.isdir(folder):
            continue
        yield folder, True
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith(".") and (entry.is_dir() or entry.name.endswith(_CODE)):
                    yield entry.path, False
