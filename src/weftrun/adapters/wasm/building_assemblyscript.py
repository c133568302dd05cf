"""Building modules of AssemblyScript with its compiler `asc`, which is a package of npm."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from weftrun.adapters.wasm.building_python import NotBuilt
from weftrun.model.errors import Unsupported

# The heap is never freed, since an instance ends with its call; an error ends the call by a trap.
_FLAGS: Final = ("-O", "--runtime", "stub", "--use", "abort=", "--exportStart", "_start", "--exportTable")


def build_assemblyscript(source: str, target: str) -> str:
    """Build a module of a file of AssemblyScript: what stands at its top is run for each call.

    Args:
        source: a file that ends in .ts, which may import from `weftrun`.
        target: where the module goes; it is there whole or not at all.

    Returns:
        What the compiler warns of.

    Raises:
        NotBuilt: the compiler refuses the program.
        Unsupported: there is no compiler, neither in a `node_modules` beside the file or above, nor on the path.
    """
    library = os.path.join(os.path.dirname(os.path.abspath(__file__)), "assemblyscript")
    new = f"{target}.{os.getpid()}.new.wasm"
    command = [_compiler(source), source, "--lib", library, "--outFile", new, *_FLAGS]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise NotBuilt(f"{source} was not built:\n{done.stderr.strip()}")
    os.replace(new, target)
    return done.stderr.strip()


def _compiler(source: str) -> str:
    for folder in Path(os.path.abspath(source)).parents:
        found = folder / "node_modules/.bin/asc"
        if found.exists():
            return str(found)
    on_path = shutil.which("asc")
    if on_path is None:
        raise Unsupported(
            "To build AssemblyScript takes its compiler, beside the file or above it: npm install assemblyscript."
        )
    return on_path
