"""From a file and the words of a command line to a plan and what its Run is given."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from weftrun.fronts.faasflow import block_calls, calls
from weftrun.fronts.faasflow.blocks import read_blocks
from weftrun.fronts.faasflow.dataflow import USER, DataPlan
from weftrun.fronts.faasflow.flat import read_flat
from weftrun.fronts.faasflow.hierarchy import read_hierarchy
from weftrun.fronts.faasflow.plan import Missing, Plan
from weftrun.fronts.faasflow.reading import Document, Table, read
from weftrun.fronts.faasflow.wfformat import Scales, read_trace
from weftrun.model.errors import UsageError
from weftrun.sdk.function import Function


def read_plan(
    file: str | Path, missing: Missing = "error", scales: Scales | None = None
) -> tuple[Plan | DataPlan, list[str]]:
    """Read a workflow's file; return its plan, and warnings of what is odd in it.

    Args:
        file: in FaaSFlow's flat or hierarchical format, or in DataFlower's; or a trace in WfFormat, `FILE.json`.
        missing: what a fetch of data that nobody has put gives: an `error`, or FaaSFlow's `marker`.
        scales: of a trace, by what its times and sizes are multiplied.

    Raises:
        UsageError: something in it is unknown, contradictory or missing; all such places are named by file and line.
    """
    if str(file).endswith(".json"):
        return read_trace(Path(file), scales or Scales())
    document = Document(Path(file))
    top = read(document)
    if "type" in top:
        return read_hierarchy(document, top, missing), document.warnings
    if "workflow_name" in top or "templates" in top:
        _refuse_templates(document, top)
        return read_blocks(document, top, missing), document.warnings
    if "nodes" in top and "functions" not in top:
        raise UsageError(f"{file} names hosts, and is no workflow: give it as --cluster {file} to one.")
    return read_flat(document, top, missing), document.warnings


def _refuse_templates(document: Document, top: Table) -> None:
    if top.is_list("templates") and "workflow_name" not in top:
        raise UsageError(
            f"{document.file} tells of templates, and is no workflow: run the workflow_info.yaml beside it."
        )


def start(plan: Plan | DataPlan, inputs: Mapping[str, Any]) -> tuple[Function[..., Any], tuple[Any, ...]]:
    """Return the Workflow that runs a plan, under its name, and what it is to be called with."""
    return block_calls.start_blocks(plan, inputs) if isinstance(plan, DataPlan) else calls.start(plan, inputs)


def given(plan: Plan | DataPlan, words: Sequence[str], missing: Missing = "error") -> dict[str, Any]:
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
        name = name.removeprefix(f"{USER}.")
        if name not in plan.inputs:
            there = ", ".join(plan.inputs) or "none"
            raise UsageError(f"{plan.name} has no input {name!r}. Its inputs: {there}.")
        found[name] = _content(name, text[1:]) if text[:1] == "@" and text[:2] != "@@" else _value(text)
    absent = [name for name in plan.inputs if name not in found and name not in plan.optional]
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
