"""Plans of any graph: sound, the same each time, never worse than the simple ones, and quick."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from random import Random
from types import FrameType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.machines import test_placement_faasflow as faasflow

from weftrun.machines.placement import make_plan
from weftrun.machines.placement.timetable import StepTimes, in_order, ranks
from weftrun.model.placement import Expected, Grouping, Network, Placement, PlacementPlan, PlanStep, PlanWorker

MB = 1e6
LINK = Network(50 * MB, 0.001)
POLICIES: tuple[Placement, ...] = ("planned", "faasflow", "hash")


def step(name: str, *takes: tuple[int, float], runtime_s: float = 1.0, nbytes: float = 0.0) -> PlanStep:
    return PlanStep(name, Expected(runtime_s, nbytes), takes)


def plan(steps: list[PlanStep], *places: int, policy: Placement = "planned", network: Network = LINK) -> PlacementPlan:
    return make_plan(policy, steps, [PlanWorker(each) for each in places], network, Grouping())


@st.composite
def graphs(draw: st.DrawFn) -> list[PlanStep]:
    steps: list[PlanStep] = []
    for n in range(draw(st.integers(0, 25))):
        nbytes = draw(st.sampled_from((0.0, 1.0, 5 * MB, 80 * MB)))
        takes = draw(st.lists(st.integers(0, n - 1), max_size=4, unique=True)) if n else []
        edges = tuple((each, steps[each].expected.output_bytes) for each in takes)
        expected = Expected(draw(st.sampled_from((0.0, 0.1, 1.0))), nbytes, draw(st.integers(0, 3)), 0.25)
        steps.append(PlanStep(f"step[{n}]", expected, edges, is_elsewhere=draw(st.integers(0, 9)) == 0))
    return steps


places_of = st.lists(st.integers(1, 4), min_size=1, max_size=4)


@given(graphs(), places_of, st.sampled_from(POLICIES))
@settings(max_examples=60)
def test_every_step_has_a_home_and_a_group(steps: list[PlanStep], places: list[int], policy: Placement) -> None:
    made = plan(steps, *places, policy=policy)
    assert len(made.homes) == len(steps)
    for each, home in zip(steps, made.homes, strict=True):
        assert home == -1 if each.is_elsewhere else 0 <= home < len(places)
    assert sorted(n for group in made.groups for n in group) == list(range(len(steps)))
    assert made.moved_bytes >= 0
    assert made == plan(steps, *places, policy=policy), "the same each time"


@given(graphs(), places_of)
@settings(max_examples=40)
def test_the_default_is_never_worse(steps: list[PlanStep], places: list[int]) -> None:
    """By its own model, which shares places and links: not than FaaSFlow's groups, nor than one Worker for all."""
    best = plan(steps, *places).length_s
    assert best <= plan(steps, *places, policy="faasflow").length_s + 1e-6
    assert best <= plan(steps, places[0]).length_s + 1e-6


@given(graphs(), places_of)
@settings(max_examples=40)
def test_no_path_is_shorter_than_its_steps(steps: list[PlanStep], places: list[int]) -> None:
    made = plan(steps, *places)
    longest: list[float] = []
    for each in steps:
        longest.append(each.expected.runtime_s + max((longest[n] for n, _ in each.takes), default=0.0))
    assert made.length_s >= max(longest, default=0.0) - 1e-9
    assert sum(steps[n].expected.runtime_s for n in made.path) <= made.length_s + 1e-9
    assert all(made.path[n] not in made.path[:n] for n in range(len(made.path)))


def test_a_chain_stays_on_one_worker() -> None:
    chain = [step(f"s{n}", *([(n - 1, MB)] if n else []), nbytes=MB) for n in range(20)]
    made = plan(chain, 2, 2, 2)
    assert len(set(made.homes)) == 1 and made.moved_bytes == 0
    assert made.groups == (tuple(range(20)),)
    assert made.path == tuple(range(20)) and made.length_s == pytest.approx(20.0)


def test_what_has_no_place_goes_elsewhere() -> None:
    """A fan-out of long Steps is worth its bytes."""
    steps = [step("cut", nbytes=MB), *(step(f"work{n}", (0, MB), runtime_s=5.0) for n in range(4))]
    homes = plan(steps, 2, 2).homes
    assert sorted(homes[1:].count(home) for home in (0, 1)) == [2, 2]


