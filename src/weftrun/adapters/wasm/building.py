"""Building WebAssembly modules of C and C++ with the compiler that comes as the package `ziglang`."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Final

from weftrun.adapters.wasm.building_assemblyscript import build_assemblyscript
from weftrun.adapters.wasm.building_python import NotBuilt, build_python
from weftrun.model.errors import Unsupported, UsageError

_LANGUAGES: Final = {".c": "cc", ".cpp": "c++", ".cc": "c++", ".cxx": "c++"}
_STACK_BYTES: Final = 512 << 10
_FLAGS: Final = (
    "-target", "wasm32-wasi", "-O2", "-s", "-Wall", "-mexec-model=command",
    # So that a call can move: its function pointers and its stack pointer are seen from outside.
    "-Wl,--export-table", "-Wl,--export=__stack_pointer", "-Wl,-z", f"-Wl,stack-size={_STACK_BYTES}",
)  # fmt: skip
_OF_CPP: Final = ("-fno-exceptions",)


def build(source: str, target: str, flags: Sequence[str] = ()) -> str:
    """Build a module of one file of C or C++, or of AssemblyScript, or a component of one of Python.

    The first build in C, and in C++, takes half a minute: the compiler then builds its own libraries, once.

    Args:
        source: a file that ends in .c, .cpp, .cc or .cxx, which may include `weftrun.h`; or in .ts or .py: see
            `build_assemblyscript` and `build_python`.
        target: where the module goes; it is there whole or not at all.
        flags: further ones, for the compiler.

    Returns:
        What the compiler warns of; of Python, nothing.

    Raises:
        NotBuilt: the compiler refuses the program.
        UsageError: there is no such file, or it is of no language that can be built.
        Unsupported: the package `ziglang`, or of Python `componentize-py`, is not there.
    """
    ending = os.path.splitext(source)[1]
    if not os.path.isfile(source):
        raise UsageError(f"There is no file {source}.")
    if ending == ".py":
        build_python(source, target)
        return ""
    if ending == ".ts":
        return build_assemblyscript(source, target)
    if ending not in _LANGUAGES:
        raise UsageError(f"{source} can't be built: functions are built of {', '.join(_LANGUAGES)}, .py, .ts.")
    if importlib.util.find_spec("ziglang") is None:
        raise Unsupported("weftrun build needs the extra `wasm-build`: pip install 'weftrun[wasm-build]'.")
    language = _LANGUAGES[ending]
    new = f"{target}.{os.getpid()}.new"
    command = [sys.executable, "-m", "ziglang", language, *_FLAGS, *(_OF_CPP if language == "c++" else ())]
    command += ["-I", os.path.dirname(os.path.abspath(__file__)), *flags, "-o", new, source]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise NotBuilt(f"{source} was not built:\n{done.stderr.strip()}")
    os.chmod(new, 0o644)
    os.replace(new, target)
    return done.stderr.strip()
