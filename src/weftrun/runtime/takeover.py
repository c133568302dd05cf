"""Taking over Runs that nobody owns: what a dead engine left, and what one that was closed has handed over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from msgspec.structs import replace

from weftrun.machines.queue import left_queue
from weftrun.machines.run import (
    RunMachine,
    changed_code,
    changed_program,
    functions_named,
    may_have_happened,
    tried_codes,
)
from weftrun.model.commands import StartRules
from weftrun.model.errors import JournalCorrupt, LeaseLost, RunConflict, UsageError, WeftrunError
from weftrun.model.events import CancelCame, Handed, Parked, Resumed
from weftrun.model.ids import RunId, RunUid
from weftrun.model.limits import Limits
from weftrun.model.outcomes import Failure, Reason
from weftrun.model.policy import Bundle, Program
from weftrun.model.queues import QueueOptions
from weftrun.model.records import Row, Started, queue_of
from weftrun.model.values import Blob, Object
from weftrun.model.visiting import blobs_in, change_data
from weftrun.ports.code import Code
from weftrun.ports.journal import FORCE, Journal, Message, RunInfo
from weftrun.ports.loop import Loop
from weftrun.ports.transactions import Transactions
from weftrun.runtime.blobs import BlobReader
from weftrun.runtime.committer import Committer
from weftrun.runtime.journal_queue import AGAIN
from weftrun.runtime.ownership import Ownership
from weftrun.runtime.run_driver import RunDriver
from weftrun.runtime.runs import OpenRun, OpenRuns
from weftrun.runtime.serving import Serving
from weftrun.runtime.signals import signals_among
from weftrun.runtime.tickets import Latch, Ticket

_AGAIN_S = 0.2
"""A Run whose last rows may have been committed, or not, is read again after this."""
_CLAIMS_MAX = 100
"""Runs that are taken over in one transaction, so that other engines get their share."""


class EngineState(Protocol):
    """The engine, for those who bring Runs into it."""

    def refusal(self) -> WeftrunError | None:
        """Return why no Run can be opened now, or None."""

    def broke(self, error: WeftrunError) -> None:
        """The engine can't go on."""

    def queued(self, asked: QueueOptions) -> None:
        """A Run waits in a queue, and may leave it at once, or after its delay."""


class WaitingTicket(Protocol):
    """Tickets of Runs that are not this engine's."""

    def wait_for(self, uid: RunUid, ticket: Ticket) -> None:
        """Let a ticket wait for a Run that another engine was quicker to claim."""

    def came(self, uid: RunUid) -> list[Ticket]:
        """Return the tickets that have waited for a Run that is this engine's now."""


