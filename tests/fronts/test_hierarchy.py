"""The hierarchical format of FaaSFlow becomes the same graph as a flat file, and runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fronts.flows import ran, write

import weftrun
from weftrun.fronts.faasflow.opening import given, read_plan
from weftrun.model.errors import UsageError

OLD = """\
from Store import Store

def main(function_name, request_id, runtime, input, output, to, keys):
    store = Store(function_name, request_id, input, output, to, keys)
    got = store.fetch([%s])
    store.put({'%s': %s}, {})
"""
FUNCTIONS = {
    "functions/rand/main.py": OLD % ("'count'", "rand_result", "list(range(got['count']))"),
    "functions/square/main.py": OLD % ("'x'", "square_result", "got['x'] ** 2"),
    "functions/cube/main.py": OLD % ("'x'", "cube_result", "got['x'] ** 3"),
    "functions/add/main.py": OLD % ("'a', 'b'", "add_result", "got['a'] + got['b']"),
    "functions/sub/main.py": OLD % ("'x', 'y'", "sub_result", "got['x'] - got['y']"),
    "functions/sqrt/main.py": OLD % ("'x'", "sqrt_result", "got['x'] ** 0.5"),
    "functions/invalid/main.py": OLD % ("", "sqrt_result", "'invalid'"),
    "functions/rows/main.py": OLD % ("'count'", "rows", "[list(range(n)) for n in range(got['count'])]"),
    "functions/total/main.py": OLD % ("'squares'", "total", "sum(got['squares'])"),
}
SWITCH = """\
name: root
type: switch
choices:
- condition: INPUT.one < INPUT.two
  go: {name: invalid, type: function, source: invalid}
- condition: default
  go:
    name: both
    type: pass
    steps:
    - name: sub
      type: function
      source: sub
      inputMappings: [{target: x, source: LOCAL.one}, {target: y, source: LOCAL.two}]
    - name: sqrt
      type: function
      source: sqrt
      inputMappings: [{target: x, source: LOCAL.sub_result}]
outputMappings: [{target: result, source: LOCAL.sqrt_result}]
"""
PARALLEL = """\
name: root
type: pass
steps:
- {name: rand, type: function, source: rand, inputMappings: [{target: count, source: INPUT.count}]}
- name: sides
  type: parallel
  inputMappings: [{target: n, source: INPUT.count}]
  branches:
  - {name: square, type: function, source: square, inputMappings: [{target: x, source: LOCAL.n}]}
  - {name: cube, type: function, source: cube, inputMappings: [{target: x, source: LOCAL.n}]}
  outputMappings: [{target: a, source: LOCAL.square_result}, {target: b, source: LOCAL.cube_result}]
- {name: add, type: function, source: add}
outputMappings: [{target: result, source: LOCAL.add_result}, {target: all, source: LOCAL.rand_result}]
"""
FOREACH = """\
name: root
type: pass
steps:
- {name: rand, type: function, source: rand, inputMappings: [{target: count, source: INPUT.count}]}
- name: each
  type: foreach
  inputMappings: [{target: x, source: 'LOCAL.rand_result[*]'}]
  task: {name: square, type: function, source: square}
  outputMappings: [{target: squares, source: 'LOCAL[*].square_result'}]
- {name: total, type: function, source: total}
outputMappings: [{target: squares, source: LOCAL.squares}, {target: total, source: LOCAL.total}]
"""
TASKS = """\
name: root
type: pass
steps:
- {name: rand, type: function, source: rand, inputMappings: [{target: count, source: INPUT.count}]}
- name: each
  type: foreach
  inputMappings: [{target: x, source: 'LOCAL.rand_result[*]'}, {target: y, source: INPUT.less}]
  task:
    name: choose
    type: switch
    choices:
    - condition: LOCAL.x < LOCAL.y
      go: {name: invalid, type: function, source: invalid}
    - condition: default
      go:
        name: both
        type: pass
        steps:
        - {name: sub, type: function, source: sub}
        - {name: sqrt, type: function, source: sqrt, inputMappings: [{target: x, source: LOCAL.sub_result}]}
  outputMappings: [{target: roots, source: 'LOCAL[*].sqrt_result'}]
outputMappings: [{target: roots, source: LOCAL.roots}]
"""
NESTED = """\
name: root
type: pass
steps:
- {name: rows, type: function, source: rows, inputMappings: [{target: count, source: INPUT.count}]}
- name: each
  type: foreach
  inputMappings: [{target: row, source: 'LOCAL.rows[*]'}]
  task:
    name: row
    type: pass
    steps:
    - name: cells
      type: foreach
      inputMappings: [{target: x, source: 'LOCAL.row[*]'}]
      task: {name: square, type: function, source: square}
      outputMappings: [{target: squares, source: 'LOCAL[*].square_result'}]
    - {name: total, type: function, source: total}
  outputMappings: [{target: totals, source: 'LOCAL[*].total'}]
