"""What is wrong with a URL that names no Journal, and where the default one is looked for."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path

from weftrun.model.errors import UsageError

_SCHEMES = ("sqlite", "postgresql", "postgres")
_FORMS = "write sqlite:///path/to/file.db (four slashes before an absolute path) or postgresql://user@host/database"
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")


def fault_of(url: object) -> str:
    """Return why a URL names no Journal, with what to write instead; nothing where it names one."""
    if not isinstance(url, str):
        return f"it is a {type(url).__name__}, not a text; {_FORMS}"
    if _UNPRINTABLE.search(url) or url != url.strip():
        return "it has a control character in it, or a blank at one end; take that out"
    scheme, mark, rest = url.partition("://")
    if mark and scheme in ("postgresql", "postgres"):
        return ""
    if not mark or scheme != "sqlite":
        return _of_scheme(url, scheme if mark else url.partition(":")[0])
    if not rest.strip("/") or ":memory:" in rest or "mode=memory" in rest:
        return "it names no file, and a Journal in memory would be gone with its process; name one: sqlite:///app.db"
    if not rest.startswith("/"):
        return f"two slashes are followed by the name of a host; write sqlite:///{rest}, or four for an absolute path"
    return _of_path(rest[1:])


def _of_scheme(url: str, scheme: str) -> str:
    if not url:
        return f"it is empty; {_FORMS}"
    if ":memory:" in url:
        return "a Journal in memory would be gone with its process; name a file: sqlite:///app.db"
    if scheme == "file":
        return f"file: is no kind of Journal; write sqlite:///{url.removeprefix('file:').removeprefix('//')}"
    if scheme == url:
        return f"it has no scheme; write sqlite:///{url} for a file" if not url.isspace() else _FORMS
    bare = scheme.lower().partition("+")[0]
    near = difflib.get_close_matches(bare, _SCHEMES, 1, 0.7)
    if near and near[0] != scheme:
        return f"there is no scheme {scheme!r}; write {near[0]}:// instead"
    return f"there is no Journal of the kind {scheme!r}; {_FORMS}" if scheme != "sqlite" else _FORMS


def _of_path(path: str) -> str:
    """Return what is wrong with the path of a file; one that is there is taken as it is."""
    if os.path.isfile(path):
        return ""
    if path.endswith("/"):
        return "it names a folder; name a file in it, such as journal.db"
    if path.startswith("~"):
        return f"`~` is not replaced by a home; write sqlite:///{os.path.expanduser(path)}"
    if path.startswith("file:"):
        return f"it holds a URI of SQLite; write the path alone: sqlite:///{path[5:].partition('?')[0]}"
    if "?" in path:
        return f"a file takes no options after `?`; write sqlite:///{path.partition('?')[0]}"
    if _ESCAPE.search(path):
        return "escapes such as %20 are not decoded; write the characters themselves"
    return ""


def current_folder() -> Path:
    """Return the current folder.

    Raises:
        UsageError: it was removed.
    """
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise UsageError("The current folder is gone: change to another one, or name a Journal by its URL.") from None


def nearest(here: Path, name: str) -> Path:
    """Return the nearest folder that has `name`, from `here` upward; `here` where there is none.

    As Git does, it stops at the border of the file system, and takes nothing above that belongs to somebody else. It
    does not look into the home folder and above it from below: what somebody has once run there is not every program's.
    """
    if (here / name).exists():
        return here
    home, user = Path.home(), os.geteuid()
    device = here.stat().st_dev
    for folder in here.parents:
        if folder == home or folder in home.parents or folder.stat().st_dev != device:
            break
        found = folder / name
        if found.exists() and found.parent.stat().st_uid == user:
            return folder
    return here
