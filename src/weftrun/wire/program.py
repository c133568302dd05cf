"""How a guest's interpreter is started: by exec, in the author's environment and with the options of their program.

The author's folders are not on its path until the bundle is installed, so that a file of theirs called `types.py`
can't take the place of the standard library's before weftrun is loaded.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Final

import msgspec

_IGNORE_ENVIRONMENT: Final = "-E"
_SEED: Final = "PYTHONHASHSEED"
_COVER: Final = "WEFTRUN_COVERED_"
_covered: list[str] = []
"""Variables that this interpreter was to be started without."""


def guest_command(module: str, *arguments: str, options: Sequence[str]) -> list[str]:
    """Return the command line that calls `main()` of a module of `weftrun.guest` with these arguments.

    Args:
        module: to be called.
        arguments: what it finds behind `sys.argv[0]`.
        options: of the interpreter, those of the author's program. One is kept in another way, by `guest_environment`:
            an interpreter that ignores its environment would draw a hash seed of its own.
    """
    roots = {_above(__file__, 3): None, _above(msgspec.__file__, 2): None}
    flags = [option for option in options if option != _IGNORE_ENVIRONMENT]
    own_folder = "" if "-P" in flags else "del sys.path[0]; "
    start = (
        f"import sys; {own_folder}sys.path.extend(sys.argv.pop(1).split({os.pathsep!r})); "
        f"from {module} import main; main()"
    )
    return [sys.executable, "-u", *flags, "-c", start, os.pathsep.join(roots), *arguments]


def _above(path: str, levels: int) -> str:
    """Return the folder that lies so many levels above a path. The module `pathlib` costs each guest 3 ms to import."""
    path = os.path.realpath(path)
    for _ in range(levels):
        path = os.path.dirname(path)
    return path


def guest_environment(options: Sequence[str], hash_seed: int | None = None) -> dict[str, str]:
    """Return the environment for `guest_command`: this process's, with a hash seed where one is given.

    For an interpreter that is to ignore it, Python's variables get other names; `uncover` undoes that.
    """
    found = dict(os.environ)
    covered = [name for name in found if name.startswith("PYTHON")] if _IGNORE_ENVIRONMENT in options else _covered
    for name in covered:
        if name != _SEED and name in found:
            found[_COVER + name] = found.pop(name)
    if hash_seed is not None:
        found[_SEED] = str(hash_seed)
    return found


def uncover() -> None:
    """Give the variables that this interpreter was started without to the author's code, and to what it starts."""
    for name in [name for name in os.environ if name.startswith(_COVER)]:
        _covered.append(name.removeprefix(_COVER))
        os.environ[_covered[-1]] = os.environ.pop(name)
