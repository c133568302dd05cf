"""Reading the bodies of async workflows, without running them, for what differs from one replay to the next."""

from __future__ import annotations

import ast
import builtins
import dis
import functools
import inspect
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import weftrun
from weftrun.entrypoints.cli.finding import Finding
from weftrun.entrypoints.cli.sources import ORDER, Source, source_of, source_of_method
from weftrun.sdk.function import Function

_Resolved = tuple[str, object]
_NOTHING = object()
_ALLOWED = "# weftrun: replayable"
_ORDERED_BY = {"list", "tuple", "iter", "enumerate", "zip", "map", "filter", "next", "reversed"}
_SET_METHODS = {"union", "intersection", "difference", "symmetric_difference", "copy"}
_FOREIGN = (
    str(Path(weftrun.__file__).parent),
    *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
)


def is_authors(file: str | None) -> bool:
    """Say whether a file is the author's own, not Python's, a package's or ours."""
    return bool(file) and not str(file).startswith(_FOREIGN)


def read_body(callable: Callable[..., Any], name: str) -> list[Finding] | None:
    """Return what is to be mended in an async body, and in plain functions that it calls; None if it can't be read.

    Functions of the same file are followed, and those of another file of the author's, but none from there on.
    """
    function = inspect.unwrap(callable)
    while isinstance(function, functools.partial):
        function = function.func
    if not isinstance(function, FunctionType) or _node_of(function) is None:
        return None
    reader = _BodyReader(name)
    reader.read(function, deeper=True)
    return reader.findings


def read_calls(callable: Callable[..., Any], name: str) -> list[Finding]:
    """Return what is to be mended in the calls that a body makes, as far as names tell what is called."""
    function = inspect.unwrap(callable)
    node = _node_of(function) if isinstance(function, FunctionType) else None
    if not isinstance(function, FunctionType) or node is None:
        return []
    file = function.__code__.co_filename
    calls = [
        Finding(file, place.lineno, "call", name, what, instead)
        for place, what, instead in _Scope(function, node).misfits()
    ]
    missing = [
        Finding(file, line, "name", name, f"{word} is not defined: reaching it raises NameError", "define or import it")
        for word, line in _undefined(function, _of_module(file))
    ]
    return calls + missing


def _of_module(file: str) -> set[str]:
    """Return the names of a module that functions of it bind by `global`."""
    parsed = _parsed(file)
    nodes = ast.walk(parsed[0]) if parsed is not None else ()
    return {name for node in nodes if isinstance(node, ast.Global) for name in node.names}


def _undefined(function: FunctionType, bound: set[str]) -> Iterator[tuple[str, int]]:
    """Yield the global names that a function reads and that its module does not have, each once."""
    known = function.__globals__.keys() | vars(builtins).keys() | bound
    codes, seen = [function.__code__], set[str]()
    while codes:
        code = codes.pop()
        codes += [const for const in code.co_consts if isinstance(const, CodeType)]
        for instruction in dis.get_instructions(code):
            name = instruction.argval
            if instruction.opname == "LOAD_GLOBAL" and name not in known and name not in seen:
                seen.add(name)
                places = instruction.positions
                yield name, (places.lineno if places is not None else None) or code.co_firstlineno


@functools.cache
def _parsed(file: str) -> tuple[ast.Module, list[str]] | None:
    try:
        text = Path(file).read_text(encoding="utf-8")
        return ast.parse(text), text.splitlines()
    except (OSError, ValueError, SyntaxError):
        return None


def _node_of(function: FunctionType) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    code = function.__code__
    parsed = _parsed(code.co_filename)
    for node in ast.walk(parsed[0]) if parsed is not None else ():
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == code.co_name:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            if first == code.co_firstlineno:
                return node
    return None