def test_a_link_that_is_slow_keeps_a_fan_out_together() -> None:
    steps = [step("cut", nbytes=500 * MB), *(step(f"work{n}", (0, 500 * MB), runtime_s=1.0) for n in range(4))]
    assert plan(steps, 2, 2).moved_bytes == 0


def test_a_value_crosses_once_for_all_its_readers() -> None:
    steps = [step("made", nbytes=10 * MB), *(step(f"read{n}", (0, 10 * MB)) for n in range(3))]
    table = StepTimes(steps, [PlanWorker(3), PlanWorker(3)], LINK)
    for n, home in enumerate((0, 1, 1, 1)):
        table.place(n, home)
    assert table.moved_bytes == 10 * MB


def test_values_that_cross_at_once_share_the_link() -> None:
    steps = [step("a", nbytes=50 * MB), step("b", nbytes=50 * MB), step("read", (0, 50 * MB), (1, 50 * MB))]
    table = StepTimes(steps, [PlanWorker(2), PlanWorker(1)], LINK)
    for n, home in enumerate((0, 0, 1)):
        table.place(n, home)
    assert table.length_s == pytest.approx(1.0 + 2.0 + LINK.hop_s + 1.0)


def test_a_worker_gets_no_more_than_its_memory_holds() -> None:
    steps = [step(f"make{n}", nbytes=60 * MB) for n in range(2)]
    steps.append(step("read", (0, 1.0), (1, 1.0)))
    made = make_plan("planned", steps, [PlanWorker(4, 100 * MB), PlanWorker(4, 100 * MB)], LINK, Grouping())
    assert made.homes[0] != made.homes[1]


def test_what_is_read_in_part_crosses_in_part() -> None:
    steps = [step("make", nbytes=100 * MB), step("read", (0, 1 * MB))]
    table = StepTimes(steps, [PlanWorker(1), PlanWorker(1)], LINK)
    table.place(0, 0)
    table.place(1, 1)
    assert table.moved_bytes == 1 * MB


@pytest.mark.parametrize("draw", faasflow.TABLE, ids=lambda draw: draw.__name__)
def test_the_default_is_better_than_groups_on_faasflows_workflows(draw) -> None:
    """With 7 Workers of 12 places each."""
    steps = draw()
    mine, theirs = (plan(steps, *[12] * 7, policy=policy) for policy in ("planned", "faasflow"))
    assert mine.length_s <= theirs.length_s
    assert mine.moved_bytes <= theirs.moved_bytes or mine.length_s < theirs.length_s


def large(count: int) -> list[PlanStep]:
    random = Random(1)
    return [
        PlanStep(
            f"step[{n}]",
            Expected(random.random(), random.random() * MB),
            tuple((random.randrange(max(0, n - 200), n), random.random() * MB) for _ in range(min(n, n % 4))),
        )
        for n in range(count)
    ]


def test_ten_times_the_steps_take_about_ten_times_the_calls() -> None:
    """What it does grows with the edges, not with their square; how long that takes is the benchmark's to say."""
    took = [calls_of(partial(plan, large(count), *[12] * 8)) for count in (500, 5_000)]
    assert took[1] < 15 * took[0]


def calls_of(work: Callable[[], object]) -> int:
    """Count the calls, of Python and of C, that it comes to."""
    count = 0

    def counted(_frame: FrameType, event: str, _arg: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(counted)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def test_those_first_from_which_it_is_longest_to_the_end() -> None:
    steps = [step("short", runtime_s=0.1), step("long", runtime_s=3.0), step("end", (0, 0.0), (1, 0.0))]
    assert in_order(ranks(steps, LINK)) == [1, 0, 2]


def test_what_is_read_together_is_placed_together() -> None:
    """Each reader takes what a merge made and what one Step made beside it, which is placed before the merge is."""
    steps: list[PlanStep] = []
    for half in range(2):
        parts = [len(steps) + n for n in range(5)]
        steps += [step(f"part{half}.{n}", nbytes=1.0) for n in range(5)]
        merge = len(steps)
        steps.append(step(f"merge{half}", *((part, 1.0) for part in parts), nbytes=1.0))
        steps.append(step(f"beside{half}", runtime_s=1.5, nbytes=1.0))
        steps += [step(f"read{half}.{n}", (merge, 1.0), (merge + 1, 1.0)) for n in range(6)]
    homes = plan(steps, 6, 6, 6).homes
    assert len({homes[n] for n in range(len(steps) // 2)}) == len({homes[n] for n in range(len(steps) // 2, 26)}) == 1
