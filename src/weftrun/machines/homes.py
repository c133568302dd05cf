"""Which Worker executes what: each Invocation has one home, which alone enters it (W3).

The owner of a Run sends work to its home when it is ready (`control="master"`), or arms it there ahead of time where
all that it waits for is at home there too (`control="worker"`). Where a graph is known before it runs, its homes are
planned together (`machines.placement`); else work goes to the Worker with the least to do. What a Worker was given and
has not reported has failed as lost when the Worker is gone.
"""

from __future__ import annotations

from collections import deque

from msgspec import Struct
from msgspec.structs import replace

from weftrun.machines.placement import Planner
from weftrun.machines.ranges import Ranges, count, take, without
from weftrun.model.commands import (
    Arm,
    Armed,
    Deliver,
    EnterBody,
    Invoke,
    InvokeItems,
    LeaveBody,
    Outline,
    Revoke,
    WorkCommand,
)
from weftrun.model.events import AttemptsEnded, ItemsEnded
from weftrun.model.ids import WorkerId
from weftrun.model.messages import Invocation
from weftrun.model.outcomes import Failure, Outcome, Ran, Reason
from weftrun.model.values import size_of
from weftrun.model.work import WorkEvent

ENGINE = WorkerId(0)
"""The Worker in the engine's own process, where Workflows' bodies run (W8)."""

_AHEAD = 4
"""Steps for each place that a Worker may have armed beyond its share."""

Attempt = tuple[int, int, int]
"""Index of the Step, number of the Attempt, and the Attempt that it undoes (0 for none)."""


class Assigned(Struct, frozen=True, gc=False):
    """Work for one Worker."""

    worker: WorkerId
    run: int
    command: WorkCommand


class _Load:
    """A Worker: how many Functions it runs at once, and how many Invocations and items it has."""

    __slots__ = ("capacity", "given")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.given = 0


class _Given:
    """What Workers were given of one Run and have not reported: Invocations, and items by map and Attempt.

    Attributes:
        planned: homes that were planned with the whole graph, by Step.
        workflow, labels: whose plan that is, and the labels of its Steps.
        chosen: homes that were chosen before the Invocation came, by Step, until it has succeeded.
        pending: Steps with such a home that count as given, and of which the Invocation has not come.
        armed: those of them that are armed, with what they take: where all that has succeeded at their home, they have
            started by themselves.
        succeeded: where Steps succeeded that armed ones take.
        sent: Steps of which an Invocation is out: what it gives may be there before anything else is armed for it.
    """

    __slots__ = (
        "armed", "chosen", "items", "labels", "pending", "planned", "sent", "singles", "succeeded", "workflow",
    )  # fmt: skip

    def __init__(self) -> None:
        self.planned: dict[int, WorkerId] = {}
        self.workflow = ("", "")
        self.labels: dict[int, str] = {}
        self.chosen: dict[int, WorkerId] = {}
        self.pending: set[int] = set()
        self.armed: dict[int, frozenset[int]] = {}
        self.succeeded: dict[int, WorkerId | None] = {}
        self.sent: set[int] = set()
        self.singles: dict[Attempt, WorkerId] = {}
        self.items: dict[tuple[int, int], dict[WorkerId, Ranges]] = {}