class _BodyReader:
    """Reads one body and what it calls."""

    def __init__(self, name: str) -> None:
        self.findings: list[Finding] = []
        self._name = name
        self._read: set[FunctionType] = set()

    def read(self, function: FunctionType, *, deeper: bool) -> None:
        """Read a function, and with it what it calls: in its own file, and if `deeper` in another one."""
        node = _node_of(function)
        if function in self._read or node is None:
            return
        self._read.add(function)
        file = function.__code__.co_filename
        parsed = _parsed(file)
        lines = parsed[1] if parsed is not None else []
        scope = _Scope(function, node)
        through = "" if len(self._read) == 1 else f" in {function.__qualname__}, which it calls,"
        for place, text, source in scope.faults():
            if _ALLOWED not in lines[place.lineno - 1]:
                what = f"`{text}`{through} {source.why}"
                self.findings.append(Finding(file, place.lineno, source.kind, self._name, what, source.instead))
        for called in scope.called():
            other = called.__code__.co_filename
            if other == file:
                self.read(called, deeper=deeper)
            elif deeper and is_authors(other):
                self.read(called, deeper=False)


class _Scope:
    """The names of one function, and what they stand for."""

    def __init__(self, function: FunctionType, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._nodes = [inner for statement in node.body for inner in ast.walk(statement)]
        self._known: dict[str, object] = {**vars(builtins), **function.__globals__, **_closed_over(function)}
        self._sets: set[str] = set()
        self._aliases: dict[str, _Resolved] = {}
        self._locals = _bound(node, self._nodes)
        self._note_imports()
        self._note_assignments(node)

    def _note_imports(self) -> None:
        for node in self._nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    name = alias.name if alias.asname else alias.name.partition(".")[0]
                    self._aliases[alias.asname or name] = (name, sys.modules.get(name, _NOTHING))
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                for alias in node.names:
                    found = getattr(sys.modules.get(node.module), alias.name, _NOTHING)
                    name = f"{node.module}.{alias.name}"
                    self._aliases[alias.asname or alias.name] = (_named(found, name), found)

    def _note_assignments(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for argument in [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]:
            kind = ast.unparse(argument.annotation).lower() if argument.annotation is not None else ""
            if kind.strip("'\"").startswith(("set", "frozenset", "abstractset")):
                self._sets.add(argument.arg)
        for node in self._nodes:
            if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
                continue
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if len(targets) != 1 or not isinstance(targets[0], ast.Name) or self._locals.get(targets[0].id) != 1:
                continue
            if self._is_set(node.value):
                self._sets.add(targets[0].id)
            elif isinstance(node.value, ast.Name | ast.Attribute) and (found := self._resolve(node.value)) is not None:
                self._aliases[targets[0].id] = found

    # ------------------------------------------------------------------ what a name stands for

    def _resolve(self, node: ast.expr) -> _Resolved | None:
        """Return the dotted name of what an expression stands for, and that itself where it is there."""
        if isinstance(node, ast.Name):
            if node.id in self._aliases:
                return self._aliases[node.id]
            if node.id in self._locals or node.id not in self._known:
                return None
            return _named(self._known[node.id], node.id), self._known[node.id]
        if not isinstance(node, ast.Attribute) or (base := self._resolve(node.value)) is None:
            return None
        name, found = base
        part = getattr(found, node.attr, _NOTHING) if isinstance(found, ModuleType | type) else _NOTHING
        return _named(part, f"{name}.{node.attr}"), part

    def _is_set(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Set | ast.SetComp) or (isinstance(node, ast.Name) and node.id in self._sets):
            return True
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr | ast.BitAnd | ast.Sub | ast.BitXor):
            return self._is_set(node.left) or self._is_set(node.right)
        if not isinstance(node, ast.Call):
            return isinstance(node, ast.Name | ast.Attribute) and self._is_set_object(node)
        if isinstance(node.func, ast.Attribute) and node.func.attr in _SET_METHODS:
            return self._is_set(node.func.value)
        found = self._resolve(node.func)
        return found is not None and found[1] in (set, frozenset)

    def _is_set_object(self, node: ast.expr) -> bool:
        found = self._resolve(node)
        return found is not None and isinstance(found[1], set | frozenset)

    # ------------------------------------------------------------------ what is wrong

    def faults(self) -> Iterator[tuple[ast.expr, str, Source]]:
        """Yield what differs in a replay: where, as it is written, and why."""
        for node in self._nodes:
            if isinstance(node, ast.Call):
                yield from self._of_call(node)
                yield from self._of_order(node)
            elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension) and self._is_set(node.iter):
                yield node.iter, f"for … in {ast.unparse(node.iter)}", ORDER
            elif isinstance(node, ast.Starred) and self._is_set(node.value):
                yield node.value, ast.unparse(node), ORDER
            elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
                found = self._resolve(node)
                source = source_of("os.environ", arguments=0) if found and found[0] == "os._Environ" else None
                if source is not None:
                    yield node, ast.unparse(node), source

    def _of_call(self, node: ast.Call) -> Iterator[tuple[ast.expr, str, Source]]:
        found = self._resolve(node.func)
        if found is not None and found[0].startswith("os._Environ"):
            return  # told where the name stands
        source = None
        if found is not None and not is_authors(getattr(sys.modules.get(found[0].partition(".")[0]), "__file__", None)):
            source = source_of(found[0], arguments=len(node.args) + len(node.keywords))
        if source is None and isinstance(node.func, ast.Attribute):
            source = source_of_method(node.func.attr)
        if source is not None:
            yield node, f"{ast.unparse(node.func)}(…)" if node.args or node.keywords else ast.unparse(node), source

    def _of_order(self, node: ast.Call) -> Iterator[tuple[ast.expr, str, Source]]:
        word = node.func.id if isinstance(node.func, ast.Name) else ""
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if word in _ORDERED_BY or method in ("map", "join", "extend"):
            for argument in node.args:
                if self._is_set(argument):
                    yield argument, ast.unparse(node), ORDER
        elif method == "pop" and isinstance(node.func, ast.Attribute) and self._is_set(node.func.value):
            yield node, ast.unparse(node), ORDER

    def misfits(self) -> Iterator[tuple[ast.expr, str, str]]:
        """Yield calls of Functions that these can't take: where, what is wrong, and what to do."""
        for node in self._nodes:
            if not isinstance(node, ast.Call):
                continue
            target: ast.expr = node.func
            method = ""
            if isinstance(target, ast.Attribute) and target.attr in ("step", "map"):
                method, target = target.attr, target.value
            found = self._resolve(target)
            if found is None or not isinstance(found[1], Function):
                continue
            function, text = found[1], f"`{ast.unparse(node.func)}(…)`"
            if method == "map":
                if function.spec.effects == "transaction":
                    yield (
                        node,
                        f"{text} is refused: the items of a map have no transactions",
                        "call it in a loop",
                    )
                continue
            if any(isinstance(word, ast.Starred) for word in node.args) or any(not word.arg for word in node.keywords):
                continue
            try:
                function.signature.check((None,) * len(node.args), dict.fromkeys(str(k.arg) for k in node.keywords))
            except TypeError as error:
                yield node, f"{text} does not fit: {str(error).rstrip('.')}", "give it the arguments that it takes"

    def called(self) -> Iterator[FunctionType]:
        """Yield the plain functions that are called by a name."""
        for node in self._nodes:
            if isinstance(node, ast.Call) and (found := self._resolve(node.func)) is not None:
                function = inspect.unwrap(found[1]) if callable(found[1]) else None
                if isinstance(function, FunctionType):
                    yield function


