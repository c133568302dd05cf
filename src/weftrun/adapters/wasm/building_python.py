"""Building components of Python with the package `componentize-py`: CPython and the file, already begun."""

from __future__ import annotations

import ast
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from typing import Final

from weftrun.model.errors import Unsupported, UsageError

_WIT: Final = {"int": "s64", "float": "f64", "str": "string", "bool": "bool", "bytes": "list<u8>"}
_GUEST: Final = "weftrun_guest"
"""The package by which a file in Python imports what `weftrun.wit` declares."""
_GROUPS: Final = ("calls", "keys", "state")
_APP: Final = """import functools as _functools
import os as _os
import sys as _sys
import traceback as _traceback

import {module} as _author


def _told(function):
    @_functools.wraps(function)
    def call(_self, *args):
        try:
            return function(*args)
        except Exception:
            _traceback.print_exc()
            _sys.stderr.flush()
            _os._exit(1)

    return call


class WitWorld:
"""


class NotBuilt(UsageError):
    """A program was not built; what the compiler said comes with it."""


def build_python(source: str, target: str) -> str:
    """Build a component of a file of Python: it exports the functions of the file that have annotations.

    Args:
        source: a file that ends in .py. Functions whose names begin with `_` are its own. The others take and return
            int (of 64 bits), float, str, bool, bytes, lists and tuples of them, and any of these or None.
        target: where the component goes; it is there whole or not at all.

    Returns:
        What the component exports, a line each, in WIT.

    Raises:
        NotBuilt: the file is no Python, exports nothing, or a function has a type that can't be handed over.
        Unsupported: the package `componentize-py` is not there.
    """
    if importlib.util.find_spec("componentize_py") is None:
        raise Unsupported(
            "To build Python takes the extra `wasm-build-python`: pip install 'weftrun[wasm-build-python]'."
        )
    with open(source, encoding="utf-8") as file:
        text = file.read()
    exports, groups = exported(text, source), _groups(text)
    module = os.path.splitext(os.path.basename(source))[0]
    if not module.isidentifier():
        raise NotBuilt(f"{source} can't be imported by its name: rename it to letters, digits and '_'.")
    with tempfile.TemporaryDirectory() as folder:
        _write_world(folder, exports.values(), groups)
        app = _APP.format(module=module) + "".join(f"    {name} = _told(_author.{name})\n" for name in exports)
        _write(f"{folder}/weftrun_app.py", app)
        made = f"{folder}/made.wasm"
        command = [
            sys.executable, "-c", "import sys, componentize_py; sys.exit(componentize_py.script())",
            "-d", f"{folder}/wit", "-w", "exported", "componentize", "weftrun_app",
            "-p", folder, "-p", os.path.dirname(os.path.abspath(source)), "-o", made,
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode:
            said = done.stderr.partition("Stack backtrace:")[0].strip()
            raise NotBuilt(f"{source} was not built:\n{said}")
        new = f"{target}.{os.getpid()}.new"
        shutil.copyfile(made, new)
        os.replace(new, target)
    return "\n".join(exports.values())


def _write_world(folder: str, exports: Iterable[str], groups: list[str]) -> None:
    """Write what a component imports and exports, as WIT, and the modules by which Python imports it."""
    world = "".join(f"  import weftrun:host/{one}@0.1.0;\n" for one in groups)
    world += "".join(f"  export {line};\n" for line in exports)
    os.makedirs(f"{folder}/wit/deps/weftrun")
    shutil.copyfile(os.path.join(os.path.dirname(__file__), "weftrun.wit"), f"{folder}/wit/deps/weftrun/weftrun.wit")
    _write(f"{folder}/wit/world.wit", f"package weftrun:guest;\nworld exported {{\n{world}}}\n")
    os.mkdir(f"{folder}/{_GUEST}")
    _write(f"{folder}/{_GUEST}/__init__.py", "")
    for one in groups:
        _write(f"{folder}/{_GUEST}/{one}.py", f"from wit_world.imports.{one} import *\n")


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def exported(text: str, source: str) -> dict[str, str]:
    """Return the functions that a file of Python exports, as WIT writes them; the file is read, not run.

    Raises:
        NotBuilt: see `build_python`.
    """
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise NotBuilt(f"{source} is no Python: {error.msg} (line {error.lineno}).") from None
    found = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            found[node.name] = _function(node, source)
    if not found:
        raise NotBuilt(f"{source} exports nothing: write a function with annotations, `def f(text: str) -> int: ...`.")
    return found


def _groups(text: str) -> list[str]:
    """Return the groups of `weftrun.wit` that a file imports by `from weftrun_guest import ...`; it is not run."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module == _GUEST:
            found |= {f"{_GUEST}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return [one for one in _GROUPS if f"{_GUEST}.{one}" in found]


def _function(node: ast.FunctionDef, source: str) -> str:
    where = f"{node.name} ({source}:{node.lineno})"
    given = node.args
    if given.vararg or given.kwarg or given.kwonlyargs or given.defaults:
        raise NotBuilt(f"{where} takes arguments by name or by default, which a component can't: make them plain ones.")
    params = [f"{_name(arg.arg, where)}: {_type(arg.annotation, where)}" for arg in given.posonlyargs + given.args]
    returns = node.returns
    is_nothing = returns is None or (isinstance(returns, ast.Constant) and returns.value is None)
    result = "" if is_nothing else f" -> {_type(returns, where)}"
    return f"{_name(node.name, where)}: func({', '.join(params)}){result}"


def _name(name: str, where: str) -> str:
    words = name.split("_")
    if not all(word.isascii() and word.isalnum() and word[0].isalpha() and word == word.lower() for word in words):
        raise NotBuilt(f"{where}: {name!r} can't be a name in a component: write it in small letters and digits.")
    return "%" + name.replace("_", "-")


def _type(node: ast.expr | None, where: str) -> str:
    match node:
        case ast.Name(id) if id in _WIT:
            return _WIT[id]
        case ast.Subscript(ast.Name("list"), item):
            return f"list<{_type(item, where)}>"
        case ast.Subscript(ast.Name("tuple"), ast.Tuple(items)) if items:
            return f"tuple<{', '.join(_type(item, where) for item in items)}>"
        case ast.BinOp(one, ast.BitOr(), ast.Constant(None)) | ast.BinOp(ast.Constant(None), ast.BitOr(), one):
            return f"option<{_type(one, where)}>"
    said = "no annotation" if node is None else f"the annotation {ast.unparse(node)}"
    raise NotBuilt(
        f"{where} has {said}: a component takes and gives {', '.join(_WIT)}, list[...], tuple[...], and any of them or "
        "None."
    )