class TakeOver:
    """Claims free Runs and goes on with them. Everything here runs on the loop.

    Args:
        transactions: none of a Run may be committed behind it once it is taken over; None where there are none.
        program: what the author's program in this process was started with, where that is known.
        code: the author's code as this process has it.
    """

    def __init__(
        self,
        loop: Loop,
        journal: Journal,
        committer: Committer,
        driver: RunDriver,
        limits: Limits,
        own: Ownership,
        stored: BlobReader,
        runs: OpenRuns,
        transactions: Transactions | None,
        engine: EngineState,
        waiting: WaitingTicket,
        program: Program | None,
        code: Code,
        *,
        starts: StartRules,
    ) -> None:
        self._loop = loop
        self._journal = journal
        self._committer = committer
        self._driver = driver
        self._limits = limits
        self._own = own
        self._stored = stored
        self._runs = runs
        self._transactions = transactions
        self._engine = engine
        self._starts = starts
        self._waiting = waiting
        self._program = program
        self._code = code
        self._serving = Serving(journal, committer, code)
        self._tried: dict[RunUid, int] = {}
        self._taking: dict[RunUid, list[Ticket]] = {}
        self._waited: set[RunUid] = set()
        self._left_alone: set[RunUid] = set()
        self.adopts = False
        self._fences = 0

    def recover(self, recover: str, ready: Latch) -> None:
        """Take over what dead engines left: `all`, `none`, or the Run with this id; then open `ready`."""

        def looked() -> None:
            if recover not in ("all", "none"):
                self._committer.read(lambda: self._journal.find(RunId(recover)), found, failed)
            self._committer.read(lambda: None, lambda _: ready.open(), lambda _: ready.open())

        def found(info: RunInfo | None) -> None:
            if info is not None and info.ended_at is None and not info.owner and info.id not in self._runs.by_id:
                self.take_over(info, None)

        def failed(error: WeftrunError) -> None:
            self._engine.broke(error)
            ready.open()

        self.adopts = recover == "all"
        if recover == "none":
            ready.open()
        else:
            self._own.look(looked)

    def wanted(self) -> int:
        """Return how many free Runs to look for: what may be claimed now, behind those that are left alone."""
        room = self._room()
        return room + len(self._left_alone) + len(self._serving.others) if room else 0

    def _room(self) -> int:
        if not self.adopts:
            return 0
        return max(0, min(_CLAIMS_MAX, self._limits.runs_open_max - len(self._runs.by_id) - len(self._taking)))

    def room_in(self, queue: str) -> int:
        """Return how many Runs of a queue may be taken now: none until there are few, so that they come together."""
        most = self._limits.queue_runs_max
        free = most - self._runs.of_queues[queue]
        if not self.adopts or self._engine.refusal() is not None or free < most // 2:
            return 0
        return max(0, min(free, self._limits.runs_open_max - len(self._runs.by_id)))

    def begin_queued(self, rows: Sequence[Row], messages: Sequence[Message], begun_at: float) -> None:
        """Go on with Runs that have left a queue as this engine's: each has its first row only, and nobody began it."""
        self._own.claimed(len(rows), begun_at)
        others = [row.uid for row in rows if not self._serving.serves(row)]
        self._committer.put_back(others)  # they have left their queue: an engine with their code takes them
        for row in rows:
            if row.uid in others:
                self._own.read()
                continue
            started = row.records[0]
            assert isinstance(started, Started)
            name = started.function.name
            info = RunInfo(
                started.id, row.uid, name, "running", row.at, None, row.epoch, 0, started.digest, "", ""
            )  # fmt: skip
            self._taking[row.uid] = []
            self._begin(info, row, [message for message in messages if message.run == row.uid])

    def _begin(self, info: RunInfo, row: Row, messages: Sequence[Message]) -> None:
        """Begin a Run that has its first row only, once every blob in it was read."""
        fences, blobs = self._fences, blobs_in([row])

        def begin() -> None:
            if fences != self._fences:
                self._wait_instead(info.uid)
                return
            self._resume(info, [row], blobs, self._taking.pop(info.uid), messages, ())
            self._driver.trace.note(info.uid, left_queue(row, self._loop.now()))
            self._own.read()

        self._stored.verify(blobs, begin, lambda error: self._unreadable(info.uid, error, fences))

    def adopt(self, infos: Sequence[RunInfo]) -> None:
        """Take over free Runs, but those that were found to be none for this engine."""
        self._serving.adoptable(self._unknown(infos), self._room(), self._adopt)

    def _unknown(self, infos: Sequence[RunInfo]) -> list[RunInfo]:
        known = self._left_alone | self._taking.keys()
        return [info for info in infos if info.uid not in known and info.id not in self._runs.by_id]

    def _adopt(self, infos: Sequence[RunInfo]) -> None:
        free = [info.uid for info in self._unknown(infos)][: self._room()]
        if free and self._engine.refusal() is None:
            self._taking.update({uid: [] for uid in free})
            self._waited.update(info.uid for info in infos if info.due_at and info.uid in self._taking)
            self._claim(free)

    def adopt_parked(self, infos: Sequence[RunInfo]) -> None:
        """Try Runs that wait for code, each once with the code of now: not where it is on record that it does not fit.

        What only could not be loaded is tried once by each engine all the same: more than files may have been mended.
        """
        for info in infos:
            before = self._tried.get(info.uid, 0)
            if before >= info.epoch or info.uid in self._taking or self._engine.refusal() is not None:
                continue
            self._tried[info.uid] = info.epoch  # of others that look at it later the epoch is higher
            self._look_at(info, first=not before)

    def _look_at(self, info: RunInfo, *, first: bool) -> None:
        def found(rows: list[Row]) -> None:
            self._try(info, rows, first=first)

        self._committer.read(lambda: self._journal.load(info.uid), found, lambda _: None)

    def _try(self, info: RunInfo, rows: list[Row], *, first: bool) -> None:
        unfit = tried_codes(rows)
        if unfit is None or not self._serving.serves(rows[0]):
            return  # it was taken meanwhile, or is another engine's to try
        here = self._code_of(rows)
        is_new = bool(here) and here not in unfit.codes
        if not (is_new or (first and (unfit.only_unloadable or not here))):
            return
        if self._room():
            self.take_over(info, None)
        else:
            self._tried.pop(info.uid, None)

    def _code_of(self, rows: Sequence[Row]) -> str:
        started = rows[0].records[0]
        assert isinstance(started, Started)
        return self._code.digest(started.bundle, functions_named(rows))

    def tried(self, uid: RunUid) -> None:
        """The code of now was found not to fit a Run."""
        self._tried[uid] = max(1, self._tried.get(uid, 0))

    def begun_otherwise(self, bundle: Bundle) -> str:
        """Return how the program that began a Run was started otherwise than this one; empty where it was not.

        Another working directory is not worth a word to whoever asks for the Run again, and neither is another program,
        which has arguments of its own: the story has both.
        """
        began, here = bundle.program, self._program
        if here is None or _name_of(began) != _name_of(here):
            return ""
        return changed_program(replace(began, cwd=""), here)

    def under_way(self) -> list[RunUid]:
        """Return the Runs that are being claimed or read."""
        return list(self._taking)

    def fenced(self) -> None:
        """What was claimed so far is another engine's, or free: go on with nothing that is still being read."""
        self._fences += 1

    def leave_alone(self, uid: RunUid) -> None:
        """Never take this Run over again by ourselves: its bytes are damaged."""
        self._left_alone.add(uid)
        self._committer.put_back([uid])

    def join(self, info: RunInfo, ticket: Ticket) -> None:
        """Go on with a free Run for whoever asks; if its code is not served here, wait for an engine that does."""

        def left(others: Sequence[RunInfo]) -> None:
            for other in others:
                ticket.rests = "version"
                self._waiting.wait_for(other.uid, ticket)

        self._serving.ask([info], lambda mine: self._take_over_all(mine, ticket), left, ticket.fail)

    def _take_over_all(self, infos: Sequence[RunInfo], ticket: Ticket) -> None:
        for info in infos:
            self.take_over(info, ticket)

    def take_over(self, info: RunInfo, ticket: Ticket | None) -> None:
        """Go on with a free Run. Whoever asks for it meanwhile gets it too."""
        if self._takes(info.uid, ticket):
            if info.is_parked:
                self._waited.add(info.uid)
            self._claim([info.uid])

    def retry(self, info: RunInfo, ticket: Ticket) -> None:
        """Begin another life of a Run that has failed, was cancelled, or waits for code, and go on with it (L1)."""
        at = self._loop.now()

        def begin() -> None:
            if not self._journal.retry(info.uid, info.lives + 1, at):
                raise UsageError(f"Run {info.id} can't be retried: it goes on, or was deleted, since it was looked up.")

        if self._takes(info.uid, ticket):
            self._left_alone.discard(info.uid)
            self._claim([info.uid], begin)

    def begin_fork(self, rows: Sequence[Row], ticket: Ticket) -> None:
        """Begin a Run whose first rows are those of a fork, and go on with it."""

        def begin() -> None:
            if ticket.uid in self._journal.append(rows).taken:
                raise RunConflict(f"The id {ticket.id!r} was taken meanwhile: fork again, or give another id.")

        def lost(tickets: Sequence[Ticket]) -> None:
            # The session was gone before anything of the fork was durable, or after that: both show in the next try.
            for waiting in tickets:
                self._loop.call_at(self._loop.now() + _AGAIN_S, partial(self.begin_fork, rows, waiting))

        if self._takes(ticket.uid, ticket):
            self._claim([ticket.uid], begin, lost)

    def _takes(self, uid: RunUid, ticket: Ticket | None) -> bool:
        """Say whether a Run is to be claimed for a ticket, and not being claimed already."""
        refusal = self._engine.refusal()
        if refusal is not None:  # closed while it was looked up: nothing may be claimed that nobody puts back
            if ticket is not None:
                ticket.fail(refusal)
            return False
        tickets = [ticket] if ticket is not None else []
        taking = self._taking.get(uid)
        if taking is not None:
            taking.extend(tickets)
            return False
        self._taking[uid] = tickets
        return True

    def begin_again(self, run: OpenRun) -> None:
        """Go on with an own Run from what the Journal holds: its last rows may be lost."""
        if self._runs.by_id.get(run.id) is not run:
            return  # it was lost meanwhile
        tickets = list(run.tickets)
        self._own.reads_again()
        self._driver.forsake(run)
        self._taking[run.uid] = tickets
        fences = self._fences
        self._loop.call_at(self._loop.now() + _AGAIN_S, lambda: self._read_again(run.uid, fences))

    def _read_again(self, uid: RunUid, fences: int) -> None:
        def work() -> list[RunInfo]:
            if self._transactions is not None:
                self._transactions.wait_over(uid)  # none can be committed behind it after this
            return self._journal.infos([uid])

        def done(infos: list[RunInfo]) -> None:
            is_lost = fences != self._fences
            if infos and infos[0].ended_at is None and not is_lost:
                self._load(infos[0], ())
                return
            self._wait_instead(uid)
            if not is_lost:
                self._own.read()

        def failed(error: WeftrunError) -> None:
            if isinstance(error, JournalCorrupt):
                self._unreadable(uid, error, fences)
            elif self._engine.refusal() is None:
                self._loop.call_at(self._loop.now() + _AGAIN_S, lambda: self._read_again(uid, fences))

        self._committer.read(work, done, failed)

    def _claim(
        self,
        uids: Sequence[RunUid],
        first: Callable[[], None] = lambda: None,
        lost: Callable[[Sequence[Ticket]], None] | None = None,
    ) -> None:
        """Claim Runs, after what is done first in the same turn; `lost` gets their tickets where the session is gone.

        Without it they wait for what other engines make of the Runs.
        """
        begun = self._loop.now()

        def work() -> tuple[list[RunInfo], list[Message]]:
            first()
            # A Run that had waited may have been woken by a message. Without it, it would only wait again.
            claimed = self._journal.claim(uids)
            return claimed, self._journal.inbox() if claimed else []

        def done(found: tuple[list[RunInfo], list[Message]]) -> None:
            claimed, inbox = found
            self._own.claimed(len(claimed), begun)
            for info in claimed:
                self._load(info, [message for message in inbox if message.run == info.uid])
            mine = {info.uid for info in claimed}
            for uid in uids:
                if uid not in mine:
                    self._wait_instead(uid)

        def failed(error: WeftrunError) -> None:
            self._own.claim_failed()
            if isinstance(error, LeaseLost):
                for uid in uids:
                    if lost is not None:
                        lost(self._taking.pop(uid))
                    else:
                        self._wait_instead(uid)
                self._own.fenced()
                return
            tickets = [ticket for uid in uids for ticket in self._taking.pop(uid)]
            for ticket in tickets:
                ticket.fail(error)
            if not tickets:
                self._engine.broke(error)

        self._committer.write(self._own.claims(work), done, failed)

    def _load(self, info: RunInfo, messages: Sequence[Message]) -> None:
        """Read a Run that was claimed, and every blob it names; then go on with it."""
        fences = self._fences

        def done(rows: list[Row]) -> None:
            blobs = blobs_in(rows)
            self._stored.verify(blobs, lambda: verified(rows, blobs), failed)

        def verified(rows: list[Row], blobs: Sequence[Blob]) -> None:
            self._driver.trace.handed_before(info.uid, lambda handed: resume(rows, blobs, handed))

        def resume(rows: list[Row], blobs: Sequence[Blob], handed: list[Handed]) -> None:
            if fences != self._fences:
                self._wait_instead(info.uid)
                return
            self._resume(info, rows, blobs, self._taking.pop(info.uid), messages, handed)
            self._own.read()

        def again() -> None:
            if fences == self._fences:
                self._load(info, messages)
            else:
                self._wait_instead(info.uid)

        def failed(error: WeftrunError) -> None:
            if isinstance(error, AGAIN) and self._engine.refusal() is None:
                self._loop.call_at(self._loop.now() + _AGAIN_S, again)
            else:
                self._unreadable(info.uid, error, fences)

        self._committer.read(lambda: self._journal.load(info.uid), done, failed)

    def _wait_instead(self, uid: RunUid) -> None:
        """Another engine has the Run, or it has ended: who waits for it here waits for that."""
        for ticket in self._taking.pop(uid):
            self._waiting.wait_for(uid, ticket)

    def _unreadable(self, uid: RunUid, error: WeftrunError, fences: int) -> None:
        """A Run that is this engine's, unless it was fenced since then, can't be read."""
        if fences != self._fences:
            self._wait_instead(uid)
            return
        self._own.read()
        tickets = self._taking.pop(uid)
        for ticket in tickets:
            ticket.fail(error)
        if isinstance(error, JournalCorrupt):
            # This Run can't go on; it stays as it is, and the others do go on.
            self.leave_alone(uid)
        elif not tickets:
            self._engine.broke(error)

    def _resume(
        self,
        info: RunInfo,
        rows: list[Row],
        blobs: Sequence[Blob],
        tickets: list[Ticket],
        messages: Sequence[Message],
        handed: Sequence[Handed],
    ) -> None:
        refusal = self._engine.refusal()
        if refusal is not None:  # closed meanwhile: it was put back
            for ticket in tickets:
                ticket.fail(refusal)
            return
        held: list[Object] = []
        if blobs:
            rows = [change_data(row, lambda data: self._stored.attached(data, held)) for row in rows]
        started = rows[0].records[0]
        assert isinstance(started, Started)
        number = self._runs.next_number()
        machine = RunMachine.resume(number, info.uid, rows, self._limits, starts=self._starts)
        run = OpenRun(
            number, info.id, info.uid, machine, info.function, started.bundle, info.digest,
            epoch=info.epoch, queue=queue_of(rows[0].records),
        )  # fmt: skip
        run.held.update(obj.oid for obj in held)
        for obj, blob in zip(held, blobs, strict=True):
            self._committer.known(obj.oid, blob)
        for ticket in (*tickets, *self._waiting.came(run.uid)):
            ticket.rests, ticket.begun_otherwise = "", self.begun_otherwise(run.bundle)
            run.tickets.add(ticket)
            ticket.started.open()
        self._runs.add(run)
        if run.epoch > 1:
            self._driver.trace.has(run, waited=info.uid in self._waited)
        self._waited.discard(info.uid)
        changed = changed_code(rows, partial(self._code.version, started.bundle))
        self._driver.trace.note(run.uid, changed)
        if self._program is not None:
            self._driver.trace.note(run.uid, changed_program(started.bundle.program, self._program))
        now = self._loop.now()
        # One that an earlier life was told of may come again, and is nothing to this one.
        cancels = [m for m in messages if m.kind == "cancel" and m.id not in machine.state.messages]
        if info.takeovers > self._limits.takeovers_max:
            often = f"the Run was taken over {info.takeovers - 1} times without a new record"
            text = f"{often}; something in it ends its engine"
            self._driver.tell(run, Parked(now, Failure(Reason.LOST, "RunParked", text)))
        elif cancels and not machine.may_undo:
            self._driver.tell(run, CancelCame(now, cancels[0].id))
        else:
            self._tried[run.uid] = run.epoch
            is_other = bool(changed) or self._code.has_changed(started.bundle)
            signals = tuple(signals_among(messages))
            code = self._code_of(rows) if run.epoch > 1 else ""  # nothing of it ran with other code
            self._driver.tell(run, Resumed(now, code, is_other, tuple(handed), signals))
            self._driver.trace.note(run.uid, may_have_happened(machine.in_flight))
            for asked in cancels:
                self._driver.tell(run, CancelCame(now, asked.id, asked.name == FORCE))
        if run.epoch > 1:  # there may be more, and somebody may have asked for a cancel while nobody owned it
            self._own.look_soon()


def _name_of(program: Program) -> bytes:
    """Return the name of the file that a program was started from, or what stands in its place."""
    return program.argv[0].rpartition(b"/")[2] if program.argv else b""