def _closed_over(function: FunctionType) -> dict[str, object]:
    found = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:
            continue  # not bound yet
    return found


def _bound(function: ast.FunctionDef | ast.AsyncFunctionDef, nodes: list[ast.AST]) -> dict[str, int]:
    """Return how often each name of a function's own is bound in it."""
    names: list[str] = []
    for node in [function, *nodes]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            arguments = node.args
            every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
            names += [argument.arg for argument in every if argument is not None]
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node is not function:
            names.append(node.name)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.append(node.id)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            names.append(node.name)
    outer = {name for node in nodes if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names}
    return {name: names.count(name) for name in names if name not in outer}


def _named(found: object, otherwise: str) -> str:
    """Return the dotted name under which Python knows an object; methods and objects by their class."""
    if found is _NOTHING:
        return otherwise
    if isinstance(found, ModuleType):
        return found.__name__
    owner = getattr(found, "__self__", None)
    name = getattr(found, "__qualname__", None)
    if owner is not None and not isinstance(owner, ModuleType) and isinstance(name, str):
        kind = owner if isinstance(owner, type) else type(owner)
        return f"{kind.__module__}.{kind.__qualname__}.{name.rpartition('.')[2]}"
    if isinstance(name, str):
        return f"{getattr(found, '__module__', None) or otherwise.partition('.')[0]}.{name}"
    return f"{type(found).__module__}.{type(found).__qualname__}"
