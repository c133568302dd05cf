"""What may stand for an argument: ids of Runs from the Journal, workflows of a file, names of their parameters.

A file of the author's is read, never imported; what can't be read gives nothing, without a word.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from weftrun.entrypoints.cli.options import reading
from weftrun.model.errors import WeftrunError
from weftrun.ports.journal import RunInfo

_RUNS_MAX = 1_000
"""Newest Runs that are looked at."""
_SOURCE_BYTES_MAX = 1 << 20
_DECORATORS = ("workflow", "function")

Items = list[CompletionItem[str]]


def run_ids(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:  # noqa: ARG001  # click's signature
    """Return ids of Runs that begin so, newest first: of those that a command is for."""
    try:
        with reading(ctx.params.get("db")) as reader:
            infos = reader.runs(limit=_RUNS_MAX)
    except (WeftrunError, OSError):
        return []
    return [
        CompletionItem(info.id, help=f"{info.status}, {info.function}")
        for info in infos
        if info.id.startswith(incomplete) and _is_for(ctx.info_name, info)
    ]


def _is_for(command: str | None, info: RunInfo) -> bool:
    if command == "cancel":
        return info.ended_at is None
    return command != "delete" or info.ended_at is not None


def targets(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:  # noqa: ARG001  # click's signature
    """Return files, and after `FILE.py:` the workflows and functions in it, workflows first."""
    file, colon, name = incomplete.rpartition(":")
    if not colon:
        return [CompletionItem(incomplete, type="file")]
    return [
        CompletionItem(f"{file}:{found}", help=kind) for found, kind, _ in _functions(file) if found.startswith(name)
    ]


def parameters(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:  # noqa: ARG001  # click's
    """Return names of the target's parameters, each with its equals sign."""
    file, colon, name = str(ctx.params.get("target") or "").rpartition(":")
    functions = list(_functions(file if colon else name))
    chosen = [names for found, _, names in functions if found == name] if colon else []
    workflows = [names for _, kind, names in functions if kind == "workflow"]
    if not colon and len(workflows or functions) == 1:
        chosen = workflows or [functions[0][2]]
    return [CompletionItem(f"{found}=") for names in chosen for found in names if found.startswith(incomplete)]


def _functions(file: str) -> Iterator[tuple[str, str, list[str]]]:
    """Yield name, decorator and parameters of what a file decorates, workflows first."""
    path = Path(file)
    try:
        if not path.is_file() or path.stat().st_size > _SOURCE_BYTES_MAX:
            return
        body = ast.parse(path.read_bytes()).body
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return
    defs = [node for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    for kind in _DECORATORS:
        for node in defs:
            if any(_name_of(decorator) == kind for decorator in node.decorator_list):
                arguments = node.args
                yield node.name, kind, [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]


def _name_of(decorator: ast.expr) -> str:
    if isinstance(decorator, ast.Call):
        decorator = decorator.func
    return decorator.attr if isinstance(decorator, ast.Attribute) else getattr(decorator, "id", "")
