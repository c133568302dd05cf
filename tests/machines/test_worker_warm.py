"""Sandboxes that wait: kept as declared, made ahead, ended when they hold too much; and bugs planted there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.machines.warm_world import MIB, WarmWorld

from weftrun.machines.worker import WorkerMachine, warm
from weftrun.machines.worker.pools import Pool
from weftrun.machines.worker.state import Box, WorkerState
from weftrun.model.commands import Invoke
from weftrun.model.ids import StepId
from weftrun.model.limits import Limits
from weftrun.model.messages import Invocation
from weftrun.model.policy import FunctionSpec
from weftrun.model.values import Inline, Tree
from weftrun.model.warm import Warm
from weftrun.model.work import KillSandbox, StartSandbox

IDLE_S = 20.0
CALLED = FunctionSpec("m:f1", "f1", effects="none")
OTHER = FunctionSpec("m:f2", "f2", effects="none")


def history(seed: int) -> WarmWorld:
    """Play a history in which some are kept warm, and look at those after a quiet time."""
    world = WarmWorld(seed, (30 * MIB, 12 * MIB, 0)[seed % 3], 1 + seed % 3)
    world.keep(1, 2)
    world.play()
    world.stands_still()
    if world.bytes_max == 30 * MIB:
        assert world.there(1) >= 2, "what is to be kept warm is not there"
    world.keep(1, 0)
    world.stands_still()
    assert not any(map(world.is_free, world.guests.values())), "what nobody wants is kept"
    return world


def histories(count: int) -> list[WarmWorld]:
    return [history(seed) for seed in range(count)]


def test_random_histories_hold_the_budget_and_lose_nothing() -> None:
    worlds = histories(6)
    assert sum(world.evictions for world in worlds) > 50
    assert all(world.peak == world.sandboxes_max for world in worlds)


def nobody_is_ended_for_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm, "evict", lambda _state, _now: None)


def the_newest_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Greedy-dual is left out."""
    monkeypatch.setattr(warm, "worth", lambda _state, box: -box.id)


