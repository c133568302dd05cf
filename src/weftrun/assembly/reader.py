"""A Journal as those see it who only look on, wired."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from weftrun.adapters.files.blobs import FileBlobs
from weftrun.adapters.files.hints import hint
from weftrun.adapters.files.lock import has_ended, is_here
from weftrun.adapters.sqlite.trace import SqliteTrace
from weftrun.adapters.system.clock import WallClock
from weftrun.adapters.system.entropy import SystemEntropy
from weftrun.adapters.system.memory import memory_below
from weftrun.assembly.code import is_kept
from weftrun.assembly.collecting import Collected, Retention, collect, remove_blobs, scheduled
from weftrun.assembly.places import Place, place_of
from weftrun.assembly.signalling import judged_signal
from weftrun.machines.run import changed_code, may_have_happened, open_visible
from weftrun.model.emits import Emitted
from weftrun.model.errors import RunNotFound, UsageError
from weftrun.model.ids import RunId, RunUid
from weftrun.model.lease import Session
from weftrun.model.limits import DEFAULT_LIMITS
from weftrun.model.outcomes import Status
from weftrun.model.records import Row, Started
from weftrun.model.schedules import schedule_of
from weftrun.model.values import Blob, Data, Inline
from weftrun.model.warm import WarmCounts
from weftrun.ports.journal import FORCE, Message, RunInfo
from weftrun.ports.trace import RunningRow, TraceRow, WorkerRow
from weftrun.runtime.signals import refusal
from weftrun.sdk.registry import version_here
from weftrun.sdk.waiting import Json, signal_value
from weftrun.views.cluster import EngineView, WorkerView, with_running
from weftrun.views.handovers import takeovers
from weftrun.views.running import OwnerView, RunningView
from weftrun.views.trace import handed_of

_OPEN: Final[tuple[Status, ...]] = ("running", "pending")
_RUNS_MAX: Final = 10_000
"""Open Runs that are looked through for what runs now."""


class Look(Struct, frozen=True):
    """All that can be seen of one Run from here.

    Attributes:
        running: what its engine saw running when it looked last.
        owner: the engine that has it; None where none has.
        at: when that was read, in seconds since the epoch.
    """

    info: RunInfo
    rows: list[Row]
    trace: list[TraceRow]
    running: list[RunningView]
    owner: OwnerView | None
    at: float


class Reader:
    """A Journal as those see it who only look on, beside a running engine or without one.

    Where it lies is not judged here: an engine has done that when it was made.

    Args:
        place: of the Journal.

    Raises:
        JournalError: there is no Journal, or it can't be read.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._journal = place.open_to_read()
        self._blobs = FileBlobs(place.folder / "blobs", writable=False)
        self._watched: SqliteTrace | None = None
        self._watched_file: tuple[int, int] | None = None

    @staticmethod
    def now() -> float:
        """Return the time, in seconds since the epoch."""
        return WallClock().now()

    def find(self, id: str) -> RunInfo | None:
        """Return what is known of a Run, tombstones included."""
        info = self._journal.find(RunId(id)) if _is_text(id) else None
        return None if info is None else self._with_waits([info])[0]

    def infos(self, uids: Sequence[RunUid]) -> list[RunInfo]:
        """Return what is known of these Runs; unknown ones are left out."""
        return self._with_waits(self._journal.infos(uids))

    def runs(
        self,
        *,
        status: Status | None = None,
        function: str = "",
        prefix: str = "",
        begins: str = "",
        before: int | None = None,
        limit: int = 100,
    ) -> list[RunInfo]:
        """Return Runs, newest first. See `ports.journal`."""
        found = self._journal.runs(
            status=status, function=function, prefix=prefix, begins=begins, before=before, limit=limit
        )
        return self._with_waits(found)

    def _with_waits(self, infos: list[RunInfo]) -> list[RunInfo]:
        """Return what is known of Runs with what those wait for that engines of this host hold in memory."""
        if not any(info.owner and info.ended_at is None for info in infos):
            return infos
        trace = SqliteTrace(self._place.folder / "trace.db", writable=False)
        try:
            rows = {row.run: row for row in trace.waits()}
        finally:
            trace.close()
        waiting = [info for info in infos if info.uid in rows and info.owner and info.ended_at is None]
        if not waiting:
            return infos
        owners = dict(zip((info.uid for info in waiting), self._owners(waiting), strict=True))

        def seen(info: RunInfo) -> RunInfo:
            owner = owners.get(info.uid)
            is_so = owner is not None and owner.lives and owner.here and owner.pid == rows[info.uid].pid
            return replace(info, waits=rows[info.uid].what) if is_so else info

        return [seen(info) for info in infos]

    def load(self, uid: RunUid) -> list[Row]:
        """Return all rows of a Run in order."""
        return self._journal.load(uid)

    def newer(self, uid: RunUid, after: int, limit: int) -> list[Row]:
        """Return the rows of a Run after a seq, in order, at most so many."""
        return self._journal.newer(uid, after, limit)

    def record_bytes(self, uid: RunUid) -> int:
        """Return how many bytes the records of a Run have, its start aside."""
        return self._journal.record_bytes(uid)

    def emitted(self, uid: RunUid) -> list[Emitted]:
        """Return what a Run has emitted, in the order of commits."""
        return self._journal.emitted(uid)

    def undelivered(self, limit: int) -> list[Emitted]:
        """Return emits that wait, are unknown or were refused, of all Runs, oldest first."""
        return self._journal.undelivered(limit)

    def emits_left(self, uids: Sequence[RunUid]) -> dict[RunUid, dict[str, int]]:
        """Return how many emits of these Runs wait, are unknown or were refused, by Run and by sink."""
        return self._journal.emits_left(uids)

    def changed_code(self, uid: RunUid) -> str:
        """Return a sentence that names the Functions whose code is another one in this process; empty for none."""
        rows = self.load(uid)
        started = rows[0].records[0] if rows else None
        is_pinned = isinstance(started, Started) and is_kept(started.bundle)
        return "" if is_pinned else changed_code(rows, version_here)

    def in_flight(self, uid: RunUid) -> str:
        """Return a sentence on visible Steps that were handed over by async bodies and may have happened, or ""."""
        handed = [handed_of(row) for row in self.trace(uid) if row.kind == "call"]
        return may_have_happened(open_visible(self.load(uid), handed)) if handed else ""

    def trace(self, uid: RunUid) -> list[TraceRow]:
        """Return the trace of a Run; what was not written before a crash is missing."""
        trace = SqliteTrace(self._place.folder / "trace.db", writable=False)
        try:
            return trace.read(uid)
        finally:
            trace.close()

    def takeovers(self, info: RunInfo) -> int:
        """Return how often an engine has taken a Run from one that was gone, not from one that had put it back."""
        return takeovers(info.epoch + 1 - info.lives, self.trace(info.uid)) if info.epoch > 1 else 0

    def owner(self, info: RunInfo) -> OwnerView | None:
        """Return the engine that owns a Run; None where no session does."""
        return self._owners([info])[0]

    def _owners(self, infos: Sequence[RunInfo]) -> list[OwnerView | None]:
        sessions = {session.uid: session for session in self._journal.sessions()}
        owning = [sessions.get(info.owner) if info.ended_at is None else None for info in infos]
        return [
            None if session is None else OwnerView(session.pid, is_here(session), not has_ended(session))
            for session in owning
        ]

    def without_engine(self, infos: Sequence[RunInfo]) -> set[RunUid]:
        """Return which of these Runs are open and due, and have no engine, or one of this host that has ended."""
        living = {session.uid for session in self._journal.sessions() if not has_ended(session)}
        now = self.now()
        return {
            info.uid
            for info in infos
            if info.ended_at is None and not info.deleted and info.due_at <= now and info.owner not in living
        }

    def running(self, info: RunInfo) -> list[RunningView]:
        """Return what was seen running of a Run; nothing of one that has ended, or that another engine has now."""
        return self.doing([info])[0][1] if info.ended_at is None else []

    def seen_of(self, info: RunInfo) -> tuple[int, ...]:
        """Return numbers that change whenever the trace, or what was seen running of a Run, does."""
        trace = self._watched_trace()
        running = trace.running(info.uid) if info.ended_at is None else []
        return trace.newest(info.uid), *(
            hash((row.step, row.attempt, len(row.text), len(row.piped))) for row in running
        )

    def _watched_trace(self) -> SqliteTrace:
        """Return the trace, kept open for those who look many times a second, as long as it is the same file."""
        path = self._place.folder / "trace.db"
        try:
            found = os.stat(path)
            file = (found.st_dev, found.st_ino)
        except OSError:
            file = None
        if self._watched is None or self._watched_file != file or not self._watched.is_open:
            if self._watched is not None:
                self._watched.close()
            self._watched, self._watched_file = SqliteTrace(path, writable=False), file
        return self._watched

    def doing(self, infos: Sequence[RunInfo]) -> list[tuple[OwnerView | None, list[RunningView]]]:
        """Return who owns each of these open Runs, and what was seen running of it."""
        trace = SqliteTrace(self._place.folder / "trace.db", writable=False)
        try:
            rows = [trace.running(info.uid) for info in infos]
        finally:
            trace.close()
        return [(owner, _running_under(owner, seen)) for owner, seen in zip(self._owners(infos), rows, strict=True)]

    def engines(self) -> list[EngineView]:
        """Return the engines on this Journal that have not ended, with their Workers and what runs there."""
        trace = SqliteTrace(self._place.folder / "trace.db", writable=False)
        try:
            told = trace.workers()
        finally:
            trace.close()
        open_runs = [info for status in _OPEN for info in self.runs(status=status, limit=_RUNS_MAX)]
        running = [
            (info.id, view)
            for info, (_, views) in zip(open_runs, self.doing(open_runs), strict=True)
            for view in views
            if view.lives
        ]
        sessions = [session for session in self._journal.sessions() if not has_ended(session)]
        return [self._engine(session, told, running) for session in sessions]

    def _engine(
        self, session: Session, told: dict[str, list[WorkerRow]], running: Sequence[tuple[RunId, RunningView]]
    ) -> EngineView:
        if not is_here(session):
            return EngineView(session.pid, False, session.runs, [])
        host, pid = os.uname().nodename, session.pid
        rows = told.get(f"{host}:{pid}", [])
        memory = memory_below(pid, without={row.pid for row in rows if row.pid})
        own = next((row for row in rows if row.warm is not None), None)
        warm = own.warm if own is not None else None
        here = warm.waiting + warm.busy if warm is not None else None
        most = own.sandboxes_max if own is not None else None
        engine = WorkerView(0, host, pid, here, most, memory, None, None, warm=warm)
        workers = [engine, *(_worker_view(row) for row in rows if row is not own)]
        bodies = [each for each in running if each[1].pid == pid]
        return EngineView(pid, True, session.runs, with_running(workers, bodies))

    def warm(self) -> dict[int, WarmCounts]:
        """Return by pid what engines on this host tell of Sandboxes that wait for work."""
        trace = SqliteTrace(self._place.folder / "trace.db", writable=False)
        try:
            told = trace.workers()
        finally:
            trace.close()
        here = [s.pid for s in self._journal.sessions() if not has_ended(s) and is_here(s)]
        rows = {pid: told.get(f"{os.uname().nodename}:{pid}", []) for pid in here}
        return {pid: row.warm for pid, of in rows.items() for row in of if row.warm is not None}

    def look(self, info: RunInfo) -> Look:
        """Return all that can be seen of one Run."""
        # The Journal last: what has a record by then is not taken for running.
        running, trace, owner = self.running(info), self.trace(info.uid), self.owner(info)
        return Look(info, self.load(info.uid), trace, running, owner, self.now())

    @property
    def journal(self) -> str:
        """The Journal's URL for people, without a password."""
        return self._place.shown

    def read(self, data: Data) -> bytes:
        """Return the bytes of a recorded value."""
        if isinstance(data, Inline):
            return data.data
        if not isinstance(data, Blob):
            raise TypeError("a recorded value is inline or a blob")
        descriptor = self._blobs.open(data)
        with os.fdopen(descriptor, "rb") as file:
            return file.read()

    def collect(self, wanted: Retention, told: Callable[[int], None]) -> Collected:
        """Delete Runs that ended long ago; see `assembly.collecting`."""
        return collect(self._place, self._journal, wanted, self.now(), told)

    def post_cancels(self, uids: Sequence[RunUid], *, force: bool = False) -> None:
        """Ask the engines that own these Runs, now or later, to cancel them; with `force` nothing is undone."""
        entropy = SystemEntropy()
        journal = self._place.open_to_mend(entropy)
        try:
            for uid in uids:
                journal.post(Message(entropy.uid(), uid, "cancel", FORCE if force else ""))
        finally:
            journal.close()
        hint(self._place.folder / "engines")

    def post_cancel(self, id: str, *, force: bool = False) -> None:
        """Ask the engine that owns a Run, now or later, to cancel it; with `force` nothing is undone."""
        info = self._journal.find(RunId(id))
        if info is None:
            raise UsageError(f"No Run has the id {id!r} in the Journal {self.journal}.")
        entropy = SystemEntropy()
        journal = self._place.open_to_mend(entropy)
        try:
            journal.post(Message(entropy.uid(), info.uid, "cancel", FORCE if force else ""))
        finally:
            journal.close()

    def post_signal(self, id: str, name: str, value: Json, message: str, *, shown: str = "") -> str:
        """Send a signal to a Run, and return what is to be said of that: nothing, or that the Run waits for others.

        Args:
            value: what is sent.
            shown: what the sender calls the Run; empty for its id.
            message: names the signal: the same one again is the same signal; empty draws one.

        Raises:
            RunNotFound: there is no such Run.
            UsageError: it has ended.
            SignalRefused: the Run waits for it, and for another type.
            LimitExceeded: the value is too large, or the Run has too many signals that it has not taken.
        """
        info = self.find(id)
        if info is None:
            raise RunNotFound(f"No Run has the id {id!r} in the Journal {self.journal}.")
        encoded = signal_value(name, value)
        note = judged_signal(shown or id, name, value, info.waiting_for, lambda: self.trace(info.uid))
        entropy = SystemEntropy()
        journal = self._place.open_to_mend(entropy)
        try:
            key = f"{info.uid}/{message}" if message else entropy.uid()
            posted = journal.post(
                Message(key, info.uid, "signal", name, self.now(), encoded), signals_max=DEFAULT_LIMITS.signals_max
            )
        finally:
            journal.close()
        error = refusal(posted, info.id, name, DEFAULT_LIMITS)
        if error is not None:
            raise error
        hint(self._place.folder / "engines")
        return note

    def delete(self, id: str, *, forget: bool) -> RunInfo | None:
        """Delete an ended Run's records and the blobs that nobody else names (G1).

        Raises:
            UsageError: it has not ended, what it emitted is not delivered, or its id can't be freed, since its schedule
                may start it again.
        """
        if forget and (known := self._journal.find(RunId(id))) is not None and scheduled(self._journal, [known]):
            raise UsageError(
                f"The id {id} is kept as long as the schedule {schedule_of(id)} is there, which might start it once "
                "more. Delete the Run without --forget, or the schedule first."
            )
        journal = self._place.open_to_mend(SystemEntropy())
        try:
            info = journal.delete(RunId(id), forget=forget)
            if info is not None:
                remove_blobs(self._place, journal)
                trace = SqliteTrace(self._place.folder / "trace.db")
                trace.delete(info.uid)
                trace.close()
            return info
        finally:
            journal.close()

    def close(self) -> None:
        """Release the files."""
        self._journal.close()
        if self._watched is not None:
            self._watched.close()


