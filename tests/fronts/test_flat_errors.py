"""What is wrong with a workflow's file is told by file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from weftrun.fronts.faasflow.opening import given, read_plan
from weftrun.model.errors import UsageError

GOOD = """\
functions:
- name: cut
  source: cut
  runtime: 0.1
  output:
    parts: {type: keys, size: 8}
    body: {type: normal, size: 400}
  next: {type: foreach, nodes: [work]}
- name: work
  source: work
  input:
    parts: {type: key, value: {function: cut, parameter: parts}, size: 8}
    body: {type: pass, value: {function: cut, parameter: body}, size: 400}
  next: {type: pass, nodes: [virtual1]}
- name: virtual1
  source: VIRTUAL
  next:
    type: switch
    conditions:
    - ROOT.body == "x"
    - default
    nodes: [join, END]
- name: join
  source: join
- name: END
  source: END
global_output:
  result: {type: pass, value: {function: join, parameter: sum}}
"""

CASES = [
    ("source: cut\n", "sauce: cut\n", 3, "the function 'cut' has no key 'sauce'; did you mean 'source'?"),
    ("functions:", "function:", 1, "the file has no key 'function'; did you mean 'functions'?"),
    ("- name: join", "- name: work", 23, "two functions are called 'work'; the other is in line 9"),
    ("nodes: [work]}", "nodes: [works]}", 8, "`next` of 'cut' leads to 'works', and no function is called that"),
    ("type: keys", "type: key", 6, "'type' is 'key', and must be pass or normal or keys"),
    ("type: keys", "type: pass", 12, "is to run for each item of 'parts', and no function before it has an output"),
    ("parts: {type: key,", "parts: {type: pass,", 9, "is to run for each item of a list, and has no input of type"),
    ("parameter: parts}", "parameter: part}", 12, "is to run for each item of 'part', and no function before it"),
    ("function: cut, parameter: body", "function: cat, parameter: body", 13, "made by 'cat', which no function is"),
    ("function: cut, parameter: body", "function: join, parameter: body", 13, "'join', which does not run before it"),
    ("runtime: 0.1", "runtime: soon", 4, "'runtime' is 'soon', and must be a number that is not negative"),
    ("runtime: 0.1", "runtime: -1", 4, "'runtime' is -1, and must be a number that is not negative"),
    ("runtime: 0.1", "runtime: .inf", 4, "must be a number that is not negative"),
    ("type: foreach", "type: forall", 8, "'type' is 'forall', and must be pass or parallel or foreach or switch"),
    ("    - default\n", "", 19, "has 1 conditions for 2 nodes"),
    ('ROOT.body == "x"', "ROOT.nobody", 20, "names 'nobody', which nothing before it puts"),
    ('ROOT.body == "x"', "__import__('os').system('true')", 20, "has \"__import__('os').system('true')\""),
    ('ROOT.body == "x"', "ROOT.body ==", 20, "is no expression"),
    ("source: join\n", "source: join\n  next: {type: pass, nodes: [cut]}\n", 8, "there is a cycle: cut → work → "),
    ("source: join\n", "source: nowhere\n", 24, "has no file: there is none of nowhere/main.py, nowhere.py,"),
    ("source: join\n", "source: broken\n", 23, "broken.py:2: "),
    ("source: join\n", "source: mainless\n", 23, "has no function `main()`"),
    ("type: pass, nodes: [virtual1]", "type: pass, conditions: [default], nodes: [virtual1]", 14, "and is no switch"),
    ("function: join, parameter: sum", "function: jon, parameter: sum", 28, "is made by 'jon', which no function is"),
    ("- name: join", "- nam: join", 23, "has no key 'nam'; did you mean 'name'?"),
    ("source: join\n", "source: join\n  weftrun: {retry: 2}\n", 25, "has no key 'retry'; did you mean 'retries'?"),
    ("source: join\n", "source: join\n  weftrun: {timeout_s: -2}\n", 25, "`timeout_s=-2` is not a positive number"),
    ("  output:\n", "  output: 3\n  x:\n", 5, "'output' must be a mapping"),
    ("functions:\n", "functions: {}\nrest:\n", 1, "'functions' must be a list"),
    ("  source: cut\n", "  source: cut\n  source: cut\n", 4, "found duplicate key"),
    ("functions:\n", "functions: [\n", 2, "expected the node content"),
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the functions of the file."""
    for name in ("cut", "work", "join"):
        (tmp_path / f"{name}.py").write_text("def main():\n    pass\n")
    (tmp_path / "mainless.py").write_text("x = 1\n")
    (tmp_path / "broken.py").write_text("x = 1\ndef main(:\n")
    return tmp_path


def test_the_good_file_is_read(folder: Path) -> None:
    file = folder / "flow.yaml"
    file.write_text(GOOD)
    plan, warnings = read_plan(file)
    assert warnings == []
    assert [node.name for node in plan.nodes] == ["cut", "work", "virtual1", "join", "END"]
    assert plan.nodes[1].call.foreach == ("parts",)
    assert plan.results == {"result": ("join", "sum")}


@pytest.mark.parametrize(("before", "after", "line", "told"), CASES, ids=[case[3][-40:] for case in CASES])
def test_what_is_wrong_is_told_with_its_line(folder: Path, before: str, after: str, line: int, told: str) -> None:
    file = folder / "flow.yaml"
    assert before in GOOD
    file.write_text(GOOD.replace(before, after, 1))
    with pytest.raises(UsageError) as caught:
        read_plan(file)
    problems = str(caught.value).splitlines()
    assert any(problem.startswith(f"{file}:{line}: ") and told in problem for problem in problems), problems


@pytest.mark.parametrize("text", ["", "a", "- a", "[]", "3", "\x00", "a: &a [*a]", "? [1]\n: 2", "1: 2"])
def test_what_is_no_workflow_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "flow.yaml"
    file.write_text(text)
    with pytest.raises(UsageError, match=r"flow.yaml"):
        read_plan(file)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nothing.yaml can't be read: No such file"):
        read_plan(tmp_path / "nothing.yaml")


def test_inputs_from_outside_are_asked_for(folder: Path) -> None:
    file = folder / "flow.yaml"
    file.write_text(GOOD.replace("function: cut, parameter: body", "function: INPUT, parameter: text"))
    plan, _ = read_plan(file)
    assert plan.inputs == {"text": 400}
    with pytest.raises(UsageError, match=r"needs 1 input from outside: text=…"):
        given(plan, [])
    assert given(plan, [], "marker") == {}
    (folder / "text").write_bytes(b"\xff")
    assert given(plan, ["text=3"]) == {"text": 3}
    assert given(plan, ["text=words"]) == {"text": "words"}
    assert given(plan, [f"text=@{folder}/text"]) == {"text": b"\xff"}
    for word, told in (("text", "not name=value"), ("other=1", "no input 'other'"), ("text=@gone", "can't be read")):
        with pytest.raises(UsageError, match=told):
            given(plan, [word])
