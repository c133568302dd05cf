"""Which Worker executes what: each Invocation has one home, which alone enters it (W3).

The owner of a Run sends work to its home when it is ready (`control="master"`), or arms it there ahead of time
(`control="worker"`); Workers that have met hand one another what armed Steps take. Where a graph is known before it
runs, its homes are planned together (`machines.placement`); else work goes to the Worker with the least to do. When a
Worker is gone, what of its work a Sandbox had has failed as lost; all else goes to another Worker as it is (W9).

What an armed Step became is told to its Run only behind all that had set it off (W1): two Workers report over two
channels. If a Worker is gone before it has told of a value, all that may have been started on that is taken back.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from weftrun.machines.placement import Planner
from weftrun.machines.ranges import count, take
from weftrun.machines.shares import Invoked, Share, goes_on, is_known
from weftrun.model.commands import (
    Arm,
    Deliver,
    EnterBody,
    Feed,
    Invoke,
    InvokeItems,
    LeaveBody,
    Outline,
    Revoke,
    WorkCommand,
)
from weftrun.model.events import AttemptsEnded, Disarmed, ItemsEnded
from weftrun.model.hosts import ENGINE, KnownBatches
from weftrun.model.ids import WorkerId
from weftrun.model.messages import Invocation
from weftrun.model.outcomes import Failure, Outcome, Ran, Reason
from weftrun.model.policy import FunctionSpec
from weftrun.model.values import size_of
from weftrun.model.work import BatchHolds, WorkEvent

_AHEAD = 4
"""Steps for each place that a Worker may have armed beyond its share."""

Attempt = tuple[int, int, int]
"""Index of the Step, number of the Attempt, and the Attempt that it undoes (0 for none)."""


class Assigned(Struct, frozen=True, gc=False):
    """Work for one Worker."""

    worker: WorkerId
    run: int
    command: WorkCommand


class Left(NamedTuple):
    """What follows from the end of a Worker: what is sent to others first, and what is told to Runs then."""

    assigned: list[Assigned]
    events: list[tuple[int, WorkEvent]]


class _Gone(NamedTuple):
    """A Worker that is gone, and how what is lost with it has failed."""

    worker: WorkerId
    known: KnownBatches
    failure: Failure
    now: float


class _Load:
    """A Worker: how many Functions it runs at once, and how many Invocations and items it has."""

    __slots__ = ("capacity", "given")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.given = 0


class _Armed:
    """An armed Step.

    Attributes:
        sources: where what it takes is made: where all that has succeeded there, it has started by itself.
        turn: how often work of its Run had been sent when it was armed: after more of it, it may have started.
    """

    __slots__ = ("sources", "turn")

    def __init__(self, sources: dict[int, WorkerId], turn: int) -> None:
        self.sources = sources
        self.turn = turn


class _HeldBack:
    """The `Invoke` of a Step that has started by itself, on values of other Workers that may not have come (W5)."""

    __slots__ = ("assigned", "is_old", "sources")

    def __init__(self, assigned: Assigned, sources: dict[int, WorkerId]) -> None:
        self.assigned = assigned
        self.sources = set(sources.values())
        self.is_old = False


class _Given:
    """What Workers were given of one Run and have not reported: Invocations, and items by map and Attempt.

    Attributes:
        planned: homes that were planned with the whole graph, by Step.
        workflow, labels: whose plan that is, and the labels of its Steps.
        chosen: homes that were chosen before the Invocation came, by Step, until it has succeeded.
        pending: Steps with such a home that count as given, and of which the Invocation has not come.
        armed: those of them that are armed.
        readers: the armed Steps that take from a Step.
        fed: Steps whose value another Worker is handed, with that.
        succeeded: where Steps succeeded that armed ones take.
        sent: Steps of which an Invocation is out: what it gives may be there before anything else is armed for it.
        turn: how often work was sent.
        kept: Invocations that were not sent, by Step, until that has ended.
        early: outcomes of armed Steps that came before all that has set these off, with the Worker that told of it.
        handed: Attempts that a Sandbox was given, with its Worker; armed Steps may be there before they are invoked.
    """

    __slots__ = (
        "armed", "chosen", "early", "fed", "handed", "items", "kept", "labels", "pending", "planned", "readers", "sent",
        "singles", "succeeded", "turn", "workflow",
    )  # fmt: skip

    def __init__(self) -> None:
        self.planned: dict[int, WorkerId] = {}
        self.workflow = ("", "")
        self.labels: dict[int, str] = {}
        self.chosen: dict[int, WorkerId] = {}
        self.pending: set[int] = set()
        self.armed: dict[int, _Armed] = {}
        self.readers: dict[int, list[int]] = {}
        self.fed: set[tuple[int, WorkerId]] = set()
        self.succeeded: dict[int, WorkerId | None] = {}
        self.sent: set[int] = set()
        self.turn = 0
        self.kept: dict[int, _HeldBack] = {}
        self.early: dict[int, tuple[WorkerId, AttemptsEnded]] = {}
        self.handed: dict[Attempt, WorkerId] = {}
        self.singles: dict[Attempt, Invoked] = {}
        self.items: dict[tuple[int, int], list[Share]] = {}


class HomesMachine:
    """Divides the work of Runs among the Workers of one engine.

    Args:
        planner: plans the homes of Steps whose graph is known.
    """

    def __init__(self, planner: Planner | None = None) -> None:
        self.planner = planner or Planner()
        self._workers: dict[WorkerId, _Load] = {}
        self._runs: dict[int, _Given] = {}
        self._met: set[frozenset[WorkerId]] = set()
        self._waiting: deque[tuple[int, Invoke | InvokeItems]] = deque()

    # ------------------------------------------------------------------ Workers

    def joined(self, worker: WorkerId, capacity: int) -> list[Assigned]:
        """A Worker is there, which runs `capacity` Functions at once; return what has waited for one."""
        self._workers[worker] = _Load(capacity)
        waiting, self._waiting = self._waiting, deque()
        return [assigned for run, command in waiting for assigned in self.assign(run, command)]

    def met(self, one: WorkerId, other: WorkerId) -> None:
        """Two Workers can hand one another values from now on."""
        self._met.add(frozenset((one, other)))

    def handed(self, worker: WorkerId, holds: BatchHolds) -> None:
        """A Worker hands these to a Sandbox: from now on they may be entered."""
        for run, step, attempt, undoes in holds.singles:
            if (given := self._runs.get(run)) is not None:
                given.handed[step, attempt, undoes] = worker
        if holds.items is not None:
            run, step, attempt = holds.items
            given = self._runs.get(run)
            for share in given.items.get((step, attempt), ()) if given is not None else ():
                if share.home == worker:
                    share.hand(list(holds.ranges))

    def left(self, worker: WorkerId, why: str, now: float, known: KnownBatches) -> Left:
        """A Worker is gone; return what is sent and told because of that.

        Args:
            known: how far it is known what it had handed to Sandboxes.
        """
        self._workers.pop(worker, None)
        self._met = {pair for pair in self._met if worker not in pair}
        failure = Failure(Reason.LOST, "WorkerLost", f"Worker {worker} is gone: {why}")
        gone, left = _Gone(worker, known, failure, now), Left([], [])
        for run, given in self._runs.items():
            taken_back = self._take_back(run, given, worker, left)
            if taken_back:
                left.events.append((run, Disarmed(now, tuple(taken_back))))
            for step in [step for step, kept in given.kept.items() if worker in kept.sources]:
                left.assigned.append(given.kept.pop(step).assigned)
            self._lose_homes(given, worker)
            self._part_steps(run, given, gone, left)
            self._part_items(run, given, gone, left)
        return left

    def _lose_homes(self, given: _Given, worker: WorkerId) -> None:
        """Forget what a Worker that is gone was to do."""
        for step in [step for step, home in given.planned.items() if home == worker]:
            del given.planned[step]
        for step in [step for step, home in given.chosen.items() if home == worker]:
            del given.chosen[step]
            given.pending.discard(step)
            given.armed.pop(step, None)

    def _part_steps(self, run: int, given: _Given, gone: _Gone, left: Left) -> None:
        """Let what a Worker that is gone had of Steps fail, or go to another one."""
        lost: list[Attempt] = []
        again: dict[FunctionSpec, list[Invoked]] = {}
        parted = [(key, invoked) for key, invoked in given.singles.items() if invoked.home == gone.worker]
        for attempt, invoked in parted:
            del given.singles[attempt]
            given.sent.discard(attempt[0])
            given.kept.pop(attempt[0], None)
            was_handed = given.handed.pop(attempt, None) == gone.worker
            if was_handed or not goes_on(invoked.function, gone.known, invoked.doubts):
                lost.append(attempt)
            else:
                again.setdefault(invoked.function, []).append(invoked)
        for function, those in again.items():
            left.assigned.extend(self.assign(run, Invoke(function, tuple(each.invocation for each in those))))
            if not is_known(function, gone.known):
                _doubt(given, those)
        if lost:
            ran = Ran(0, gone.now, gone.now)
            ended = tuple(Outcome(step, no, None, gone.failure, ran, undoes) for step, no, undoes in lost)
            left.events.append((run, AttemptsEnded(gone.now, ended)))

    def _part_items(self, run: int, given: _Given, gone: _Gone, left: Left) -> None:
        """Let what a Worker that is gone had of maps fail, or go to another one."""
        for (step, attempt), shares in list(given.items.items()):
            parted = [share for share in shares if share.home == gone.worker]
            shares[:] = [share for share in shares if share.home != gone.worker]
            lost: list[int] = []
            for share in parted:
                entered, again = share.parted(gone.known)
                lost += (index for lo, hi in entered for index in range(lo, hi))
                if again:
                    doubts = share.doubts + (not is_known(share.command.function, gone.known))
                    command = replace(share.command, ranges=tuple(again))
                    if self._workers:
                        left.assigned.extend(self._invoke_items(run, command, doubts))
                    else:
                        self._waiting.append((run, command))
            if lost:
                failures = tuple((index, gone.failure) for index in sorted(lost))
                ran = Ran(0, gone.now, gone.now)
                left.events.append((run, ItemsEnded(gone.now, step, attempt, (), failures, ran)))
            if not shares:
                given.items.pop((step, attempt), None)

    def _take_back(self, run: int, given: _Given, worker: WorkerId, left: Left) -> list[int]:
        """Take back all that may have been started on values of which a Worker that is gone has not told.

        What it has told of may not have come to those that it was handed to: they are sent it.
        """
        stack: list[int] = []
        for step, armed in given.armed.items():
            for taken, source in armed.sources.items():
                if source == worker and given.succeeded.get(taken) != worker:
                    stack.append(step)
                elif source == worker:
                    armed.sources[taken] = ENGINE  # nowhere: so its Invocation is sent
        taken_back: list[int] = []
        while stack:
            step = stack.pop()
            if given.armed.pop(step, None) is None:
                continue
            stack.extend(given.readers.get(step, ()))
            home = given.chosen.pop(step)
            if step in given.pending:
                given.pending.discard(step)
                self._return(home, 1)
            if home != worker:
                taken_back.append(step)
                left.assigned.append(Assigned(home, run, Revoke((step,))))
        return taken_back

    def overdue(self) -> list[Assigned]:
        """Return Invocations that were held back since before the last call: what sets them off may be lost (W5)."""
        overdue: list[Assigned] = []
        for given in self._runs.values():
            for step, kept in list(given.kept.items()):
                if kept.is_old:
                    overdue.append(given.kept.pop(step).assigned)  # once: its channel loses nothing
                kept.is_old = True
        return overdue

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
            case Feed():
                return []  # no Run says it: it is said here
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
        given.turn += 1
        shares: dict[WorkerId, list[Invocation]] = {}
        for invocation in command.invocations:
            step = invocation.step
            early = _early_of(given, invocation)
            home = self._home(given, invocation) if early is None else early
            given.singles[_key(invocation)] = Invoked(home, command.function, invocation)
            given.sent.add(step)
            if early is None and step not in given.pending:
                self._workers[home].given += 1
            given.pending.discard(step)
            armed = given.armed.pop(step, None)
            if early is not None:
                continue  # it has ended, also where its Worker is gone since; `due` tells of it
            if armed is None or not _has_started(given, armed):
                shares.setdefault(home, []).append(invocation)
            elif any(source != home for source in armed.sources.values()):
                held = Assigned(home, run, Invoke(command.function, (invocation,)))
                given.kept[step] = _HeldBack(held, armed.sources)
        return [Assigned(home, run, Invoke(command.function, tuple(share))) for home, share in shares.items()]

    def _arm(self, run: int, command: Arm) -> list[Assigned]:
        """Arm Steps, and let the Workers that make what they take hand it over."""
        if not self._workers:
            return []
        given = self._given_of(run)
        assigned: list[Assigned] = []
        for armed in command.armed:
            step = armed.invocation.step
            sources = self._sources(given, step, frozenset(taken.step for taken in armed.takes))
            home = sources.pop(step, None)
            if home is None:
                continue
            for each, at in (
                *((taken, at) for taken, at in sources.items() if taken not in given.chosen),
                (step, home),
            ):
                given.chosen[each] = at
                given.pending.add(each)
                self._workers[at].given += 1
            given.armed[step] = _Armed(sources, given.turn)
            given.succeeded.update(dict.fromkeys(sources))
            for taken, at in sources.items():
                given.readers.setdefault(taken, []).append(step)
                if at != home and (taken, home) not in given.fed:
                    given.fed.add((taken, home))
                    assigned.append(Assigned(at, run, Feed(((taken, home),))))
            takes = tuple(
                replace(taken, source=at) if (at := sources[taken.step]) != home else taken for taken in armed.takes
            )
            assigned.append(Assigned(home, run, Arm(command.function, (replace(armed, takes=takes),))))
        return assigned

    def _sources(self, given: _Given, step: int, takes: frozenset[int]) -> dict[int, WorkerId]:
        """Return where a Step is to be armed, and where what it takes is made; nothing where it can't be armed.

        It is armed where it is planned, if all that it takes is planned there too, or at Workers that have met that
        one. Where nothing is planned, it is the Worker that runs all that it waits for, unless that has more than its
        share already. What a Step takes that was sent may have ended, so that nothing would set it off.
        """
        if takes & given.sent or any(given.armed[each].turn < given.turn for each in takes & given.armed.keys()):
            return {}
        known = {each: at for each in takes if (at := given.chosen.get(each) or given.planned.get(each)) is not None}
        home = given.planned.get(step)
        if home is not None:
            if len(known) < len(takes) or any(not self._can_hand(at, home) for at in known.values()):
                return {}
            return {**known, step: home}
        homes = set(known.values())
        if self.planner.policy == "hash" or len(homes) > 1:
            return {}
        home = homes.pop() if homes else self._least_loaded()
        return dict.fromkeys((*takes, step), home) if self._has_room(home) else {}

    def _can_hand(self, source: WorkerId, home: WorkerId) -> bool:
        return source == home or frozenset((source, home)) in self._met

    def _has_room(self, home: WorkerId) -> bool:
        """Say whether a Worker has no more than its share of all that was given: a fan-out must spread."""
        given = sum(load.given for load in self._workers.values())
        places = sum(load.capacity for load in self._workers.values())
        load = self._workers[home]
        return load.given <= load.capacity * (given / places + _AHEAD)

    def _invoke_items(self, run: int, command: InvokeItems, doubts: int = 0) -> list[Assigned]:
        """Cut the items of a chunk into a share for each Worker, by how many Functions it runs at once."""
        shares = self._given_of(run).items.setdefault((command.step, command.attempt), [])
        left: deque[tuple[int, int]] = deque(command.ranges)
        items, places = sum(hi - lo for lo, hi in left), sum(load.capacity for load in self._workers.values())
        assigned = []
        for worker, load in sorted(self._workers.items(), key=lambda each: each[1].given / each[1].capacity):
            ranges = take(left, -(-items * load.capacity // places))
            if ranges:
                load.given += count(ranges)
                part = replace(command, ranges=tuple(ranges))
                shares.append(Share(worker, part, ranges, doubts=doubts))
                assigned.append(Assigned(worker, run, part))
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
        for step in given.kept.keys() & steps:
            del given.kept[step]
        for attempt in [attempt for attempt in given.singles if attempt[0] in steps]:
            given.chosen.pop(attempt[0], None)
            given.sent.discard(attempt[0])
            given.handed.pop(attempt, None)
            homes.add(self._return(given.singles.pop(attempt).home, 1))
        for key in [key for key in given.items if key[0] in steps]:
            homes.update(self._return(share.home, count(share.left)) for share in given.items.pop(key))
        return [Assigned(home, run, command) for home in sorted(homes)]

    def _return(self, worker: WorkerId, count: int) -> WorkerId:
        if worker in self._workers:
            self._workers[worker].given -= count
        return worker

    def ended(self, worker: WorkerId, run: int, event: WorkEvent) -> WorkEvent | None:
        """Something became of what a Worker was given; return what of it is to be told to its Run now.

        After that `due` may have more, of what was kept back since what had set it off was not told.
        """
        given = self._runs.get(run)
        if given is None:
            return event
        if isinstance(event, AttemptsEnded):
            early = [ended for ended in event.ended if ended.step in given.armed and not ended.undoes]
            for ended in early:
                given.early[ended.step] = worker, replace(event, ended=(ended,))
            if early:
                event = replace(event, ended=tuple(ended for ended in event.ended if ended not in early))
                if not event.ended:
                    return None
        self._note(given, worker, event)
        return event

    def due(self, run: int) -> WorkEvent | None:
        """Return an outcome that was kept back, and is to be told to its Run now; None where there is none."""
        given = self._runs.get(run)
        if given is None or not given.early:
            return None
        step = next((step for step in given.early if step not in given.armed), None)
        if step is None:
            return None
        worker, event = given.early.pop(step)
        self._note(given, worker, event)
        return event

    def untold(self, run: int) -> list[WorkEvent]:
        """A Run is over, or given up: return what was kept back of it."""
        given = self._runs.get(run)
        if given is None:
            return []
        early, given.early = given.early, {}
        return [event for _, event in early.values()]

    def _note(self, given: _Given, worker: WorkerId, event: WorkEvent) -> None:
        """Count what a Worker has less to do."""
        if isinstance(event, AttemptsEnded):
            for ended in event.ended:
                key = (ended.step, ended.attempt, ended.undoes)
                invoked = given.singles.get(key)
                if invoked is not None and invoked.home == worker:
                    del given.singles[key]
                    given.handed.pop(key, None)
                    given.sent.discard(ended.step)
                    given.kept.pop(ended.step, None)
                    if ended.failure is None and not ended.undoes:
                        given.chosen.pop(ended.step, None)
                        self._saw(given, ended)
                        if ended.step in given.succeeded:
                            given.succeeded[ended.step] = worker
                    self._return(worker, 1)
        elif isinstance(event, ItemsEnded):
            shares = given.items.get((event.step, event.attempt), [])
            told = [(lo, hi) for lo, hi, _ in event.values] + [(i, i + 1) for i, _ in event.failures]
            for share in [share for share in shares if share.home == worker]:
                self._return(worker, share.tell(told))
                if not share.left:
                    shares.remove(share)

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
        busy = [*(invoked.home for invoked in given.singles.values()), *(given.chosen[step] for step in given.pending)]
        for worker in busy:
            self._return(worker, 1)
        busy += [self._return(share.home, count(share.left)) for shares in given.items.values() for share in shares]
        return set(busy)


def _key(invocation: Invocation) -> Attempt:
    return invocation.step, invocation.attempt, invocation.undoes


def _doubt(given: _Given, those: list[Invoked]) -> None:
    """What went to another Worker may have been handed to a Sandbox before."""
    for before in those:
        now = given.singles.get(_key(before.invocation))
        if now is not None:
            now.doubts = before.doubts + 1


def _early_of(given: _Given, invocation: Invocation) -> WorkerId | None:
    """Return the Worker that has told how an Attempt ended, if one has; what was taken back is told of before."""
    worker, event = given.early.get(invocation.step, (None, None))
    is_of_it = event is not None and not invocation.undoes and event.ended[0].attempt == invocation.attempt
    return worker if is_of_it else None


def _has_started(given: _Given, armed: _Armed) -> bool:
    """Say whether all that a Step takes has succeeded where it was to be handed on from."""
    return bool(armed.sources) and all(given.succeeded.get(taken) == at for taken, at in armed.sources.items())


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
