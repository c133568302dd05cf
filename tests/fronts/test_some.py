"""Functions that need only some of those before them: they go on with what came first, and the rest may fail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fronts.flows import ran, write

import weftrun
from weftrun.fronts.faasflow.opening import read_plan
from weftrun.model.errors import UsageError

FUNCTIONS = {
    "many.py": "def main():\n    pass\n",
    "begin.py": 'def main():\n    store.put({"common": 1}, {})\n',
    "ask.py": """\
import time

def main():
    name = store.function_name
    if name == "never":
        raise OSError("it does not answer")
    if name == "late":
        time.sleep(120)
    store.put({"answer": name, "of_" + name: store.fetch(["common"])["common"]}, {})
""",
    "pick.py": """\
def main():
    found = {}
    for key in ("answer", "common", "of_near", "of_far", "of_late", "of_never"):
        try:
            found[key] = store.fetch([key])[key]
        except LookupError:
            pass
    store.put({"picked": found}, {})
""",
    "tell.py": 'def main():\n    store.put({"told": store.fetch(["picked", "common"])}, {})\n',
}
FLAT = """\
functions:
- {name: begin, output: {common: {type: normal, size: 8}}, next: {type: parallel, nodes: [near, never, late, far]}}
- {name: near, source: ask, next: {nodes: [pick]}}
- {name: never, source: ask, next: {nodes: [pick]}}
- {name: late, source: ask, next: {nodes: [pick]}}
- {name: far, source: ask, next: {nodes: [pick]}}
- name: pick
  weftrun: {needs: 2, retries: 1}
  next: {nodes: [tell]}
- {name: tell, output: {told: {type: normal, size: 8}}}
global_output:
  told: {type: pass, value: {function: tell, parameter: told}}
"""
SURE = "\n".join(line for line in FLAT.splitlines() if "{name: near" not in line and "{name: late" not in line)
SURE = SURE.replace("[near, never, late, far]", "[never, far]").replace("needs: 2", "needs: 1")
"""Only one of the two can be had."""
HIERARCHY = """\
name: root
type: pass
steps:
- {name: begin, type: function, source: begin, output: [common]}
- name: all
  type: parallel
  branches:
  - {name: near, type: function, source: ask}
  - {name: never, type: function, source: ask}
  - {name: late, type: function, source: ask}
  - {name: far, type: function, source: ask}
- {name: pick, type: function, source: pick, weftrun: {needs: 2}}
- {name: tell, type: function, source: tell}
outputMappings: [{target: told, source: LOCAL.told}]
"""
SWITCHED = """\
functions:
- {name: begin, output: {common: {type: normal, size: 8}}, next: {nodes: [virtual1]}}
- name: virtual1
  source: VIRTUAL
  next: {type: switch, conditions: [ROOT.common == %s, default], nodes: [virtual2, tell]}
- {name: virtual2, source: VIRTUAL, next: {nodes: [near, far]}}
- {name: near, source: ask, next: {nodes: [pick]}}
- {name: far, source: ask, next: {nodes: [pick]}}
- {name: pick, weftrun: {needs: 1}}
- {name: tell, source: begin}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("some"), FUNCTIONS)


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[weftrun.Engine]:
    with weftrun.open(f"sqlite:///{folder}/journal.db", sandboxes=4) as engine:
        yield engine


@pytest.mark.parametrize("text", [FLAT, HIERARCHY], ids=["flat", "hierarchical"])
def test_the_first_of_those_before_are_taken(engine: weftrun.Engine, folder: Path, text: str) -> None:
    """One fails and one is late: neither keeps the Run, and what they put is not there."""
    file = write(folder, {"flow.yaml": text}) / "flow.yaml"
    told = ran(engine, file)["told"]
    picked = told["picked"]
    assert told["common"] == 1
    assert picked.pop("answer") in ("near", "far")
    assert picked == {"common": 1, "of_near": 1, "of_far": 1}


@pytest.mark.parametrize(("common", "picks"), [(1, True), (2, False)])
def test_a_join_in_a_branch_runs_where_that_is_chosen(
    engine: weftrun.Engine, folder: Path, common: int, picks: bool
) -> None:
    file = write(folder, {"flow.yaml": SWITCHED % common}) / "flow.yaml"
    found = ran(engine, file)
    assert list(found) == (["pick.picked"] if picks else ["tell.common"])


MAPPED = """\
{name: begin, output: {common: {type: keys, size: 8}}, next: {type: foreach, nodes: [many]}}
- {name: many, input: {k: {type: key, value: {function: begin, parameter: common}}}, next: {nodes: [near,"""
WRONG = [
    (FLAT, "needs: 2", "needs: 5", 8, "'pick' needs 5 of those before it: there are 4."),
    (FLAT, "needs: 2", "needs: 0", 8, "'needs' is 0, and must be a whole number from 1 on."),
    (FLAT, "needs: 2", "needs: 1.5", 8, "'needs' is 1.5, and must be a whole number from 1 on."),
    (FLAT, "needs: 2", "needs: many", 8, "'needs' is 'many', and must be a number that is not negative."),
    (FLAT, "needs: 2", "need: 2", 8, "has no key 'need'; did you mean 'needs'?"),
    (FLAT, "{name: begin,", "{name: begin, weftrun: {needs: 1},", 2, "'begin' needs 1 of those before it: there"),
    (
        FLAT, "{name: tell,", "{name: tell, input: {a: {value: {function: near, parameter: answer}}},", 10,
        "input 'a' of 'tell' is made by 'near', which may not have ended by then: a join before it does not need it.",
    ),
    (
        FLAT, "{name: begin, output: {common: {type: normal, size: 8}}, next: {type: parallel, nodes: [near,",
        MAPPED, 9, "the file has a foreach, 'many', which can't be in one with that.",
    ),
    (SWITCHED % 1, "nodes: [near, far]", "nodes: [near]", 9, "a switch may leave out some of them, and not"),
    (HIERARCHY, "needs: 2", "needs: 5", 12, "'pick' needs 5 of those before it: there are 4."),
]  # fmt: skip


@pytest.mark.parametrize(("text", "before", "after", "line", "told"), WRONG)
def test_what_can_not_hold_is_told_with_its_line(
    folder: Path, text: str, before: str, after: str, line: int, told: str
) -> None:
    assert before in text
    file = write(folder, {"wrong.yaml": text.replace(before, after, 1)}) / "wrong.yaml"
    with pytest.raises(UsageError) as caught:
        read_plan(file)
    problems = str(caught.value).splitlines()
    assert any(problem.startswith(f"{file}:{line}: ") and told in problem for problem in problems), problems