def _worker_view(row: WorkerRow) -> WorkerView:
    if not row.heard_at:
        return WorkerView(row.worker, "", 0, None, row.sandboxes_max, None, None, None)
    return WorkerView(
        row.worker, row.host, row.pid, row.sandboxes, row.sandboxes_max, row.memory_bytes, row.object_bytes,
        row.heard_at,
    )  # fmt: skip


def _running_under(owner: OwnerView | None, rows: Sequence[RunningRow]) -> list[RunningView]:
    lives = owner is not None and owner.lives
    return running_views([row for row in rows if owner is None or row.pid == owner.pid], lives=lives)


def running_views(rows: Sequence[RunningRow], *, lives: bool) -> list[RunningView]:
    """Return what an engine saw running as views take it; `lives` says whether that engine does."""
    return [
        RunningView(
            row.step, row.attempt, row.entered_at, row.seen_at, row.sandbox, row.pid, row.host, lives,
            row.text, row.piped,
        )
        for row in rows
    ]  # fmt: skip


def open_reader(url: str | None = None) -> Reader:
    """Open a Journal read-only. See `Reader`."""
    return Reader(place_of(url))


def decide_emit(url: str | None, key: str, *, send: bool) -> bool:
    """Let an emit that is not delivered be sent as if it never was, or drop it; False if there is none such."""
    journal = place_of(url).open_to_mend(SystemEntropy())
    try:
        return _is_text(key) and journal.decide_emit(key, send=send, at=WallClock().now())
    finally:
        journal.close()


def _is_text(given: str) -> bool:
    """Say whether a word of the command line was text: of bytes that were none it holds halves of surrogate pairs."""
    return given.isascii() or given.encode("utf-8", "replace").decode("utf-8") == given
