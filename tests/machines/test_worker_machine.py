"""The machine of a Worker against a naive book: any order of work, outcomes, deaths, revocations and time."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from tests.machines.worker_guests import FUNCTIONS, RAISED, VALUE, Entered
from tests.machines.worker_world import World

from weftrun.machines.worker import pressure
from weftrun.machines.worker.state import WorkerState
from weftrun.model.messages import BodyCalled, BodyEnded
from weftrun.model.outcomes import Ran
from weftrun.model.policy import FunctionSpec
from weftrun.model.values import Payload

seconds = st.sampled_from((0.0, 0.0001, 0.0001, 0.02, 0.5, 3.0))


class WorkerAgainstBook(RuleBasedStateMachine):
    """Each rule is something that happens to a Worker; what it does about it is checked by `World`."""

    @initialize(
        sandboxes_max=st.integers(1, 3),
        functions=st.lists(st.sampled_from(FUNCTIONS), min_size=1, max_size=3, unique=True),
        parts=st.sampled_from(("functions", "functions", "bodies", "both")),
        is_quick=st.booleans(),
    )
    def start(self, sandboxes_max: int, functions: list[FunctionSpec], parts: str, is_quick: bool) -> None:
        """Not all of it at once, in one example: so each part is looked at for longer."""
        self.world = World(sandboxes_max)
        self.functions = functions
        self.lasts_max = 0.0001 if is_quick else 3.0
        self.has_bodies = parts != "functions"
        self.has_functions = parts != "bodies"
        for _ in range(4):
            self.world.open_run()

    def then(self) -> None:
        self.world.pump()
        self.world.check()

    def has_several_runs(self) -> bool:
        return len(self.world.runs) > 1

    def draw_run(self, data: st.DataObject) -> int:
        return data.draw(st.sampled_from(sorted(self.world.runs)))

    def boxes(self, *, for_bodies: bool | None = None, ready: bool | None = None) -> list[int]:
        return [
            box
            for box, guest in self.world.guests.items()
            if for_bodies in (None, guest.for_bodies) and ready in (None, guest.ready)
        ]

    # ------------------------------------------------------------------ work

    @precondition(lambda self: self.has_functions)
    @rule(data=st.data(), count=st.sampled_from((1, 2, 9, 60)))
    def invocations_arrive(self, data: st.DataObject, count: int) -> None:
        self.world.invoke(self.draw_run(data), data.draw(st.sampled_from(self.functions)), count)
        self.then()

    @precondition(lambda self: self.has_functions)
    @rule(data=st.data(), cuts=st.sets(st.integers(0, 40), min_size=2, max_size=4))
    def items_arrive(self, data: st.DataObject, cuts: set[int]) -> None:
        ordered = sorted(cuts)
        ranges = tuple(zip(ordered[::2], ordered[1::2], strict=False))
        self.world.invoke_items(self.draw_run(data), data.draw(st.sampled_from(self.functions)), ranges)
        self.then()

    @precondition(lambda self: self.world.placed)
    @rule(data=st.data(), body_s=seconds, leaves_in_s=st.sampled_from((0.0, 0.001, 0.3, 2.0, 60.0)))
    def values_leave_slowly(self, data: st.DataObject, body_s: float, leaves_in_s: float) -> None:
        box = data.draw(st.sampled_from(sorted(self.world.placed.values())))
        self.world.press(self.world.guests[box].sent[0].function, body_s, leaves_in_s)
        self.then()

    @precondition(lambda self: self.has_bodies)
    @rule(data=st.data())
    def a_body_arrives(self, data: st.DataObject) -> None:
        self.world.enter_body(self.draw_run(data))
        self.then()

    @precondition(lambda self: self.world.waiting or self.world.placed)
    @rule(data=st.data())
    def steps_are_revoked(self, data: st.DataObject) -> None:
        run, step, _, _ = data.draw(st.sampled_from(sorted({*self.world.waiting, *self.world.placed})))
        self.world.revoke(run, {step})
        self.then()

    @precondition(lambda self: self.world.entered())
    @rule(data=st.data())
    def what_runs_is_revoked(self, data: st.DataObject) -> None:
        run, step, _, _ = data.draw(st.sampled_from(self.world.entered()))
        self.world.revoke(run, {step})
        self.then()

    @precondition(lambda self: self.has_several_runs())
    @rule(data=st.data())
    def a_run_is_given_up(self, data: st.DataObject) -> None:
        run = self.draw_run(data)
        self.world.give_up(run)
        self.then()

    @precondition(lambda self: self.has_several_runs())
    @rule(data=st.data())
    def a_run_ends(self, data: st.DataObject) -> None:
        run = self.draw_run(data)
        self.world.revoke(run, self.world.open_steps(run))
        for body in [b for b in (*self.world.parked, *self.world.bodies.values()) if b.run == run]:
            self.world.leave_body(body)
        self.world.runs.discard(run)
        self.world.machine.run_closed(run)
        self.then()

    # ------------------------------------------------------------------ Sandboxes

    @precondition(lambda self: self.boxes(ready=False))
    @rule(data=st.data())
    def a_sandbox_is_ready(self, data: st.DataObject) -> None:
        self.world.starts(data.draw(st.sampled_from(self.boxes(ready=False))))
        self.then()

    @precondition(lambda self: self.boxes(ready=False))
    @rule()
    def all_sandboxes_are_ready(self) -> None:
        for box in self.boxes(ready=False):
            self.world.starts(box)
        self.then()

    @precondition(lambda self: self.boxes(ready=False))
    @rule(data=st.data(), times=st.integers(1, 4))
    def sandboxes_do_not_start(self, data: st.DataObject, times: int) -> None:
        for _ in range(times):
            if boxes := self.boxes(ready=False):
                self.world.ends(data.draw(st.sampled_from(boxes)), "its code could not be imported")
                self.then()

    @precondition(lambda self: self.boxes(ready=True))
    @rule(data=st.data())
    def a_sandbox_dies(self, data: st.DataObject) -> None:
        busy = [box for box, guest in self.world.guests.items() if guest.sent]
        self.world.ends(data.draw(st.sampled_from(busy or self.boxes(ready=True))), "signal 11 (SIGSEGV)")
        self.then()

    @precondition(lambda self: any(g.sent for g in self.world.guests.values()))
    @rule(
        data=st.data(), steps=st.sampled_from((1, 1, 2, 5, 30)), lasts=seconds, fails=st.booleans(), tells=st.booleans()
    )
    def a_batch_goes_on(self, data: st.DataObject, steps: int, lasts: float, fails: bool, tells: bool) -> None:
        box = data.draw(st.sampled_from([box for box, g in self.world.guests.items() if g.sent]))
        for _ in range(steps):
            if self.world.guests[box].sent:
                self.world.goes_on(box, min(lasts, self.lasts_max), fails, tells)
        self.then()

    @rule(lasts=st.sampled_from((0.001, 0.06, 1.5, 70.0)))
    def time_goes_on(self, lasts: float) -> None:
        self.world.time_goes_on(lasts)
        self.then()

    @precondition(lambda self: self.world.entered())
    @rule()
    def what_runs_takes_long(self) -> None:
        self.world.time_goes_on(1.5)
        self.then()

    @precondition(lambda self: self.world.tick_at)
    @rule()
    def the_time_asked_for_comes(self) -> None:
        self.world.time_goes_on(max(0.0, self.world.tick_at - self.world.now))
        self.then()

    @precondition(lambda self: any(g.killed for g in self.world.guests.values()))
    @rule(data=st.data(), steps=st.integers(0, 3))
    def a_killed_sandbox_ends(self, data: st.DataObject, steps: int) -> None:
        """It may get a little further before the signal reaches it."""
        box = data.draw(st.sampled_from([box for box, g in self.world.guests.items() if g.killed]))
        for _ in range(steps):
            if self.world.guests[box].sent:
                self.world.goes_on(box, 0.0001, False, True)
        self.world.ends(box, "killed by us")
        self.then()

    # ------------------------------------------------------------------ bodies

    def says(self, number: int, message: BodyCalled | BodyEnded) -> None:
        box = self.world.bodies[number].box
        assert box is not None
        self.world.body_speaks(box, message)

    @precondition(lambda self: self.world.in_turn())
    @rule()
    def a_turn_takes_long(self) -> None:
        """Somebody looks all the while."""
        for _ in range(8):
            self.world.time_goes_on(max(0.0, self.world.tick_at - self.world.now))
            self.then()

    @precondition(lambda self: self.world.in_turn())
    @rule(data=st.data(), nests=st.booleans())
    def a_body_awaits(self, data: st.DataObject, nests: bool) -> None:
        number = data.draw(st.sampled_from(self.world.in_turn()))
        body = self.world.bodies[number]
        self.says(number, BodyCalled(number, (), (), (), ()))
        self.says(number, BodyCalled(number, (), (), (), (0,)))
        body.turn = False
        if nests:
            child = self.world.enter_body(body.run)
            body.child = (child.run, child.step)
        else:
            (body.child,) = self.world.invoke(body.run, FUNCTIONS[0], 1)
        self.then()

    @precondition(lambda self: self.world.in_turn())
    @rule(data=st.data(), fails=st.booleans())
    def a_body_ends(self, data: st.DataObject, fails: bool) -> None:
        self.end_body(data.draw(st.sampled_from(self.world.in_turn())), fails)
        self.then()

    def end_body(self, number: int, fails: bool) -> None:
        answer, failure = (None, RAISED) if fails else (Payload(VALUE), None)
        ran = Ran(1, self.world.now, self.world.now)
        self.says(number, BodyEnded(number, answer, failure, ran, "text" if fails else ""))

    @precondition(lambda self: self.world.bodies or self.world.parked)
    @rule(data=st.data())
    def a_body_is_left(self, data: st.DataObject) -> None:
        bodies: list[Entered] = [*self.world.parked, *self.world.bodies.values()]
        self.world.leave_body(bodies[data.draw(st.integers(0, len(bodies) - 1))])
        self.then()

    @precondition(lambda self: self.world.strays())
    @rule()
    def a_body_that_was_left_speaks(self) -> None:
        self.world.stray_speaks()
        self.then()

    # ------------------------------------------------------------------ the end

    def teardown(self) -> None:
        """Let everything go well from here on: all that was accepted must be answered, and nothing may be left."""
        if not hasattr(self, "world"):
            return
        world = self.world
        for _ in range(5_000):
            if not self.goes_well():
                break
            self.then()
        assert not (world.waiting or world.placed), "work was accepted and is never answered"
        self.let_sandboxes_go()
        for run in world.runs:
            world.machine.run_closed(run)
        state = world.machine.state
        left = (state.boxes, state.active, state.bodies, state.by_step, state.parked, state.names)
        assert not any(left), f"something stays behind: {left}"
        assert all(not lane.singles and not lane.ranges and not lane.waiting for lane in state.lanes.values())

    def goes_well(self) -> bool:
        """Let one thing go on that can; say whether there was any."""
        world = self.world
        killed = [box for box, guest in world.guests.items() if guest.killed]
        busy = [box for box, guest in world.guests.items() if guest.sent]
        orphans = [body for body in world.bodies.values() if not body.turn and body.child is None]
        if killed:
            world.ends(killed[0], "killed by us")
        elif starting := self.boxes(ready=False):
            world.starts(starting[0])
        elif busy:
            world.goes_on(busy[0], 0.0, False, True)
        elif any(world.held.get(function, 0.0) > world.now for function in world.waiting.values()):
            world.time_goes_on(max(0.0, world.tick_at - world.now))
        elif world.strays():
            world.stray_speaks()
        elif numbers := self.world.in_turn():
            self.end_body(numbers[0], False)
        elif orphans:
            world.leave_body(orphans[0])
        elif world.bodies:
            # Every child has ended: a body whose child was revoked is left, as its Run would.
            gone = [b for b in world.bodies.values() if b.child[:2] in world.revoked or self.is_left(b.child)]
            assert gone, "bodies wait for one another, and nothing goes on"
            world.leave_body(gone[0])
        else:
            return False
        return True

    def is_left(self, child: tuple[int, ...]) -> bool:
        return len(child) == 2 and child not in {
            (b.run, b.step) for b in (*self.world.parked, *self.world.bodies.values())
        }

    def let_sandboxes_go(self) -> None:
        world = self.world
        assert world.machine.quiet
        for _ in range(20):
            world.time_goes_on(max(0.0, world.tick_at - world.now))
            for box in [box for box, guest in world.guests.items() if guest.killed]:
                world.ends(box, "killed by us")
            world.pump()
        assert not world.guests, "idle Sandboxes are not ended"


class TestWorkerMachine(WorkerAgainstBook.TestCase):
    settings = settings(max_examples=50, stateful_step_count=60)


def nobody_looks(patch: pytest.MonkeyPatch) -> None:
    """What is held waits for something else to happen."""
    patch.setattr(pressure, "is_held", lambda _state, lane, now: lane.held_until > now)


def the_link_is_believed(patch: pytest.MonkeyPatch) -> None:
    """A Function waits for as long as the link seems to need, which may be for ever."""
    hold = pressure.hold

    def without_bound(state: WorkerState, function: FunctionSpec, now: float, body_s: float, leaves_s: float) -> None:
        hold(state, function, now, body_s, leaves_s)
        if leaves_s > state.limits.transfer_hold_s:
            next(lane for lane in state.lanes.values() if lane.function is function).held_until = now + leaves_s

    patch.setattr(pressure, "hold", without_bound)


def all_are_held(patch: pytest.MonkeyPatch) -> None:
    """Other Functions wait for the link, too."""
    hold = pressure.hold

    def for_all(state: WorkerState, _: FunctionSpec, now: float, body_s: float, leaves_in_s: float) -> None:
        for lane in state.lanes.values():
            hold(state, lane.function, now, body_s, leaves_in_s)

    patch.setattr(pressure, "hold", for_all)


@pytest.mark.parametrize(
    ("planted", "says"),
    [
        (nobody_looks, "nobody will look at a Function that is held"),
        (the_link_is_believed, "nobody will look at a Function that is held"),
        (all_are_held, "wait though a Sandbox is free|work waits and nothing is under way"),
    ],
)
@pytest.mark.sweep
def test_a_planted_bug_of_pressure_is_found(
    planted: Callable[[pytest.MonkeyPatch], None], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted(monkeypatch)
    with pytest.raises(AssertionError, match=says):
        run_state_machine_as_test(
            WorkerAgainstBook,
            settings=settings(
                max_examples=400, stateful_step_count=40, phases=[Phase.generate], database=None, derandomize=True
            ),
        )


@pytest.mark.sweep
class TestWorkerMachineForLong(WorkerAgainstBook.TestCase):
    settings = settings(max_examples=2_000, stateful_step_count=60)