outputMappings: [{target: totals, source: LOCAL.totals}]
"""
FILES = {"switch": SWITCH, "parallel": PARALLEL, "foreach": FOREACH, "tasks": TASKS, "nested": NESTED}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the workflows and their functions."""
    folder = tmp_path_factory.mktemp("hierarchies")
    return write(folder, {**FUNCTIONS, **{f"{name}.yaml": text for name, text in FILES.items()}})


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[weftrun.Engine]:
    """One engine for all, with one Worker."""
    with weftrun.open(f"sqlite:///{folder}/journal.db", sandboxes=4) as engine:
        yield engine


@pytest.mark.parametrize(
    ("name", "inputs", "found"),
    [
        ("switch", {"one": 13, "two": 4}, {"result": 3.0}),
        ("switch", {"one": 3, "two": 4}, {"result": "invalid"}),
        ("parallel", {"count": 3}, {"result": 9 + 27, "all": [0, 1, 2]}),
        ("foreach", {"count": 4}, {"squares": [0, 1, 4, 9], "total": 14}),
        ("foreach", {"count": 0}, {"squares": [], "total": 0}),
        ("tasks", {"count": 4, "less": 2}, {"roots": ["invalid", "invalid", 0.0, 1.0]}),
        ("nested", {"count": 4}, {"totals": [0, 0, 1, 5]}),
    ],
)
def test_it_runs_as_its_states_say(engine, folder, name, inputs, found):
    file = folder / f"{name}.yaml"
    plan, _ = read_plan(file)
    assert set(plan.inputs) == set(inputs)
    assert ran(engine, file, **inputs) == found


def test_functions_are_held_against_their_file(folder, tmp_path):
    write(tmp_path, {**FUNCTIONS, "workflow.yaml": FOREACH})
    told = tmp_path / "functions/function_info.yaml"
    told.write_text("max_containers: 10\nfunctions:\n- {image: i, name: rand, qos_time: 100, qos_requirement: 0.9}\n")
    plan, warnings = read_plan(tmp_path / "workflow.yaml")
    assert plan.name == tmp_path.name
    assert warnings == [f"{told} does not have square, total; it runs all the same."]
    told.write_text("max_containers: 10\nfunctions:\n- {image: i, nam: rand}\n")
    with pytest.raises(UsageError, match=r"function_info.yaml:3: a function has no key 'nam'; did you mean 'name'"):
        read_plan(tmp_path / "workflow.yaml")


CASES = [
    ("- name: each\n", "- nam: each\n", 5, "has no key 'nam'; did you mean 'name'?"),
    ("  type: foreach", "  type: forall", 6, "'type' is 'forall', and must be pass or parallel or switch or foreach"),
    ("  type: foreach", "  type: [foreach]", 6, "'type' must be a text"),
    ("name: square", "name: rand", 8, "two states are called 'rand'; the other is in line 4"),
    ("LOCAL.rand_result[*]", "LOCAL.rand_result", 7, "runs for each item of a list, and none of its inputs is one"),
    ("LOCAL.rand_result[*]", "rand_result[*]", 7, "'rand_result[*]' is not LOCAL.name, INPUT.name"),
    ("source: square}", "sauce: square}", 8, "has no key 'sauce'; did you mean 'source'?"),
    ("source: square}", "source: cubes}", 8, "there is none of cubes/main.py"),
    ("target: squares", "targt: squares", 9, "has no key 'targt'; did you mean 'target'?"),
    ("  task:", "  taks:", 8, "has no key 'taks'; did you mean 'task'?"),
    ("steps:", "step:", 3, "has no key 'step'; did you mean 'steps'?"),
]


@pytest.mark.parametrize(("before", "after", "line", "told"), CASES, ids=[case[3][-40:] for case in CASES])
def test_what_is_wrong_is_told_with_its_line(folder, before, after, line, told):
    file = folder / "wrong.yaml"
    assert before in FOREACH
    file.write_text(FOREACH.replace(before, after, 1))
    with pytest.raises(UsageError) as caught:
        read_plan(file)
    problems = str(caught.value).splitlines()
    assert any(problem.startswith(f"{file}:{line}: ") and told in problem for problem in problems), problems


def test_what_somebody_puts_need_not_be_given(engine, tmp_path):
    """As in FaaSFlow's own video workflow, where inputs of `INPUT` are put by the first function."""
    write(
        tmp_path,
        {
            "first.py": "def main():\n    store.put({'n': 3, 'flag': True}, {})\n",
            "then.py": "def main():\n    store.put({'got': store.fetch(['n'])['n']}, {})\n",
            "flow.yaml": """\
functions:
- name: first
  input: {n: {type: pass, value: {function: INPUT, parameter: n}, size: 8}}
  next: {type: pass, nodes: [virtual1]}
- {name: virtual1, source: VIRTUAL, next: {type: switch, conditions: [INPUT.flag, default], nodes: [then, END]}}
- name: then
  input: {n: {type: pass, value: {function: INPUT, parameter: n}, size: 8}}
  output: {got: {type: normal, size: 8}}
- {name: END, source: END}
""",
        },
    )
    plan, _ = read_plan(tmp_path / "flow.yaml")
    assert given(plan, []) == {}
    assert ran(engine, tmp_path / "flow.yaml") == {"then.got": 3}
