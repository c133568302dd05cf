"""Plans are kept while what they rest on stays about the same, and made anew when it has changed."""

from __future__ import annotations

import pytest
from tests.machines.test_homes import outline

from weftrun.machines.placement import Planner, planner
from weftrun.machines.placement.links import LinkSpeed
from weftrun.model.hosts import ENGINE
from weftrun.model.ids import WorkerId
from weftrun.model.placement import Expected, Placement
from weftrun.model.work import Came

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


def came(nbytes: int, began_at: float, at: float, source: WorkerId = WORKERS[0][0]) -> Came:
    return Came(1, 1, WORKERS[1][0], source, nbytes, began_at, at)


def test_links_that_are_slower_than_thought_make_another_plan(made: list[object]) -> None:
    """A value of 50 MB is worth its way at 100 MB/s, and not at 5."""
    policy = Planner()
    policy.expect(FLOW, {name: Expected(3.0, 5e7) for name in ("quiet1", "quiet2", "quiet3", "quiet4", "quiet5")})
    narrow = [(worker, 1) for worker, _ in WORKERS]
    assert len(set(policy.homes(GRAPH, narrow).values())) == 2
    policy.crossed(came(10_000_000, 0.0, 0.11))
    policy.homes(GRAPH, narrow)
    assert len(made) == 1, "about as fast as was thought"
    for n in range(40):
        policy.crossed(came(10_000_000, 10.0 * n, 10.0 * n + 2.0))
    assert len(set(policy.homes(GRAPH, narrow).values())) == 1
    assert len(made) == 2


def test_what_has_waited_for_its_link_does_not_make_it_slow() -> None:
    """Three values are asked for at once, and come one after the other."""
    speed = LinkSpeed()
    for n in range(1, 4):
        each = came(10_000_000, 0.0, 1.0 * n)
        speed.crossed(each.source, each.worker, each.nbytes, each.began_at, each.at)
    assert (speed.values, speed.bytes_s) == (3, pytest.approx(10_000_000))


def test_small_values_and_those_of_the_engine_tell_nothing_of_links() -> None:
    speed = LinkSpeed()
    speed.crossed(WorkerId(1), WorkerId(2), 1_000, 0.0, 1.0)
    speed.crossed(ENGINE, WorkerId(2), 10_000_000, 1.0, 2.0)
    assert (speed.values, speed.bytes_s) == (0, 0.0)
