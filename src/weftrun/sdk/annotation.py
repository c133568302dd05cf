"""Into how many parts a callable's value unpacks, by its return annotation. No annotation is evaluated.

An annotation may be a text, and name what only a type checker imports: then it is parsed, and its parts are counted
without being looked up.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, ForwardRef, Tuple, get_args, get_origin  # noqa: UP035  # asked for

if TYPE_CHECKING:
    import ast

_DEPTH = 20
"""So many aliases of aliases are followed."""


def parts_of(callable: Callable[..., Any]) -> int:
    """Return how many parts a fixed tuple has, or a named one, that a callable promises to return; else 0."""
    if isinstance(callable, type):
        return len(getattr(callable, "_fields", ())) if issubclass(callable, tuple) else 0
    written: Any = callable
    while hasattr(written, "func") or hasattr(written, "__wrapped__"):
        written = written.func if hasattr(written, "func") else written.__wrapped__
    try:
        return _AnnotationReader(written).parts(_return_annotation(callable), _DEPTH)
    except Exception:  # noqa: BLE001  # an alias is the author's code; an annotation that can't be read promises nothing
        return 0


def _return_annotation(callable: Any) -> Any:
    while hasattr(callable, "func"):
        callable = callable.func
    if not hasattr(type(callable), "__get__") and not hasattr(callable, "__wrapped__"):
        callable = getattr(callable, "__call__", callable)  # noqa: B004  # an object of a class with that method
    try:
        return getattr(callable, "__annotations__", {}).get("return")
    except Exception:  # noqa: BLE001  # from 3.14 on this evaluates them, and what only a checker knows is not there
        annotationlib = importlib.import_module("annotationlib")
        return annotationlib.get_annotations(callable, format=annotationlib.Format.STRING).get("return")


class _AnnotationReader:
    """Reads annotations as they stand in the module of a function."""

    def __init__(self, written: Any) -> None:
        self._names: Mapping[str, Any] = getattr(written, "__globals__", {})
        self._file: str = getattr(getattr(written, "__code__", None), "co_filename", "")
        self._ast: Any = importlib.import_module("ast")  # late: few modules need it

    def parts(self, annotation: Any, depth: int) -> int:
        """Return the parts of an annotation: a type, an alias of one, or a text."""
        if depth == 0 or annotation is None:
            return 0
        if isinstance(annotation, ForwardRef):
            annotation = annotation.__forward_arg__
        if isinstance(annotation, str):
            return self._parts_of_node(self._ast.parse(annotation.strip(), mode="eval").body, depth)
        for of_alias in ("__value__", "__supertype__"):  # `type Pair = ...`, NewType
            if hasattr(annotation, of_alias):
                return self.parts(getattr(annotation, of_alias), depth - 1)
        origin = get_origin(annotation)
        if origin is Annotated:
            return self.parts(get_args(annotation)[0], depth - 1)
        if origin is tuple:
            return self._sum(get_args(annotation), depth)
        kind = origin or annotation
        named = isinstance(kind, type) and issubclass(kind, tuple)
        return len(getattr(kind, "_fields", ())) if named else 0

    def _sum(self, members: Iterable[Any], depth: int) -> int:
        total = 0
        for member in members:
            if member is Ellipsis:
                return 0
            unpacked = getattr(member, "__typing_unpacked_tuple_args__", None)  # `*tuple[int, str]`, in types
            if unpacked is None and get_origin(member) is not None and "Unpack" in repr(get_origin(member)):
                unpacked = get_args(get_args(member)[0])
            if unpacked is None:
                total += 1
                continue
            inner = self._sum(unpacked, depth - 1)
            if not inner:
                return 0
            total += inner
        return total

    # ------------------------------------------------------------------ texts

    def _parts_of_node(self, node: ast.expr, depth: int) -> int:
        syntax = self._ast
        if depth == 0:
            return 0
        if isinstance(node, syntax.Constant):  # quoted once more
            return self.parts(node.value, depth - 1) if isinstance(node.value, str) else 0
        if isinstance(node, syntax.Name | syntax.Attribute):
            found = self._found(node)
            return self.parts(found, depth - 1) if found is not None else self._written(node, depth)
        if not isinstance(node, syntax.Subscript):
            return 0
        found = self._found(node.value)
        name = _last_name(node.value)
        members = node.slice.elts if isinstance(node.slice, syntax.Tuple) else [node.slice]
        if found is Annotated or (found is None and name == "Annotated"):
            return self._parts_of_node(members[0], depth - 1)
        if found is tuple or found is Tuple or (found is None and name == "Tuple"):  # noqa: UP006
            return self._sum_of_nodes(members, depth)
        return self.parts(found, depth - 1) if found is not None else self._written(node.value, depth)

    def _sum_of_nodes(self, members: Iterable[ast.expr], depth: int) -> int:
        total = 0
        for member in members:
            if isinstance(member, self._ast.Constant) and member.value is Ellipsis:
                return 0
            spread = None
            if isinstance(member, self._ast.Starred):
                spread = member.value
            elif isinstance(member, self._ast.Subscript) and _last_name(member.value) == "Unpack":
                spread = member.slice
            inner = 1 if spread is None else self._parts_of_node(spread, depth - 1)
            if not inner:
                return 0
            total += inner
        return total

    def _found(self, node: ast.expr) -> Any:
        """Return what a name stands for at run time; None where only a type checker would know."""
        if isinstance(node, self._ast.Attribute):
            return getattr(self._found(node.value), node.attr, None)
        if not isinstance(node, self._ast.Name):
            return None
        return self._names.get(node.id, tuple if node.id == "tuple" else None)

    def _written(self, node: ast.expr, depth: int) -> int:
        """Return the parts of an alias, or a class, that the module's source defines for type checkers only."""
        if not isinstance(node, self._ast.Name) or not self._file:
            return 0
        for statement in _module_statements(self._file):
            if isinstance(statement, self._ast.ClassDef) and statement.name == node.id:
                if "NamedTuple" not in map(_last_name, statement.bases):
                    return 0
                return sum(isinstance(line, self._ast.AnnAssign) for line in statement.body)
            value = getattr(statement, "value", None)
            if value is not None and node.id in _names_set_by(statement):
                return self._parts_of_node(value, depth - 1)
        return 0


def _last_name(node: ast.expr) -> str:
    return getattr(node, "id", "") or getattr(node, "attr", "")


def _names_set_by(statement: Any) -> list[str]:
    """Return what `Pair = ...`, `Pair: TypeAlias = ...` and `type Pair = ...` name."""
    targets = [*getattr(statement, "targets", ()), getattr(statement, "target", None), getattr(statement, "name", None)]
    return [target.id for target in targets if hasattr(target, "id")]


@cache
def _module_statements(file: str) -> tuple[ast.stmt, ...]:
    """Return the statements of a source file, those under an `if` such as `if TYPE_CHECKING:` included."""
    syntax = importlib.import_module("ast")
    linecache = importlib.import_module("linecache")
    try:
        body = syntax.parse("".join(linecache.getlines(file))).body
    except SyntaxError:
        return ()
    return tuple(inner for outer in body for inner in (outer, *(outer.body if isinstance(outer, syntax.If) else ())))
