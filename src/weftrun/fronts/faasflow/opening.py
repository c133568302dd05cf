"""From a file and the words of a command line to a plan and what its Run is given."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from weftrun.fronts.faasflow.flat import read_flat
from weftrun.fronts.faasflow.plan import Missing, Plan
from weftrun.fronts.faasflow.reading import Document, read
from weftrun.model.errors import UsageError


def read_plan(file: str | Path, missing: Missing = "error") -> tuple[Plan, list[str]]:
    """Read a workflow's file; return its plan, and warnings of what is odd in it.

    Args:
        file: in FaaSFlow's flat format.
        missing: what a fetch of data that nobody has put gives: an `error`, or FaaSFlow's `marker`.

    Raises:
        UsageError: something in it is unknown, contradictory or missing; all such places are named by file and line.
    """
    document = Document(Path(file))
    top = read(document)
    plan = read_flat(document, top, missing)
    return plan, document.warnings


def given(plan: Plan, words: Sequence[str], missing: Missing = "error") -> dict[str, Any]:
    """Return what a Run is given from outside, from words `name=value`.

    A value is JSON where it is that, else a text; `name=@file` takes what a file holds: a text, or bytes where it
    is none.

    Raises:
        UsageError: a word has no `=`, or no input has its name; a file can't be read; an input has no value.
    """
    found: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise UsageError(f"{word!r} is not name=value.")
        if name not in plan.inputs:
            there = ", ".join(plan.inputs) or "none"
            raise UsageError(f"{plan.name} has no input {name!r}. Its inputs: {there}.")
        found[name] = _content(name, text[1:]) if text[:1] == "@" and text[:2] != "@@" else _value(text)
    absent = [name for name in plan.inputs if name not in found]
    if absent and missing == "error":
        shown = " ".join(f"{name}=…" for name in absent[:10]) + (" …" if len(absent) > 10 else "")
        raise UsageError(
            f"{plan.name} needs {len(absent)} input{'s' if len(absent) > 1 else ''} from outside: {shown} "
            "Give each as NAME=VALUE or NAME=@FILE; --missing marker runs it without, as FaaSFlow does."
        )
    return found


def _content(name: str, path: str) -> str | bytes:
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"{name}=@{path}: the file can't be read: {error.strerror}.") from error
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _value(text: str) -> Any:
    text = text[1:] if text[:2] == "@@" else text
    try:
        return json.loads(text)
    except ValueError:
        return text
