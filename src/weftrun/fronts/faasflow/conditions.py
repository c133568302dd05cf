"""Conditions of a switch: a small part of Python's expressions, worked out over data, without `eval`.

There are literals, comparisons, `and`, `or`, `not`, `+ - * / // %`, lists and tuples, subscripts, `len(...)`, and
names: `ROOT.key` is the datum `key`, whatever stands before the dot, as FaaSFlow has it; so is a bare `key`.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

_COMPARED: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda one, other: one in other,
    ast.NotIn: lambda one, other: one not in other,
}
_REACHED: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_ALONE: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.Not: operator.not_,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_WORDS = {"true": True, "false": False, "null": None}
_NESTED_MAX = 50


def parse(text: str) -> ast.expr:
    """Return a condition's expression.

    Raises:
        ValueError: it is no expression, or has something that conditions may not have; the text says what.
    """
    try:
        parsed = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise ValueError(f"the condition {text!r} is no expression") from error
    _check(parsed, text, 0)
    return parsed


def is_default(text: str) -> bool:
    """Say whether a condition is the one that always holds."""
    return text.strip().startswith("default")


def names(text: str) -> list[str]:
    """Return the names of the data that a condition looks at; raises ValueError as `parse` does."""
    if is_default(text):
        return []
    return sorted({name for node in ast.walk(parse(text)) if (name := _datum(node))})


def all_names(text: str) -> list[str]:
    """Return the names of the data that a condition looks at, bare ones too; raises ValueError as `parse` does."""
    if is_default(text):
        return []
    nodes = list(ast.walk(parse(text)))
    # What stands before a dot is no datum, and neither is `len`.
    other = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    other |= {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    bare = {node.id for node in nodes if isinstance(node, ast.Name) and id(node) not in other}
    return sorted({*bare - set(_WORDS), *(name for node in nodes if (name := _datum(node)))})


def holds(text: str, look: Callable[[str], Any]) -> bool:
    """Say whether a condition holds; `look` returns a datum by name.

    Raises:
        ValueError: it is no condition, or the data do not fit it.
    """
    if is_default(text):
        return True
    try:
        return bool(_value(parse(text), look))
    except (TypeError, ZeroDivisionError, IndexError, KeyError, OverflowError) as error:
        raise ValueError(f"the condition {text!r} can't be worked out: {type(error).__name__}: {error}") from error


def _datum(node: ast.AST) -> str:
    """Return the name of a datum, where this node is one."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return node.attr
    return ""


def _check(node: ast.expr, text: str, depth: int) -> None:
    if depth > _NESTED_MAX:
        raise ValueError(f"the condition {text!r} is nested too deeply")
    if _datum(node) or isinstance(node, ast.Name):
        return
    parts = _parts(node)
    if parts is None:
        what = ast.unparse(node)
        raise ValueError(
            f"the condition {text!r} has {what!r}: it may have data (ROOT.name), literals, comparisons, and, or, not, "
            "+ - * / // %, lists, subscripts and len(...)"
        )
    for part in parts:
        _check(part, text, depth + 1)


def _parts(node: ast.expr) -> list[ast.expr] | None:
    """Return the expressions in an expression; None where conditions may not have it."""
    parts: list[ast.expr] | None = None
    match node:
        case ast.Constant(value=bool() | int() | float() | str() | None):
            parts = []
        case ast.BoolOp(values=values):
            parts = values
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _ALONE:
            parts = [operand]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _REACHED:
            parts = [left, right]
        case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in _COMPARED for op in ops):
            parts = [left, *others]
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            parts = elements
        case ast.Subscript(value=value, slice=index) if not isinstance(index, ast.Slice):
            parts = [value, index]
        case ast.Call(func=ast.Name(id="len"), args=[one], keywords=[]):
            parts = [one]
        case _:
            pass
    return parts


def _value(node: ast.expr, look: Callable[[str], Any]) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return _WORDS[name] if name in _WORDS else look(name)
        case ast.Attribute(attr=name):
            return look(name)
        case ast.BoolOp(op=ast.And(), values=values):
            return all(_value(part, look) for part in values)
        case ast.BoolOp(values=values):
            return any(_value(part, look) for part in values)
        case ast.UnaryOp(op=op, operand=operand):
            return _ALONE[type(op)](_value(operand, look))
        case ast.BinOp(left=left, op=op, right=right):
            return _reach(op, _value(left, look), _value(right, look))
        case ast.Compare():
            return _compare(node, look)
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            return [_value(element, look) for element in elements]
        case ast.Subscript(value=value, slice=index):
            return _value(value, look)[_value(index, look)]
        case ast.Call(args=[one]):
            return len(_value(one, look))
    raise AssertionError(f"{ast.dump(node)} was not checked")


def _reach(op: ast.operator, left: Any, right: Any) -> Any:
    """Work out an operation; of numbers only, but for `+`: a text times a number may be as large as memory is."""
    if not isinstance(op, ast.Add) and not (isinstance(left, int | float) and isinstance(right, int | float)):
        raise TypeError(f"it computes with a {type(left).__name__} and a {type(right).__name__}")
    return _REACHED[type(op)](left, right)


def _compare(node: ast.Compare, look: Callable[[str], Any]) -> bool:
    left = _value(node.left, look)
    for op, comparator in zip(node.ops, node.comparators, strict=True):
        right = _value(comparator, look)
        if not _COMPARED[type(op)](left, right):
            return False
        left = right
    return True
