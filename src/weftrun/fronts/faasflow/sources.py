"""The Python files of functions: where they are, and what they fetch. Nothing is run here."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

from weftrun.fronts.faasflow.reading import Table

DECLARED: Final = "*"
"""Stands for all inputs that a workflow's file declares, among the keys that a function fetches."""


def find_file(table: Table, source: str) -> str:
    """Return the absolute path of a function's file; note a problem where there is none.

    It is `SOURCE/main.py` or `SOURCE.py` beside the workflow's file or in a folder `functions` there, else the
    `main.py` beside it, which all functions share.
    """
    folder = table.document.file.resolve().parent
    own = folder / "functions"
    tried = [folder / source / "main.py", folder / f"{source}.py", own / source / "main.py", own / f"{source}.py"]
    tried.append(folder / "main.py")
    found = next((path for path in tried if path.is_file()), None)
    if found is None:
        shown = ", ".join(str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path) for path in tried)
        key = "source" if "source" in table else "name"
        table.problem(key, f"{table.what} has no file: there is none of {shown} in {folder}.")
        return ""
    names = _parsed(str(found))
    if isinstance(names, str):
        table.problem("name", names)
    elif not any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in ast.walk(names)):
        table.problem("name", f"{found} of {table.what} has no function `main()`.")
    return str(found)


def find_block_file(table: Table, template: str, block: str) -> str:
    """Return the absolute path of the file of one of DataFlower's blocks; note a problem where there is none.

    It is `TEMPLATE/blocks/BLOCK/main.py` beside the workflow's file, or in a folder `template_functions` there or one
    folder above; or `TEMPLATE/BLOCK.py` or `TEMPLATE.py` beside it.
    """
    folder = table.document.file.resolve().parent
    tried = [
        *(
            base / template / "blocks" / block / "main.py"
            for base in (folder, folder / "template_functions", folder.parent / "template_functions")
        ),
        folder / template / f"{block}.py",
        folder / f"{template}.py",
    ]
    found = next((path for path in tried if path.is_file()), None)
    if found is None:
        shown = ", ".join(str(path.relative_to(folder.parent)) for path in tried)
        table.document.problem(table.begins, f"{table.what} has no file: there is none of {shown} in {folder.parent}.")
        return ""
    names = _parsed(str(found))
    if isinstance(names, str):
        table.document.problem(table.begins, names)
    return str(found)


_kept: dict[str, tuple[int, ast.Module | str]] = {}


def _parsed(file: str) -> ast.Module | str:
    """Return the syntax tree of a file, or what is wrong with it."""
    path = Path(file)
    written = path.stat().st_mtime_ns
    known = _kept.get(file)
    if known is not None and known[0] == written:
        return known[1]
    result: ast.Module | str
    try:
        result = ast.parse(path.read_bytes(), file)
    except SyntaxError as error:
        result = f"{file}:{error.lineno}: {error.msg}."
    except (ValueError, RecursionError) as error:
        result = f"{file} is no Python code: {error}."
    _kept[file] = (written, result)
    return result


def fetched(file: str) -> set[str] | None:
    """Return the keys that a function fetches by name; None where its code does not show that it fetches no others.

    `store.fetch(store.input.keys())` fetches what the file declares (`DECLARED`), and `store.fetch(["a"])` the key `a`.
    """
    parsed = _parsed(file) if file else ""
    if isinstance(parsed, str):
        return None
    keys: set[str] = set()
    calls, mentions, bases = 0, 0, 0
    for node in ast.walk(parsed):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "fetch":
            calls += 1
            found = _keys(node)
            if found is None:
                return None
            keys |= found
        elif isinstance(node, ast.Attribute) and node.attr == "fetch":
            mentions += 1
        elif isinstance(node, ast.Name) and node.id in ("getattr", "globals", "vars", "eval", "exec"):
            return None
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "store":
            bases += 1
    stores = sum(
        isinstance(node, ast.Name) and node.id == "store" and isinstance(node.ctx, ast.Load)
        for node in ast.walk(parsed)
    )
    # What hands `store` or its `fetch` on may fetch anything elsewhere. Each call mentions `fetch` once itself.
    return keys if mentions == calls and stores == bases else None


def puts(file: str) -> tuple[set[str], bool]:
    """Return the keys that a function's code shows it to put, and whether it shows that there are no others."""
    parsed = _parsed(file) if file else ""
    if isinstance(parsed, str):
        return set(), False
    keys: set[str] = set()
    complete, calls, mentions = True, 0, 0
    for node in ast.walk(parsed):
        if isinstance(node, ast.Attribute) and node.attr == "put":
            mentions += 1
        elif isinstance(node, ast.Name) and node.id in ("getattr", "globals", "vars", "eval", "exec"):
            complete = False
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "put"):
            continue
        calls += 1
        told = _dict_keys(parsed, node.args[0]) if node.args else None
        complete = complete and told is not None and None not in told
        keys |= {key for key in told or () if key is not None}
    return keys, complete and calls == mentions


def _dict_keys(tree: ast.Module, argument: ast.expr) -> set[str | None] | None:
    """Return the keys of a dict that is written out, there or where its only name is given; None for another key."""
    if isinstance(argument, ast.Name):
        given = [
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign)
            and any(isinstance(target, ast.Name) and target.id == argument.id for target in node.targets)
        ]
        changed = any(isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and
                      node.value.id == argument.id and isinstance(node.ctx, ast.Store)
                      for node in ast.walk(tree))  # fmt: skip
        if len(given) != 1 or changed:
            return None
        argument = given[0]
    if not isinstance(argument, ast.Dict):
        return None
    return {key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else None
            for key in argument.keys}  # fmt: skip


def _keys(call: ast.Call) -> set[str] | None:
    """Return the keys that one call of `fetch` names; None if it is not known."""
    if len(call.args) != 1 or call.keywords:
        return None
    argument = call.args[0]
    if isinstance(argument, ast.List | ast.Tuple | ast.Set):
        texts = [each.value for each in argument.elts if isinstance(each, ast.Constant) and isinstance(each.value, str)]
        return set(texts) if len(texts) == len(argument.elts) else None
    if (
        isinstance(argument, ast.Call)
        and isinstance(argument.func, ast.Name)
        and argument.func.id in ("list", "sorted")
    ):
        argument = argument.args[0] if argument.args else argument
    if isinstance(argument, ast.Call) and isinstance(argument.func, ast.Attribute) and argument.func.attr == "keys":
        argument = argument.func.value
    is_input = (isinstance(argument, ast.Attribute) and argument.attr == "input") or (
        isinstance(argument, ast.Name) and argument.id == "input"
    )
    return {DECLARED} if is_input else None