class HomesMachine:
    """Divides the work of Runs among the Workers of one engine.

    Args:
        planner: plans the homes of Steps whose graph is known.
    """

    def __init__(self, planner: Planner | None = None) -> None:
        self.planner = planner or Planner()
        self._workers: dict[WorkerId, _Load] = {}
        self._runs: dict[int, _Given] = {}
        self._waiting: deque[tuple[int, Invoke | InvokeItems]] = deque()

    # ------------------------------------------------------------------ Workers

    def joined(self, worker: WorkerId, capacity: int) -> list[Assigned]:
        """A Worker is there, which runs `capacity` Functions at once; return what has waited for one."""
        self._workers[worker] = _Load(capacity)
        waiting, self._waiting = self._waiting, deque()
        return [assigned for run, command in waiting for assigned in self.assign(run, command)]

    def left(self, worker: WorkerId, why: str, now: float) -> list[tuple[int, WorkEvent]]:
        """A Worker is gone; return what has failed with it, by Run."""
        self._workers.pop(worker, None)
        failure = Failure(Reason.LOST, "WorkerLost", f"Worker {worker} is gone: {why}")
        events: list[tuple[int, WorkEvent]] = []
        for run, given in self._runs.items():
            lost = [attempt for attempt, home in given.singles.items() if home == worker]
            for attempt in lost:
                del given.singles[attempt]
                given.sent.discard(attempt[0])
            for step in [step for step, home in given.planned.items() if home == worker]:
                del given.planned[step]
            for step in [step for step, home in given.chosen.items() if home == worker]:
                del given.chosen[step]
                given.pending.discard(step)
                given.armed.pop(step, None)
            if lost:
                ran = Ran(0, now, now)
                ended = tuple(Outcome(step, no, None, failure, ran, undoes) for step, no, undoes in lost)
                events.append((run, AttemptsEnded(now, ended)))
            for (step, attempt_no), homes in list(given.items.items()):
                failures = tuple((i, failure) for lo, hi in homes.pop(worker, ()) for i in range(lo, hi))
                if failures:
                    events.append((run, ItemsEnded(now, step, attempt_no, (), failures, Ran(0, now, now))))
                if not homes:
                    del given.items[step, attempt_no]
        return events

    # ------------------------------------------------------------------ work

    def assign(self, run: int, command: WorkCommand) -> list[Assigned]:
        """Return who does what of a command; what nobody can do now waits for a Worker."""
        match command:
            case EnterBody() | Deliver() | LeaveBody():
                return [Assigned(ENGINE, run, command)]
            case Revoke():
                return self._revoke(run, command)
            case Arm():
                return self._arm(run, command)
            case Outline():
                self._plan(run, command)
                return []
            case _ if not self._workers:
                self._waiting.append((run, command))
                return []
            case Invoke():
                return self._invoke(run, command)
            case _:
                return self._invoke_items(run, command)

    def _given_of(self, run: int) -> _Given:
        given = self._runs.get(run)
        if given is None:
            given = self._runs[run] = _Given()
        return given

    def _plan(self, run: int, command: Outline) -> None:
        """Plan the homes of a graph; the Workers with the least to do come first."""
        given = self._given_of(run)
        given.workflow = command.workflow
        given.labels.update((step.step, step.label) for step in command.steps)
        there = sorted(self._workers.items(), key=lambda each: (each[1].given / each[1].capacity, each[0]))
        given.planned.update(self.planner.homes(command, [(worker, load.capacity) for worker, load in there]))

    def _home(self, given: _Given, invocation: Invocation) -> WorkerId:
        """Return the home of an Invocation: the one that was chosen, or planned, or the Worker with the least to do."""
        home = given.chosen.get(invocation.step) or given.planned.get(invocation.step)
        if home is None and self.planner.policy == "hash":
            home = self.planner.home_of(invocation.id, list(self._workers))
        return home or self._least_loaded()

    def _invoke(self, run: int, command: Invoke) -> list[Assigned]:
        given = self._given_of(run)
        shares: dict[WorkerId, list[Invocation]] = {}
        for invocation in command.invocations:
            step = invocation.step
            home = self._home(given, invocation)
            given.singles[step, invocation.attempt, invocation.undoes] = home
            given.sent.add(step)
            if step not in given.pending:
                self._workers[home].given += 1
            given.pending.discard(step)
            takes = given.armed.pop(step, None)
            if not takes or any(given.succeeded.get(taken) != home for taken in takes):
                shares.setdefault(home, []).append(invocation)
        return [Assigned(home, run, Invoke(command.function, tuple(share))) for home, share in shares.items()]

    def _arm(self, run: int, command: Arm) -> list[Assigned]:
        """Arm Steps where all that they wait for runs, too."""
        if not self._workers:
            return []
        given = self._given_of(run)
        shares: dict[WorkerId, list[Armed]] = {}
        for armed in command.armed:
            takes = frozenset(taken.step for taken in armed.takes)
            home = self._arming_home(given, armed.invocation.step, takes)
            if home is None:
                continue
            for step in (*(takes - given.chosen.keys()), armed.invocation.step):
                given.chosen[step] = home
                given.pending.add(step)
                self._workers[home].given += 1
            given.armed[armed.invocation.step] = takes
            given.succeeded.update(dict.fromkeys(takes))
            shares.setdefault(home, []).append(armed)
        return [Assigned(home, run, Arm(command.function, tuple(share))) for home, share in shares.items()]

    def _arming_home(self, given: _Given, step: int, takes: frozenset[int]) -> WorkerId | None:
        """Return where a Step is to be armed: where it is planned, if all that it takes is at home there.

        Where nothing is planned, it is the Worker that runs all that it waits for, unless that has more than its share
        already. What a Step takes that was sent may have ended, so that nothing would set it off.
        """
        if takes & given.sent:
            return None
        homes = {given.chosen.get(taken) or given.planned.get(taken) for taken in takes}
        home = given.planned.get(step)
        if home is not None:
            return home if homes == {home} else None
        homes.discard(None)
        if self.planner.policy == "hash" or len(homes) > 1:
            return None
        home = homes.pop() if homes else self._least_loaded()
        return home if home is not None and self._has_room(home) else None

    def _has_room(self, home: WorkerId) -> bool:
        """Say whether a Worker has no more than its share of all that was given: a fan-out must spread."""
        given = sum(load.given for load in self._workers.values())
        places = sum(load.capacity for load in self._workers.values())
        load = self._workers[home]
        return load.given <= load.capacity * (given / places + _AHEAD)

    def _invoke_items(self, run: int, command: InvokeItems) -> list[Assigned]:
        """Cut the items of a chunk into a share for each Worker, by how many Functions it runs at once."""
        homes = self._given_of(run).items.setdefault((command.step, command.attempt), {})
        left: deque[tuple[int, int]] = deque(command.ranges)
        items, places = sum(hi - lo for lo, hi in left), sum(load.capacity for load in self._workers.values())
        assigned = []
        for worker, load in sorted(self._workers.items(), key=lambda each: each[1].given / each[1].capacity):
            share = take(left, -(-items * load.capacity // places))
            if share:
                load.given += sum(hi - lo for lo, hi in share)
                homes.setdefault(worker, []).extend(share)
                assigned.append(Assigned(worker, run, replace(command, ranges=tuple(share))))
        return assigned

    def _least_loaded(self) -> WorkerId:
        return min(self._workers, key=lambda worker: self._workers[worker].given / self._workers[worker].capacity)

    def _revoke(self, run: int, command: Revoke) -> list[Assigned]:
        """Tell each Worker that has something of these Steps; nobody waits for an answer."""
        steps = set(command.steps)
        self._waiting = deque(kept for each in self._waiting if (kept := _without(each, run, steps)) is not None)
        given = self._runs.get(run)
        if given is None:
            return []
        homes: set[WorkerId] = set()
        for step in given.pending & steps:
            given.pending.discard(step)
            given.armed.pop(step, None)
            homes.add(self._return(given.chosen.pop(step), 1))
        for attempt in [attempt for attempt in given.singles if attempt[0] in steps]:
            given.chosen.pop(attempt[0], None)
            given.sent.discard(attempt[0])
            homes.add(self._return(given.singles.pop(attempt), 1))
        for key in [key for key in given.items if key[0] in steps]:
            for worker, ranges in given.items.pop(key).items():
                homes.add(self._return(worker, sum(hi - lo for lo, hi in ranges)))
        return [Assigned(home, run, command) for home in sorted(homes)]

    def _return(self, worker: WorkerId, count: int) -> WorkerId:
        if worker in self._workers:
            self._workers[worker].given -= count
        return worker

    def ended(self, worker: WorkerId, run: int, event: WorkEvent) -> None:
        """Something became of what a Worker was given."""
        given = self._runs.get(run)
        if given is None:
            return
        if isinstance(event, AttemptsEnded):
            for ended in event.ended:
                key = (ended.step, ended.attempt, ended.undoes)
                if given.singles.get(key) == worker:
                    del given.singles[key]
                    given.sent.discard(ended.step)
                    if ended.failure is None and not ended.undoes:
                        given.chosen.pop(ended.step, None)
                        self._saw(given, ended)
                        if ended.step in given.succeeded:
                            given.succeeded[ended.step] = worker
                    self._return(worker, 1)
        elif isinstance(event, ItemsEnded):
            homes = given.items.get((event.step, event.attempt), {})
            if worker in homes:
                told = [(lo, hi) for lo, hi, _ in event.values] + [(i, i + 1) for i, _ in event.failures]
                before = homes[worker]
                homes[worker] = without(before, told)
                self._return(worker, count(before) - count(homes[worker]))
                if not homes[worker]:
                    del homes[worker]

    def _saw(self, given: _Given, ended: Outcome) -> None:
        """Let the planner know what a Step of a planned graph has taken."""
        label = given.labels.get(ended.step)
        if label is not None and ended.value is not None and ended.ran.left_at:
            runtime_s = max(0.0, ended.ran.left_at - ended.ran.entered_at)
            self.planner.saw(given.workflow, label, runtime_s, size_of(ended.value))

    def run_closed(self, run: int) -> set[WorkerId]:
        """A Run is over, or given up; return the Workers that had something of it, which nobody waits for."""
        self._waiting = deque(each for each in self._waiting if each[0] != run)
        given = self._runs.pop(run, None)
        if given is None:
            return set()
        busy = [*given.singles.values(), *(given.chosen[step] for step in given.pending)]
        for worker in busy:
            self._return(worker, 1)
        for homes in given.items.values():
            for worker, ranges in homes.items():
                busy.append(self._return(worker, count(ranges)))
        return set(busy)


def _without(
    waiting: tuple[int, Invoke | InvokeItems], run: int, steps: set[int]
) -> tuple[int, Invoke | InvokeItems] | None:
    """Return waiting work less that of some Steps of a Run, or None where nothing is left."""
    owner, command = waiting
    if owner != run:
        return waiting
    if isinstance(command, InvokeItems):
        return None if command.step in steps else waiting
    kept = tuple(invocation for invocation in command.invocations if invocation.step not in steps)
    return (owner, Invoke(command.function, kept)) if kept else None
