"""`weftrun plan`: where Steps would run, in three forms; nothing is run, and bad input is told in a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.conftest import Cli

from weftrun.machines.placement.plan import make_plan
from weftrun.model.ids import StepId
from weftrun.model.placement import Expected, Grouping, Network, PlanStep, PlanWorker
from weftrun.views.came import Transfer
from weftrun.views.plan import Links, links_of, plan_lines, plan_view

APP = """\
import weftrun

@weftrun.function(effects="none")
def cut(n: int) -> list[int]:
    raise AssertionError("nothing is run")

@weftrun.function(effects="none")
def work(part: list[int], n: int) -> int:
    raise AssertionError("nothing is run")

@weftrun.function(effects="none")
def join(parts: list[int]) -> int:
    raise AssertionError("nothing is run")

@weftrun.workflow
def flow(n: int = 3) -> int:
    part = cut(n)
    return join([work(part, i) for i in range(n)])

@weftrun.workflow
def mapped(n: int = 3) -> int:
    return join(work.map([[i] for i in range(n)], n=n))

@weftrun.workflow
def broken(n: int) -> int:
    raise ValueError("no " + str(n))

@weftrun.workflow
async def watching(n: int) -> int:
    return await cut.step(n)
"""
YAML = """\
functions:
- {name: first, runtime: 1.0, output: {big: {type: normal, size: 50000000}}, next: {nodes: [a, b]}}
- {name: a, runtime: 2.0, input: {big: {type: pass, value: {function: first, parameter: big}, size: 50000000}}}
- {name: b, runtime: 2.0, input: {big: {type: pass, value: {function: first, parameter: big}, size: 50000000}}}
"""


@pytest.fixture
def app(tmp_path: Path) -> str:
    (tmp_path / "app.py").write_text(APP)
    return "app.py"


@pytest.fixture
def flow_yaml(tmp_path: Path) -> str:
    (tmp_path / "flow.yaml").write_text(YAML)
    for name in ("first", "a", "b"):
        (tmp_path / f"{name}.py").write_text("def main():\n    store.put({}, {})\n")
    return "flow.yaml"


def test_a_plan_of_a_def_workflow(cli: Cli, app: str) -> None:
    said = cli("plan", f"{app}:flow", "n=2", "--cluster", "local:2", "--sandboxes", "2", "--json")
    assert (said.code, said.err) == (0, "")
    plan = json.loads(said.out)
    assert [step["name"] for step in plan["steps"]] == ["cut[0]", "work[0]", "work[1]", "join[0]"]
    assert {step["known_by"] for step in plan["steps"]} == {"default"}
    assert plan["steps"][3]["takes"] == ["work[0]", "work[1]"]
    assert {step["worker"] for step in plan["steps"]} == {1}
    assert plan["critical_path"] == ["cut[0]", "work[0]", "join[0]"] or plan["critical_path"][-1] == "join[0]"
    assert (plan["moved_bytes"], plan["length_s"]) == (0, pytest.approx(0.3))


def test_a_map_is_spread(cli: Cli, app: str) -> None:
    plan = json.loads(cli("plan", f"{app}:mapped", "--json").out)
    assert [(step["name"], step["worker"]) for step in plan["steps"]] == [("work[0]", None), ("join[0]", 1)]


def test_a_file_says_what_it_expects(cli: Cli, flow_yaml: str) -> None:
    """50 MB over 5 MB/s are not worth a place."""
    words = ("plan", flow_yaml, "--cluster", "local:2", "--sandboxes", "1")
    slow = cli(*words, "--bandwidth", "5")
    assert (slow.code, slow.err) == (0, "")
    assert "3 Steps as the file says" in slow.out
    assert "critical path: 5 s" in slow.out
    assert "links: 5 MB/s, as --bandwidth says" in slow.out
    assert "0 B of 95.4 MiB that Steps read of each other" in slow.out
    assert "2 values and 95.4 MiB stay, most of it what first gives to 2 Steps" in slow.out
    assert "links: 100 MB/s, taken as that, since no Run tells" in cli(*words).out
    fast = cli(*words, "--bandwidth", "500")
    assert "critical path: 3.1 s" in fast.out
    assert "first to Worker 2, for 1 reader: 47.7 MiB" in fast.out


def test_each_placement_is_told(cli: Cli, flow_yaml: str) -> None:
    for placement in ("planned", "hash", "faasflow"):
        plan = json.loads(cli("plan", flow_yaml, "--placement", placement, "--json").out)
        assert plan["placement"] == placement
        assert sum(len(group["steps"]) for group in plan["groups"]) == 3


def test_as_mermaid(cli: Cli, flow_yaml: str) -> None:
    chart = cli("plan", flow_yaml, "--mermaid").out.splitlines()
    assert chart[0] == "flowchart LR"
    assert '  subgraph w1["Worker 1"]' in chart
    assert '    s0["first"]' in chart
    assert sum(line.startswith("  s0 ") and "==>" in line for line in chart) == 1


def test_an_earlier_run_counts_more(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP.replace('raise AssertionError("nothing is run")', "return [1]"))
    assert cli("run", "app.py:flow", "--id", "one", "n=2").code == 0
    told = cli("plan", "app.py:flow", "n=2")
    assert "4 Steps as Run one took" in told.out


def test_the_plan_of_a_file_knows_earlier_runs(cli: Cli, flow_yaml: str) -> None:
    assert cli("run", flow_yaml, "--id", "one").code == 0
    assert "3 Steps as Run one took" in cli("plan", flow_yaml).out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("app.py:watching", "n=1"), "watching is an `async def` workflow, which looks at values: it has no graph"),
        (("app.py:cut", "n=1"), "cut is a Function: it has no graph before it runs"),
        (("app.py:broken", "n=1"), "The body of broken failed, so there is no graph: ValueError: no 1"),
        (("app.py:flow", "m=1"), "flow has no parameter 'm'"),
        (("app.py:flow", "--cluster", "ray"), "--cluster ray can't be planned for: it takes local:N, N Workers."),
        (("app.py:flow", "--json", "--mermaid"), "--json and --mermaid exclude each other."),
        (("app.py:flow", "--bandwidth", "0"), "is not in the range"),
        (("none.yaml",), "none.yaml"),
        (("flow.yaml", "n=1"), "n=1: the plan of a file needs no inputs."),
    ],
)
def test_bad_input_is_told_in_a_sentence(cli: Cli, app: str, flow_yaml: str, words: tuple[str, ...], says: str) -> None:
    said = cli("plan", *words)
    assert (said.code, said.out) == (2, "")
    assert says in said.err
    assert "Traceback" not in said.err


def test_links_are_told_by_what_crossed_them() -> None:
    came = [Transfer(StepId("cut[0]"), 2, 1, 10_000_000, 5.0, 5.0 + seconds) for seconds in (0.5, 1.0)]
    speed = links_of([*came, Transfer(StepId("cut[0]"), 2, 0, 10_000_000, 5.0, 9.0)])
    links = Links(Network(speed.bytes_s), "run", speed.values)
    steps = [PlanStep("cut[0]", Expected())]
    plan = make_plan("planned", steps, [PlanWorker(1)], links.network, Grouping())
    view = plan_view("flow", plan, steps, ["run"], workers=1, places=1, run="first", links=links)
    assert "links: 20 MB/s, as 2 values of Run first crossed" in list(plan_lines(view))
