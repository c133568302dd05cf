"""Traces of WfCommons run as they were recorded, smaller."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from tests.fronts.flows import write

import weftrun
from weftrun.fronts.faasflow.opening import read_plan, start
from weftrun.fronts.faasflow.wfformat import Scales
from weftrun.model.errors import UsageError

NEW: dict[str, Any] = {
    "name": "small",
    "schemaVersion": "1.5",
    "workflow": {
        "specification": {
            "tasks": [
                {"name": "split", "id": "split_1", "parents": [], "children": ["work_1", "work_2"],
                 "inputFiles": ["given"], "outputFiles": ["a", "b"]},
                {"name": "work", "id": "work_1", "parents": ["split_1"], "children": ["join_1"],
                 "inputFiles": ["a"], "outputFiles": ["c"]},
                {"name": "work", "id": "work_2", "parents": ["split_1"], "children": ["join_1"],
                 "inputFiles": ["b"], "outputFiles": ["d"]},
                {"name": "join", "id": "join_1", "parents": ["work_1", "work_2"], "children": [],
                 "inputFiles": ["c", "d"], "outputFiles": ["e"]},
            ],
            "files": [{"id": key, "sizeInBytes": 1000 * n} for n, key in enumerate(["given", "a", "b", "c", "d", "e"])],
        },
        "execution": {
            "makespanInSeconds": 4, "executedAt": "2026-01-01T00:00:00Z",
            "tasks": [{"id": "split_1", "runtimeInSeconds": 10, "avgCPU": 50.0},
                      {"id": "work_1", "runtimeInSeconds": 20}, {"id": "join_1", "runtimeInSeconds": 5}],
        },
    },
}  # fmt: skip
OLD: dict[str, Any] = {
    "name": "small",
    "workflow": {
        "tasks": [
            {"name": "one", "id": "1", "runtimeInSeconds": 2, "parents": [],
             "files": [{"link": "output", "name": "x", "sizeInBytes": 500}]},
            {"name": "two", "id": "2", "runtime": 3, "parents": ["one"],
             "files": [{"link": "input", "name": "x", "size": 500}, {"link": "output", "name": "y", "size": 70000}]},
        ]
    },
}  # fmt: skip


def test_times_and_sizes_are_scaled(tmp_path: Path) -> None:
    file = write(tmp_path, {"trace.json": json.dumps(NEW)}) / "trace.json"
    plan, warnings = read_plan(file, scales=Scales(0.1, 0.5))
    assert (plan.name, warnings) == ("small", [])
    found = {node.name: node for node in plan.nodes}
    assert list(found) == ["split_1", "work_1", "work_2", "join_1"]
    assert [(call.runtime, call.cpu_s) for call in (found[name].call for name in found)] == [
        (1.0, 0.5), (2.0, 2.0), (0.0, 0.0), (0.5, 0.5)
    ]  # fmt: skip
    assert {key: made.size for node in plan.nodes for key, made in node.call.output.items()} == {
        "a": 500, "b": 1000, "c": 1500, "d": 2000, "e": 2500
    }  # fmt: skip
    assert found["join_1"].before == ("work_1", "work_2") and found["work_1"].reads == ("split_1",)


@pytest.mark.parametrize("trace", [NEW, OLD])
def test_a_trace_runs_and_takes_its_time(tmp_path: Path, trace: dict[str, Any]) -> None:
    file = write(tmp_path, {"trace.json": json.dumps(trace)}) / "trace.json"
    plan, _ = read_plan(file, scales=Scales(0.01, 1.0))
    function, args = start(plan, {})
    with weftrun.open(f"sqlite:///{tmp_path}/j.db", sandboxes=2) as engine:
        run = engine.start(function, *args)
        result = run.result(timeout_s=60)
        took = {step.id: step.body_s for step in run.steps()}
    last = {"join_1.e": 5000} if trace is NEW else {"2.y": 70000}
    assert {name: told["bytes"] for name, told in result.items()} == last
    for node in plan.nodes:
        assert (took[f"{node.name}[0]"] or 0) >= node.call.runtime


def changed(path: str, value: object) -> str:
    """Return the trace with something in it replaced."""
    trace = copy.deepcopy(NEW)
    *way, last = path.split(".")
    at: Any = trace
    for key in way:
        at = at[int(key) if key.isdecimal() else key]
    at[int(last) if last.isdecimal() else last] = value
    return json.dumps(trace)


CASES = [
    (
        "workflow.specification.tasks.1.parents",
        ["splt"],
        "tasks[1]: its parent 'splt' is no task",
    ),
    ("workflow.specification.tasks.0.parents", ["join_1"], "workflow: there is a cycle: split_1 → "),
    ("workflow.specification.tasks.1.id", "split_1", "two tasks have the id 'split_1'; the other is workflow.spec"),
    ("workflow.specification.tasks.1.outputFiles", ["a"], "the file 'a' is made by 'split_1', too"),
    ("workflow.specification.tasks.1.parents", "split_1", "'parents' must be a list of texts"),
    ("workflow.specification.tasks.1", 3, "workflow.specification.tasks[1]: it must be an object"),
    ("workflow.specification.tasks", {}, "it needs the key 'tasks' with a list"),
    ("workflow.execution.tasks.0.runtimeInSeconds", -1, "'runtimeInSeconds' is -1, and must be a number that is not"),
    ("workflow.execution.tasks.0.id", "other", "workflow.execution.tasks[0]: there is no task 'other'"),
    ("workflow.specification.tasks.0.id", "a[b]", "can't be the name of a Step"),
    ("workflow", [], "workflow: it must be an object"),
]


@pytest.mark.parametrize(("path", "value", "told"), CASES)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, path: str, value: object, told: str) -> None:
    file = write(tmp_path, {"trace.json": changed(path, value)}) / "trace.json"
    with pytest.raises(UsageError) as caught:
        read_plan(file)
    assert told in str(caught.value) and str(file) in str(caught.value)


@pytest.mark.parametrize(("text", "told"), [("{", "it is no JSON"), ("[]", "is no WfFormat"), ("{}", "is no WfFormat")])
def test_what_is_no_trace_is_refused(tmp_path: Path, text: str, told: str) -> None:
    file = write(tmp_path, {"trace.json": text}) / "trace.json"
    with pytest.raises(UsageError, match=told):
        read_plan(file)
