"""Plans are kept while what they rest on stays about the same, and made anew when it has changed."""

from __future__ import annotations

import pytest
from tests.machines.test_homes import outline

from weftrun.machines.placement import Planner, planner
from weftrun.model.ids import WorkerId
from weftrun.model.placement import Expected, Placement

WORKERS = [(WorkerId(1), 2), (WorkerId(2), 2)]
FLOW = ("m:flow", "flow")
GRAPH = outline((1, ()), (2, (1,)), (3, (1,)), (4, (1,)), (5, (2, 3, 4)))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Plans that were made."""
    plans: list[object] = []
    make = planner.make_plan

    def counted(*args):
        plans.append(args)
        return make(*args)

    monkeypatch.setattr(planner, "make_plan", counted)
    return plans


def test_a_plan_is_made_once_for_the_same_graph(made: list[object]) -> None:
    policy = Planner()
    first = policy.homes(GRAPH, WORKERS)
    assert set(first) == {1, 2, 3, 4, 5}
    assert policy.homes(GRAPH, WORKERS) == first
    assert len(made) == 1


def test_what_is_about_the_same_makes_no_other_plan(made: list[object]) -> None:
    policy = Planner()
    policy.expect(FLOW, {"quiet2": Expected(1.0, 1e6)})
    policy.homes(GRAPH, WORKERS)
    policy.saw(FLOW, "quiet2", 1.2, 1_100_000)
    policy.homes(GRAPH, WORKERS)
    assert len(made) == 1
    policy.saw(FLOW, "quiet2", 9.0, 1_100_000)
    policy.homes(GRAPH, WORKERS)
    assert len(made) == 2


def test_the_last_runs_count_most() -> None:
    policy = Planner()
    for _ in range(30):
        policy.saw(FLOW, "quiet2", 4.0, 10)
    assert policy.expected(FLOW)["quiet2"].runtime_s == pytest.approx(4.0, rel=0.01)


def test_what_was_measured_goes_before_what_a_file_says() -> None:
    policy = Planner()
    policy.expect(FLOW, {"quiet2": Expected(4.0, 10.0)})
    policy.expect(FLOW, {"quiet2": Expected(1.0, 99.0, containers=3, memory_share=0.25)})
    assert policy.expected(FLOW)["quiet2"] == Expected(4.0, 10.0, containers=3, memory_share=0.25)


def test_two_workflows_of_one_function_are_told_apart() -> None:
    policy = Planner()
    policy.saw(("m:flow", "one"), "quiet2", 4.0, 10)
    assert policy.expected(("m:flow", "other")) == {}


def test_a_graph_that_is_too_large_is_placed_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planner, "_STEPS_MAX", 4)
    assert Planner().homes(GRAPH, WORKERS) == {}


@pytest.mark.parametrize("policy", ["planned", "faasflow", "hash"])
def test_without_a_worker_nothing_is_planned(policy: Placement) -> None:
    assert Planner(policy).homes(GRAPH, []) == {}