def the_clock_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was used often a long time ago is worth as much as ever."""
    worth = warm.worth

    def unaged(state: WorkerState, box: Box) -> float:
        return worth(state, box) - box.used_clock

    monkeypatch.setattr(warm, "worth", unaged)


def sandboxes_that_wait_let_more_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm, "is_full", lambda _state: False)


def what_is_kept_ends_when_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm, "may_end", lambda _state, _box, _now: True)
    monkeypatch.setattr(warm, "_AGAIN_S", 1e9)
    monkeypatch.setattr(warm, "lacking", lambda _state, _now: [])


def a_busy_one_is_taken_for_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm, "waiting", lambda state: state.boxes.values())


PLANTS: list[tuple[Callable[[pytest.MonkeyPatch], None], str]] = [
    (nobody_is_ended_for_memory, "hold more than they may"),
    (the_newest_is_ended, "worth more than another"),
    (the_clock_stands_still, "worth more than another"),
    (sandboxes_that_wait_let_more_run, "more Sandboxes run Functions than may"),
    (what_is_kept_ends_when_idle, "is to be kept warm is not there"),
    (a_busy_one_is_taken_for_free, "a Sandbox is ended that does not wait"),
]


@pytest.mark.parametrize(("plant", "says"), PLANTS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_planted_bug_is_found(
    plant: Callable[[pytest.MonkeyPatch], None], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    with pytest.raises(AssertionError, match=says):
        histories(60)


# ---------------------------------------------------------------------- case by case


def machine_of(rules: Warm, sandboxes_max: int = 2) -> WorkerMachine:
    return WorkerMachine(Limits(sandbox_idle_s=IDLE_S), sandboxes_max, rules=rules)


def started(machine: WorkerMachine) -> list[tuple[int, str]]:
    return [(c.profile, c.why) for c in machine.take_commands() if isinstance(c, StartSandbox)]


def test_what_is_kept_is_made_at_once_within_the_number_of_sandboxes() -> None:
    machine = machine_of(Warm())
    machine.keep_warm(100.0, 1, CALLED, 5)
    machine.tick(100.0, {})
    assert started(machine) == [(1, "kept"), (1, "kept")]


def test_the_largest_number_that_is_asked_for_counts() -> None:
    machine = machine_of(Warm(), sandboxes_max=9)
    machine.keep_warm(100.0, 1, CALLED, 2)
    machine.keep_warm(100.0, 1, FunctionSpec("m:other", "other"), 3)
    machine.tick(100.0, {})
    assert len(started(machine)) == 3


def test_of_what_nobody_has_measured_one_is_made_and_then_as_many_as_fit() -> None:
    machine = machine_of(Warm(bytes_max=25 * MIB))
    machine.keep_warm(100.0, 1, CALLED, 5)
    machine.tick(100.0, {})
    assert started(machine) == [(1, "kept")]
    machine.ready(100.1, 1)
    machine.measured(dict.fromkeys(machine.unmeasured(), 10 * MIB))
    machine.tick(101.0, {})
    assert started(machine) == [(1, "kept")]  # a third would be more than 25 MiB


def test_one_that_can_not_be_made_is_not_tried_again_at_once() -> None:
    machine = machine_of(Warm())
    machine.keep_warm(100.0, 1, CALLED, 1)
    machine.tick(100.0, {})
    assert started(machine) == [(1, "kept")]
    machine.gone(100.1, 1, "its code could not be imported", (0, -1, False, 0.0), "")
    machine.tick(101.0, {})
    assert started(machine) == []
    machine.tick(105.2, {})
    assert started(machine) == [(1, "kept")]


def test_pauses_that_are_alike_say_when_the_next_call_comes() -> None:
    pool = Pool(cost_s=1.0)
    for call in range(6):
        pool.came(1_000.0 + 100.0 * call, IDLE_S)
    assert pool.window(IDLE_S) == pytest.approx((1_500 + 90 - 1, 1_500 + 110))
    pool.came(1_525.0, IDLE_S)  # much sooner: now a Sandbox would wait for most of a pause
    assert pool.window(IDLE_S) is None


def test_short_pauses_say_nothing_since_keep_alive_bridges_them() -> None:
    pool = Pool()
    for call in range(20):
        pool.came(1_000.0 + 5 * call, IDLE_S)
    assert not pool.pauses and pool.window(IDLE_S) is None


def test_a_sandbox_is_made_shortly_before_a_call_and_ended_when_none_comes() -> None:
    world = WarmWorld(0, bytes_max=None)
    for _ in range(6):
        world.waits[1].append(world.steps + 1)
        world.steps += 1
        world.machine.state.warm.pool(1, for_bodies=False).came(world.now, IDLE_S)
        world.waits[1].pop()
        last = world.now
        world.now += 100.0
    world.now = last + 85.0
    world.tick_at = world.now
    world.passes(0.1)
    assert not world.guests
    world.now = last + 91.0
    world.tick_at = world.now
    world.passes(0.1)
    assert len(world.guests) == 1
    world.stands_still(60.0)
    assert not world.guests
    counts = world.machine.warm_counts
    assert counts.made == {"ahead": 1} and counts.ended == {"idle": 1}


def test_a_sandbox_that_waits_gives_room_to_other_code_unless_memory_bounds_it() -> None:
    for rules, ended in ((Warm(is_measured=True), 1), (Warm(bytes_max=100 * MIB), 0)):
        world = WarmWorld(0, sandboxes_max=1)
        world.machine = machine_of(rules, sandboxes_max=1)
        world.machine.state.names[1] = ("run-1", "0" * 32)  # type: ignore[assignment]
        world.keep(1, 1)
        world.stands_still(3.0)
        world.keep(1, 0)
        world.machine.work(world.now, 1, Invoke(OTHER, (Invocation(0, 2, StepId("s-2"), 1, Tree(Inline(b""))),)), 2)
        world.machine.place(world.now)
        commands = world.machine.take_commands()
        assert sum(isinstance(command, KillSandbox) for command in commands) == ended
        assert sum(isinstance(command, StartSandbox) for command in commands) == 1
