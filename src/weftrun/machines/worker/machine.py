"""The machine of a Worker: queues, Batches and Sandboxes of one host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from weftrun.machines.retry import must_know
from weftrun.machines.worker import bodies, pressure, turns, warm
from weftrun.machines.worker.outcomes import (
    fail_lane,
    give_back,
    item_outcomes_came,
    outcomes_came,
    put_came,
    steps_in,
)
from weftrun.machines.worker.place import free_places, in_places, make_ahead, place, prepare, start_box
from weftrun.machines.worker.state import (
    Box,
    BoxState,
    Entered,
    Given,
    Items,
    Lane,
    Names,
    Running,
    Seen,
    WorkerState,
)
from weftrun.machines.worker.turns import REVOKED_S
from weftrun.model.commands import Deliver, EnterBody, Invoke, InvokeItems, LeaveBody, Revoke, WorkCommand
from weftrun.model.ids import SandboxId, item_step
from weftrun.model.limits import Limits
from weftrun.model.messages import BodyCalled, BodyEnded, FromSandbox, Invocation, ItemOutcomes, Outcomes, Put
from weftrun.model.outcomes import Failure, Reason
from weftrun.model.policy import FunctionSpec
from weftrun.model.strategy import ADAPTIVE, Strategy
from weftrun.model.warm import UNRULED, Warm, WarmCounts
from weftrun.model.work import BatchHolds, InSlot, KillSandbox, WorkerCommand

_STARTS_MAX = 3
"""Starts of a profile that may fail in a row before all that waits for it fails."""
_SLEPT_S = 1.0
"""A tick that is later than this finds that its engine stood still: what Sandboxes said meanwhile is not heard yet."""

_FORK_GRACE_S = 1.0
"""A Sandbox ends a fork whose time is over by itself; where it has not after so much more, in seconds, it is ended."""


class WorkerMachine:
    """Decides which Sandbox does what. Its commands are taken with `take_commands` after each event.

    Profiles are numbers that the runtime gives to what a Sandbox is made for; this machine only compares them.
    """

    def __init__(
        self, limits: Limits, sandboxes_max: int, first_sandbox: int = 0, strategy: Strategy = ADAPTIVE,
        rules: Warm = UNRULED,
    ) -> None:  # fmt: skip
        self.state = WorkerState(limits, sandboxes_max, strategy, rules)
        self.state.last_box = first_sandbox

    def take_commands(self) -> list[WorkerCommand]:
        """Return what is to be done, in order, and forget it."""
        commands, self.state.commands = self.state.commands, []
        return commands

    @property
    def quiet(self) -> bool:
        """Whether no Sandbox has anything to do that would go on by itself."""
        for box in self.state.boxes.values():  # noqa: SIM110 - a generator would be a call for each Sandbox
            if box.given or box.turns:
                return False
        return True

    def run_opened(self, run: int, names: Names) -> None:
        """A Run may send work from now on."""
        self.state.names[run] = names

    def run_closed(self, run: int) -> None:
        """A Run is over: nothing of it waits or runs any more but what was revoked."""
        self.state.names.pop(run, None)

    def run_left(self, now: float, run: int) -> None:
        """A Run is given up before its end: what waits of it is dropped, what runs of it is revoked."""
        state = self.state
        steps = {i.step for lane in state.active for r, i in lane.singles if r == run}
        steps.update(work.asked.step for lane in state.active for work in lane.ranges if work.run == run)
        steps.update(step for box in state.boxes.values() for r, step, _ in steps_in(box) if r == run)
        self._revoke(now, run, frozenset(steps))
        for step in [held.step for held in state.bodies.values() if held.run == run]:
            bodies.leave(state, run, step, now)
        self.run_closed(run)

    def work(self, now: float, run: int, command: WorkCommand, profile: int) -> None:
        """Take a command of a Run's machine. `profile` is the number of what its Function needs, where it has one."""
        state = self.state
        if state.warm.rules.ahead and isinstance(command, Invoke | InvokeItems | EnterBody):
            warm.came(state, profile, now, for_bodies=type(command) is EnterBody)
        match command:
            case Invoke():
                lane = self._lane(profile, command.function)
                if lane.window_s:
                    self._window(lane, now)
                for invocation in command.invocations:
                    lane.singles.append((run, invocation))
                if lane.sliced:
                    state.slices.came(len(command.invocations), now)
            case InvokeItems():
                lane = self._lane(profile, command.function)
                work = Items(run, command, command.ranges)
                if lane.window_s:
                    self._window(lane, now)
                lane.ranges.append(work)
                lane.ranges_left += work.left
            case EnterBody():
                bodies.enter(state, run, profile, command, now)
            case Deliver():
                bodies.deliver(state, run, command, now)
            case LeaveBody():
                bodies.leave(state, run, command.step, now)
            case Revoke():
                self._revoke(now, run, frozenset(command.steps))
            case _:
                raise TypeError("what is armed is not for Sandboxes yet")

    def place(self, now: float) -> None:
        """Give what waits to Sandboxes. Asked once after a burst of events, not after each."""
        state = self.state
        state.barred = False
        if state.parked or state.held_up:
            bodies.place(state, now)
        if state.active:
            place(state, now)
        if state.warm.is_on:
            warm.evict(state, now)

    def prepare(self, now: float, run: int, command: Invoke, profile: int) -> bool:
        """Give a Sandbox what will be asked for when a commit has happened, if one is idle; `over` says what it did."""
        return prepare(self.state, run, command.invocations[0], self._lane_of(profile, command.function), now)

    def prepared_over(self, *, is_asked: bool) -> int:
        """Return the number of the prepared Batch, which is to be asked for next, or withdrawn."""
        prepared = self.state.prepared
        assert prepared is not None, "nothing is prepared"
        if not is_asked:
            self.state.prepared, self.state.withdrawn = None, prepared.box
            prepared.box.given.pop()
        return prepared.no

    def prepared_came(self, run: int, command: Invoke) -> None:
        """Take the command whose Invocation a Sandbox has already."""
        prepared, self.state.prepared = self.state.prepared, None
        asked = command.invocations[0]
        assert prepared is not None, "nothing is prepared"
        same = (run, asked.step, asked.attempt) == prepared[:3] and len(command.invocations) == 1
        assert same, f"{prepared} was prepared, and {asked} of Run {run} is asked for"

    def demand(self, function: str) -> tuple[int, int]:
        """Return how many places of a Function's limit are in use here, and how many Attempts wait for one."""
        waiting = sum(lane.waiting for lane in self.state.active if lane.function.name == function)
        return in_places(self.state, function), waiting

    def hold_places(self, function: str, count: int) -> None:
        """So many Attempts of a Function with a limit may run here at once; more that do so already go on."""
        self.state.places[function] = count

    def runs_waiting(self, function: str) -> set[int]:
        """Return the numbers of Runs of which Attempts wait for a place of a Function's limit."""
        found: set[int] = set()
        for lane in self.state.active:
            if lane.function.name == function and free_places(self.state, lane) <= 0:
                found.update(run for run, _ in lane.singles)
                found.update(work.run for work in lane.ranges)
        return found

    def refuse(self, now: float, profile: int, function: FunctionSpec, failure: Failure) -> None:
        """Fail all that waits of a Function: it can't be run here."""
        fail_lane(self.state, self._lane(profile, function), failure, now)

    def pressed(self, now: float, function: FunctionSpec, body_s: float, leaves_in_s: float) -> None:
        """A body of a Function, as it is run here, has made what other hosts wait for. See `pressure.hold`."""
        pressure.hold(self.state, function, now, body_s, leaves_in_s)

    def bar(self) -> None:
        """No body may be entered until something is placed again: the Lease is over."""
        self.state.barred = True

    # ------------------------------------------------------------------ Sandboxes that wait for work

    def keep_warm(self, now: float, profile: int, function: FunctionSpec, count: int) -> None:
        """Let so many Sandboxes be there for a Function, or for the body of a Workflow, also where nothing waits."""
        pool = self.state.warm.pool(profile, for_bodies=function.kind.is_workflow)
        if count:
            pool.kept[function.name] = count
        else:
            pool.kept.pop(function.name, None)
        self.state.look_by(now)

    def let_cool(self) -> None:
        """Make no Sandbox any more that nothing waits for."""
        self.state.warm.pools.clear()

    def unmeasured(self) -> list[SandboxId]:
        """Return the Sandboxes that wait and of which it is not known what they hold."""
        return warm.unmeasured(self.state)

    def measured(self, sizes: Mapping[SandboxId, int]) -> None:
        """Take what Sandboxes hold, in bytes."""
        warm.measured(self.state, sizes)

    @property
    def warm_counts(self) -> WarmCounts:
        """What there is to tell of Sandboxes that wait."""
        return warm.counts(self.state)

    def _lane(self, profile: int, function: FunctionSpec) -> Lane:
        lane = self._lane_of(profile, function)
        self.state.active[lane] = None
        return lane

    def _lane_of(self, profile: int, function: FunctionSpec) -> Lane:
        lane = self.state.lanes.get((profile, function))
        if lane is None:
            lane = self.state.lanes[profile, function] = Lane(function, profile, self.state.strategy)
        return lane

    def _window(self, lane: Lane, now: float) -> None:
        """Let what comes first wait for the end of this tick, as its Function says."""
        if not lane.waiting:
            lane.plan.clear()
            lane.opens_at = (now // lane.window_s + 1) * lane.window_s
            self.state.look_by(lane.opens_at)

    def ready(self, now: float, sandbox: SandboxId, took_s: float = 0.0) -> None:
        """A Sandbox takes work, `took_s` seconds after it was asked for."""
        box = self.state.boxes.get(sandbox)
        if box is None or box.state is not BoxState.STARTING:
            return  # killed, for it had not started in time
        box.state = BoxState.READY
        box.idle_since = now
        self.state.look_by(now + self.state.limits.sandbox_idle_s)  # may be sooner than what its start was given
        self.state.failed_starts.pop(box.profile, None)
        if self.state.warm.is_on:
            warm.started(self.state, box, took_s)
        if box.for_bodies and not self.state.barred:
            bodies.unpark(self.state, box, now)

    def spoke(self, now: float, sandbox: SandboxId, messages: Sequence[FromSandbox]) -> None:
        """A Sandbox told of outcomes or of bodies."""
        state = self.state
        box = state.boxes.get(sandbox)
        if box is None:
            return
        for message in messages:
            if type(message) is Outcomes:
                if state.withdrawn is box and not message.outcomes:
                    state.withdrawn = None
                can_be = outcomes_came(state, box, message, now)
            elif type(message) is ItemOutcomes:
                can_be = item_outcomes_came(state, box, message, now)
            elif type(message) is Put:
                can_be = put_came(state, box, message, now)
            else:
                can_be = True
            if not can_be:
                self._kill(box)
                return
            if type(message) is BodyCalled:
                bodies.called(state, box, message, now)
            elif type(message) is BodyEnded:
                bodies.ended(state, box, message, now)

    def gone(
        self, now: float, sandbox: SandboxId, why: str, running: Running, text: str, where: str = "",
        slots: tuple[InSlot, ...] = (),
    ) -> None:  # fmt: skip
        """A Sandbox ended: what it ran has failed, what it had not entered goes back to the queue.

        `where` is the author's line that it was at, if it was asked; `slots` is what it was in at once.
        """
        state = self.state
        box = state.boxes.pop(sandbox, None)
        if box is None:
            return
        if state.withdrawn is box:
            state.withdrawn = None
        if box.state is BoxState.STARTING or box.late:
            late = (
                f"it did not start within sandbox_start_s={state.limits.sandbox_start_s:g}: "
                "does the import of its module come to an end?"
            )
            warm.failed(state, box, now)
            self._start_failed(box, late if box.late else why, now)
            return
        if state.warm.pools:
            warm.gone(state, box, now)
        if not box.for_bodies and (box.given or box.state is BoxState.READY):
            state.ended[box.profile] = "lost"
        give_back(state, box, why, Seen(running, text, slots), now)
        bodies.lose(state, box, why, running, text, where, now)

    def _start_failed(self, box: Box, why: str, now: float) -> None:
        state = self.state
        count = state.failed_starts[box.profile] = state.failed_starts.get(box.profile, 0) + 1
        if count < _STARTS_MAX:
            if box.for_bodies and turns.usable(state, box.profile)[1]:
                start_box(state, box.profile, now, for_bodies=True)
            return
        state.failed_starts.pop(box.profile)
        failure = Failure(Reason.UNLOADABLE, "SandboxRefused", f"no Sandbox can be made: {why}")
        bodies.fail_parked(state, box.profile, failure, now)
        for lane in [lane for lane in state.active if lane.profile == box.profile]:
            fail_lane(state, lane, failure, now)

    def _revoke(self, now: float, run: int, steps: frozenset[int]) -> None:
        """Drop what waits of these Steps; what runs of them is killed unless it ends by itself very soon."""
        state = self.state
        for lane in list(state.active):
            if any(r == run and i.step in steps for r, i in lane.singles):
                kept = [(r, i) for r, i in lane.singles if r != run or i.step not in steps]
                lane.singles.clear()
                lane.singles.extend(kept)
            if any(work.run == run and work.asked.step in steps for work in lane.ranges):
                works = [work for work in lane.ranges if work.run != run or work.asked.step not in steps]
                lane.ranges.clear()
                lane.ranges.extend(works)
                lane.ranges_left = sum(work.left for work in works)
            if not lane.waiting:
                del state.active[lane]
        for box in state.boxes.values():
            hit = {given for given in steps_in(box) if given[0] == run and given[1] in steps}
            if hit:
                box.revoked_at = box.revoked_at if box.revoked else now
                box.revoked |= hit
                state.look_by(now + REVOKED_S)

    def holds(self, sandbox: SandboxId, no: int) -> BatchHolds:
        """Return what is in a Batch that a Sandbox was just given."""
        given = next(given for given in reversed(self.state.boxes[sandbox].given) if given.no == no)
        known = must_know(given.lane.function)
        if given.items is not None:
            asked = given.items.asked
            return BatchHolds((), (given.items.run, asked.step, asked.attempt), tuple(given.open_items), known)
        singles = tuple([(run, i.step, i.attempt, i.undoes) for run, i in filter(None, given.singles)])
        return BatchHolds(singles, None, (), known)

    def invocation_at(self, sandbox: SandboxId, no: int, index: int) -> tuple[int, Invocation] | None:
        """Return the Run's number and the Invocation at a place of a Batch that a Sandbox has not reported yet."""
        box = self.state.boxes.get(sandbox)
        for given in box.given if box is not None else ():
            if given.no == no and 0 <= index < len(given.singles):
                return given.singles[index]
        return None

    def busy_since(self, at: float) -> list[SandboxId]:
        """Return the Sandboxes that may be in a body since before `at`: what they were given first is older."""
        return [
            box.id
            for box in self.state.boxes.values()
            if box.state is BoxState.READY and (box.turns if box.for_bodies else box.given and box.given[0].at <= at)
        ]

    def attempt_at(self, sandbox: SandboxId, no: int, index: int) -> Entered | None:
        """Return what a Sandbox is in by its page: a place of a Batch, or the body of a Workflow by its number."""
        box = self.state.boxes.get(sandbox)
        if box is None:
            return None
        if box.for_bodies:
            held = self.state.bodies.get(no)
            return Entered(held.run, held.start.id, held.attempt) if held is not None and held.box is box else None
        given = next((given for given in box.given if given.no == no), None)
        if given is None:
            return None
        if given.items is not None:
            return Entered(given.items.run, item_step(given.items.asked.id, index), given.items.asked.attempt)
        entry = given.singles[index] if 0 <= index < len(given.singles) else None
        return Entered(entry[0], entry[1].id, entry[1].attempt) if entry is not None else None

    def overstayed(self, sandbox: SandboxId, no: int, index: int, failure: Failure) -> None:
        """End a Sandbox for the body at a place of a Batch, which fails so, if it is in it still."""
        box = self.state.boxes.get(sandbox)
        if box is not None and box.state is BoxState.READY:
            box.doom = (failure, no, index)
            box.overdue = {(no, index): failure}
            self._kill(box)

    def watched_sandboxes(self) -> list[SandboxId]:
        """Return the Sandboxes whose page `tick` wants to see: those that may have to be ended for what they run."""
        return [
            box.id
            for box in self.state.boxes.values()
            if box.state is BoxState.READY
            and (
                box.turns > 0 or box.left_at > 0
                if box.for_bodies
                else box.given and (box.revoked or _timeout_s(box.given[0]) is not None)
            )
        ]

    def tick(
        self, now: float, pages: Mapping[SandboxId, Running], starved_s: Mapping[SandboxId, float] | None = None,
        slots: Mapping[SandboxId, tuple[InSlot, ...]] | None = None,
    ) -> None:  # fmt: skip
        """Let time pass: end what ran too long, what was revoked, and what has been idle for long.

        `starved_s` says how long each of the Sandboxes has waited for a processor in all, `slots` what those are in
        that run several at once.
        """
        state = self.state
        slept = 0.0 < state.tick_at < now - _SLEPT_S
        state.tick_at = 0.0
        for box in list(state.boxes.values()):
            if box.state is BoxState.STARTING and slept:
                box.idle_since = now
            if box.state is BoxState.STARTING and now >= box.idle_since + state.limits.sandbox_start_s:
                box.late = True
                self._kill(box)
            elif box.state is BoxState.READY and box.id in pages and box.for_bodies:
                turns.look(state, box, pages[box.id], (starved_s or {}).get(box.id, 0.0), now)
            elif box.state is BoxState.READY and box.id in pages:
                if box.given and box.given[0].lane.shares:
                    self._check_slots(box, (slots or {}).get(box.id, ()), now)
                else:
                    self._check_running(box, pages[box.id], now)
            elif box.is_free and now >= box.idle_since + state.limits.sandbox_idle_s and warm.may_end(state, box, now):
                warm.end(state, box, "idle")
        warm.evict(state, now)
        if state.warm.pools:
            make_ahead(state, now)
        looks = [_due(state, box, now) for box in state.boxes.values()]
        looks += [lane.opens_at for lane in state.active if lane.opens_at > now]
        looks += warm.looks(state, now)
        if looks:
            state.look_by(min(looks))

    def _check_running(self, box: Box, running: Running, now: float) -> None:
        """End a Sandbox for what it runs now. What runs in front of something revoked is not ended for that."""
        batch, index, entered, entered_at = running
        given = box.given[0]
        runs = entered and given.no == batch
        timeout_s = _timeout_s(given)
        failure: Failure | None = None
        if (
            box.revoked
            and now >= box.revoked_at + REVOKED_S
            and (steps_in(box) <= box.revoked or (runs and _step_at(given, index) in box.revoked))
        ):
            failure = Failure(Reason.CANCELLED, "RunCancelled", "its Run was cancelled or has failed")
        elif runs and timeout_s is not None and now >= entered_at + timeout_s:
            message = f"{given.lane.function.label} ran longer than timeout_s={timeout_s:g}"
            failure = Failure(Reason.TIMEOUT, "TimeoutError", message)
        if failure is not None:
            box.doom = (failure, batch, index)
            self._kill(box)

    def _check_slots(self, box: Box, slots: tuple[InSlot, ...], now: float) -> None:
        """End a Sandbox for what it runs at once: for all that ran too long, or where nobody wants what is left.

        What was revoked is not ended while something else is in there: its outcome is nobody's, and it holds nobody up.
        """
        timeout_s = _timeout_s(box.given[0])
        told_s = box.given[0].lane.function.timeout_s
        label = box.given[0].lane.function.label
        if box.revoked and now >= box.revoked_at + REVOKED_S and steps_in(box) <= box.revoked:
            failure = Failure(Reason.CANCELLED, "RunCancelled", "its Run was cancelled or has failed")
            box.overdue = {(slot.batch, slot.index): failure for slot in slots}
        elif timeout_s is not None:
            failure = Failure(Reason.TIMEOUT, "TimeoutError", f"{label} ran longer than timeout_s={told_s:g}")
            late = [slot for slot in slots if now >= slot.entered_at + timeout_s]
            box.overdue = {(slot.batch, slot.index): failure for slot in late}
        else:
            return
        if box.overdue or steps_in(box) <= box.revoked:
            box.doom = (failure, 0, -1)
            self._kill(box)

    def _kill(self, box: Box) -> None:
        box.state = BoxState.DOOMED
        self.state.commands.append(KillSandbox(box.id))


def _step_at(given: Given, index: int) -> tuple[int, int, int] | None:
    """Return the (Run, Step, Attempt) at `index` of a Batch; None where a page says what can't be."""
    if given.items is not None:
        return given.items.run, given.items.asked.step, given.items.asked.attempt
    entry = given.singles[index] if 0 <= index < len(given.singles) else None
    return (entry[0], entry[1].step, entry[1].attempt) if entry is not None else None


def _timeout_s(given: Given) -> float | None:
    """Return after how long a Sandbox is ended for an Attempt: one in a fork is ended by its Sandbox, if that lives."""
    function = given.lane.function
    forks = function.sharing is not None and function.sharing.how == "processes"
    return function.timeout_s + _FORK_GRACE_S if function.timeout_s is not None and forks else function.timeout_s


def _due(state: WorkerState, box: Box, now: float) -> float:
    """Return when a Sandbox should be looked at next."""
    limits = state.limits
    if box.state is BoxState.STARTING:
        return box.idle_since + limits.sandbox_start_s
    turn_due = turns.due(state, box, now) if box.state is BoxState.READY else None
    if turn_due is not None:
        return turn_due
    if box.is_free:
        ends_at = box.idle_since + limits.sandbox_idle_s
        return ends_at if ends_at > now else now + limits.sandbox_idle_s  # it is to be there all the same
    due = now + limits.sandbox_idle_s
    if box.state is BoxState.READY:
        for given in box.given:
            timeout_s = _timeout_s(given)
            if timeout_s is not None:
                due = min(due, max(given.at + timeout_s, now + min(timeout_s, 1.0) / 4))
        if box.revoked:
            due = min(due, max(box.revoked_at, now) + REVOKED_S)
    return due
