"""How a guest's interpreter is started: by exec, in the author's environment.

The author's folders are not on its path until the bundle is installed, so that a file of theirs called `types.py`
can't take the place of the standard library's before weftrun is loaded.
"""

from __future__ import annotations

import sys
from pathlib import Path


def guest_command(module: str, *arguments: str) -> list[str]:
    """Return the command line that calls `main()` of a module of `weftrun.guest` with these arguments."""
    root = str(Path(__file__).resolve().parents[2])
    flags = ["-O"] * sys.flags.optimize + [f"-W{option}" for option in sys.warnoptions]
    start = f"import sys; sys.path.append(sys.argv.pop(1)); from {module} import main; main()"
    return [sys.executable, "-u", "-P", *flags, "-c", start, root, *arguments]
