"""Schedules: what an engine does when one is due, and how they are created and changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from msgspec.structs import replace

from weftrun.machines.schedule import decide, paused, redefined, resumed, started, triggered
from weftrun.model.errors import JournalBusy, RunNotFound, WeftrunError
from weftrun.model.ids import RunId, RunUid
from weftrun.model.schedules import TRY_AGAIN_S, Calendar, KeptSchedule, run_of
from weftrun.model.telling import did_you_mean
from weftrun.ports.entropy import Entropy
from weftrun.ports.schedules import Schedules as Stored
from weftrun.runtime.committer import Committer
from weftrun.runtime.runs import Start
from weftrun.runtime.tickets import Ticket

_TRIES = 50
"""A change is tried so often where others change the same schedule."""


class Starting(Protocol):
    """The engine, for those who start Runs in it by themselves. On the loop."""

    def start_now(self, start: Start) -> None:
        """Start a Run, or join the one that has its id."""

    def look_soon(self) -> None:
        """Look at the Journal again: there is something new in it."""


class ScheduleStarter:
    """Starts what schedules are due for. On the loop.

    Args:
        wall: returns what the clock of this host shows, in seconds since the epoch; it may be set.
    """

    def __init__(
        self,
        stored: Stored,
        committer: Committer,
        entropy: Entropy,
        calendar: Calendar,
        wall: Callable[[], float],
        engine: Starting,
    ) -> None:
        self.wall = wall
        self.book = ScheduleBook(stored, entropy, calendar, wall)
        self._stored = stored
        self._committer = committer
        self._entropy = entropy
        self._calendar = calendar
        self._engine = engine
        self._busy: set[str] = set()
        self._ended = False

    def seen(self, found: Sequence[KeptSchedule]) -> None:
        """Decide what is to be decided on these schedules, and start what was decided and left."""
        for schedule in found:
            if schedule.id not in self._busy and not self._ended:
                self._see(schedule)

    def end(self) -> None:
        """Decide and start nothing more: the engine is being closed."""
        self._ended = True

    def _see(self, schedule: KeptSchedule) -> None:
        now = self.wall()
        try:
            decided = decide(schedule, now, self._calendar)
        except WeftrunError as error:  # a time zone that this host does not know
            if schedule.fault != str(error):
                self._put(schedule, replace(schedule, fault=str(error)), lambda _: None)
            return
        if decided is not schedule:
            self._put(schedule, decided, self._decided)
        elif schedule.pending and abs(now - schedule.pending_since) >= TRY_AGAIN_S:
            self._busy.add(schedule.id)
            self._start(schedule)

    def _put(self, before: KeptSchedule, after: KeptSchedule, then: Callable[[KeptSchedule], None]) -> None:
        """Change a schedule that nobody has changed since it was read, and go on with what it is then."""
        changed = replace(after, revision=self._entropy.uid())
        self._busy.add(before.id)

        def done(is_put: bool) -> None:  # as the committer hands it over
            self._busy.discard(before.id)
            if is_put and not self._ended:
                then(changed)

        def failed(_: WeftrunError) -> None:
            self._busy.discard(before.id)  # whoever looks next finds it as it was

        self._committer.write(lambda: self._stored.put_schedule(changed, before.revision), done, failed)

    def _decided(self, schedule: KeptSchedule) -> None:
        self._engine.look_soon()  # it may be due again before anybody would look
        if schedule.pending:
            self._busy.add(schedule.id)
            self._start(schedule)

    def _start(self, schedule: KeptSchedule) -> None:
        """Start the Runs that were decided on, and note which of them are there."""
        tickets: dict[float, Ticket] = {}
        waiting = set(schedule.pending)

        def came(due: float) -> None:
            waiting.discard(due)
            if not waiting:
                self._started(schedule, tickets)

        for due in schedule.pending:
            tickets[due] = Ticket(run_of(schedule.id, due), RunUid(self._entropy.uid()))
        for due, ticket in tickets.items():
            start = Start(ticket, schedule.function, schedule.bundle, schedule.args, schedule.digest)
            self._engine.start_now(start)
            ticket.started.on_open(lambda due=due: came(due))  # type: ignore[misc]

    def _started(self, schedule: KeptSchedule, tickets: dict[float, Ticket]) -> None:
        self._busy.discard(schedule.id)
        if self._ended:
            return
        tried = {due: ticket.error for due, ticket in tickets.items()}
        self._put(schedule, started(schedule, tried, self.wall()), lambda _: None)


class ScheduleBook:
    """Creates and changes schedules; blocks, where the Journal's own calls may."""

    def __init__(self, stored: Stored, entropy: Entropy, calendar: Calendar, wall: Callable[[], float]) -> None:
        self._stored = stored
        self._entropy = entropy
        self._calendar = calendar
        self._wall = wall

    def create(self, wanted: KeptSchedule) -> KeptSchedule:
        """Create a schedule, or give the one that has its id this definition; the same one again changes nothing.

        Args:
            wanted: with id, timetable and what is started; the times are set here.
        """
        now = self._wall()
        next_at = self._calendar.after(wanted.when, now)
        for _ in range(_TRIES):
            new = replace(wanted, revision=self._entropy.uid(), made_at=now, decided_at=now, next_at=next_at)
            before = self._stored.schedule(wanted.id)
            if before is None:
                if self._stored.put_schedule(new, ""):
                    return new
                continue
            after = redefined(before, new)
            if after is before:
                return before
            if self._stored.put_schedule(after := replace(after, revision=new.revision), before.revision):
                return after
        raise _busy(wanted.id)

    def change(self, id: str, change: Literal["pause", "resume", "delete"]) -> None:
        """Let a schedule start nothing until it is resumed, or go on; or delete it."""
        match change:
            case "pause":
                self._change(id, paused)
            case "resume":
                self._change(id, lambda found: resumed(found, self._wall(), self._calendar))
            case "delete":
                if not self._stored.delete_schedule(id):
                    raise self._not_found(id)

    def trigger(self, id: str) -> RunId:
        """Let a schedule start a Run beside its times, whatever else it starts; return the id of that Run."""
        due = 0.0

        def change(found: KeptSchedule) -> KeptSchedule:
            nonlocal due
            changed, due = triggered(found, self._wall())
            return changed

        self._change(id, change)
        return run_of(id, due)

    def get(self, id: str) -> KeptSchedule:
        """Return the schedule with this id."""
        found = self._stored.schedule(id)
        if found is None:
            raise self._not_found(id)
        return found

    def _not_found(self, id: str) -> WeftrunError:
        hint = did_you_mean(id, [schedule.id for schedule in self.all()])
        return RunNotFound(f"No schedule has the id {id!r}; `weftrun schedule list` shows those there are.{hint}")

    def all(self) -> list[KeptSchedule]:
        """Return all schedules, by their ids."""
        return self._stored.schedules()

    def _change(self, id: str, change: Callable[[KeptSchedule], KeptSchedule]) -> KeptSchedule:
        for _ in range(_TRIES):
            before = self.get(id)
            after = change(before)
            if after == before:
                return before
            if self._stored.put_schedule(after := replace(after, revision=self._entropy.uid()), before.revision):
                return after
        raise _busy(id)


def next_times(schedule: KeptSchedule, calendar: Calendar, count: int) -> list[float]:
    """Return the next times of a schedule, without their jitter; none where it is paused."""
    found: list[float] = []
    due = None if schedule.is_paused else schedule.next_at
    while due is not None and len(found) < count:
        found.append(due)
        due = calendar.after(schedule.when, due)
    return found


def _busy(id: str) -> WeftrunError:
    return JournalBusy(f"The schedule {id} is being changed by others all the time. Try again.")
