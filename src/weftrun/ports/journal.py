"""The Journal: the ordered durable record of Runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from msgspec import Struct

from weftrun.model.commands import UNTIL_TOLD
from weftrun.model.emits import Emitted
from weftrun.model.ids import RunId, RunUid, SessionUid
from weftrun.model.lease import Session
from weftrun.model.outcomes import Status
from weftrun.model.records import Row
from weftrun.ports.outbox import Outbox
from weftrun.ports.places import Places
from weftrun.ports.queues import QueueReader, Queues
from weftrun.ports.schedules import ScheduleReader, Schedules

PARKED = 1e15
"""`due_at` of a Run that waits for code: long after all times, so that nobody takes it because it is due."""
QUEUED = 2e15
"""`due_at` of a Run that waits in a queue, and can't be claimed before it leaves it."""


FORCE = "force"
"""Name of a message `cancel` that lets nothing be undone (any more)."""


class JournalMeta(Struct, frozen=True):
    """Facts of the whole Journal. `hash_seed` is given to every zygote (B4)."""

    schema: int
    hash_seed: int


class RunInfo(Struct, frozen=True):
    """One Run in a listing. Times are seconds since the epoch.

    Attributes:
        epoch: raised by every take-over (O1).
        takeovers: since the last new record; see `Limits.takeovers_max`.
        digest: of the start arguments, or empty where no canonical encoding exists (N2).
        deleted: a tombstone: the records are gone, the id stays taken (G1).
        owner: the session that owns the open Run; empty where none that is in the Journal does.
        due_at: when a suspended Run is to be taken, in seconds since the epoch; `PARKED` for one that waits for
            code; 0 for every other Run.
        lives: how often it was begun: 1, and once more for each time it was retried (L1).
        place: of the Run among all of its Journal; one that was started later has a larger one.
        rests: what it waited for when it was suspended last, for people.
        queue: that it was started in; empty where it was in none.
        waits: what its engine, which holds it in memory, was seen waiting for; no Journal tells that, but a trace.
    """

    id: RunId
    uid: RunUid
    function: str
    status: Status
    started_at: float
    ended_at: float | None
    epoch: int
    takeovers: int
    digest: str
    version: str
    file: str
    deleted: bool = False
    owner: SessionUid = SessionUid("")
    due_at: float = 0.0
    lives: int = 1
    place: int = 0
    rests: str = ""
    queue: str = ""
    waits: str = ""

    @property
    def is_parked(self) -> bool:
        """Whether it waits for code that fits it (L2)."""
        return self.ended_at is None and not self.owner and PARKED <= self.due_at < QUEUED

    @property
    def is_queued(self) -> bool:
        """Whether it has not left its queue yet."""
        return self.ended_at is None and not self.owner and self.due_at >= QUEUED

    @property
    def waiting_for(self) -> str | None:
        """What it stands still for, as far as is known: `code`, `signal …`, `sleep`, `queue …`, or None."""
        if self.is_parked:
            return "code"
        if self.ended_at is None and self.owner:
            return self.waits or None
        return self.rests or None if self.ended_at is None and not self.owner and self.due_at > 1.0 else None

    @property
    def goes_on_at(self) -> float | None:
        """When it is due to go on by itself, in seconds since the epoch; None where that is now, or nobody knows."""
        return self.due_at if self.ended_at is None and 1.0 < self.due_at < UNTIL_TOLD else None

    @property
    def can_be_retried(self) -> bool:
        """Whether another life of it may begin now."""
        return not self.deleted and (self.status in ("failed", "cancelled") or self.is_parked)


def how_it_stands(run: RunInfo) -> str:
    """Return why a Run can't be retried, as the end of a sentence on it."""
    if run.status == "succeeded":
        return "succeeded, and its answer stands"
    return "has not ended; `weftrun cancel` ends it, `weftrun resume` goes on with it"


class Appended(Struct, frozen=True):
    """What became of an append, but for the rows that were committed.

    Attributes:
        taken: Runs that could not be started, since their id belongs to another uid.
        lost: Runs that another engine owns now, or that are gone: nothing of them was committed.
    """

    taken: frozenset[RunUid] = frozenset()
    lost: frozenset[RunUid] = frozenset()


class Message(Struct, frozen=True):
    """A word from another process to a Run (O3): unfenced, folded once by its `id`.

    Attributes:
        kind: `cancel`, which may be named `FORCE`, or `signal`; only signals have what follows, but for `place`.
        name: of the signal.
        at: when it was sent, in seconds since the epoch, by the sender's clock.
        value: its encoded value.
        place: given by the Journal: later messages to the same Run have higher ones.
    """

    id: str
    run: RunUid
    kind: str
    name: str = ""
    at: float = 0.0
    value: bytes = b""
    place: int = 0


Posted = Literal["posted", "ended", "missing", "full"]
"""What became of a message: it is in the inbox; its Run has ended; there is no such Run; it has too many signals."""


class Rest(Struct, frozen=True):
    """How a Run that is let go waits.

    Attributes:
        until: when it is due, in seconds since the epoch; `PARKED` for one that waits for code.
        what: it waits for, for people: see `RunInfo.waiting_for`.
        heard: place of the last signal that it knows of: a later one wakes it.
    """

    until: float
    what: str = ""
    heard: int = 0


class JournalReader(ScheduleReader, QueueReader, Protocol):
    """The reading half of a Journal, for those who only look on: it sees what is durable, and changes nothing."""

    def find(self, run: RunId) -> RunInfo | None:
        """Return what is known of the Run with this id, tombstones included."""

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
        """Return Runs, newest first; without tombstones."""

    def infos(self, uids: Sequence[RunUid]) -> list[RunInfo]:
        """Return what is known of these Runs; unknown ones are left out."""

    def load(self, uid: RunUid) -> list[Row]:
        """Return all rows of a Run in order."""

    def newer(self, uid: RunUid, after: int, limit: int) -> list[Row]:
        """Return the rows of a Run that come after seq `after`, from 1 on, in order, at most so many."""

    def record_bytes(self, uid: RunUid) -> int:
        """Return how many bytes the records of a Run have, its start aside: cheap to tell, without reading them."""

    def emitted(self, run: RunUid) -> list[Emitted]:
        """Return what a Run has emitted, in the order of commits."""

    def undelivered(self, limit: int) -> list[Emitted]:
        """Return emits that wait, are unknown or were refused, of all Runs, oldest first."""

    def emits_left(self, uids: Sequence[RunUid]) -> dict[RunUid, dict[str, int]]:
        """Return how many emits of these Runs wait, are unknown or were refused, by Run and by sink."""

    def sessions(self) -> list[Session]:
        """Return all sessions, oldest first."""

    def close(self) -> None:
        """Release the file or the connection. Idempotent."""


class Journal(Outbox, Schedules, Queues, Places, Protocol):
    """Append-only, all-or-nothing, in the order of seq; with the outbox of what was emitted, schedules, queues, limits.

    All methods block and are called from one thread at a time. Errors: `JournalFull` and `JournalBusy` (nothing was
    committed), `CommitUnknown` (nobody knows), after each of which the same may be said again; `JournalCorrupt`; and
    no driver's own.
    """

    def meta(self) -> JournalMeta:
        """Return the facts of the Journal."""

    def begin(self, session: Session) -> None:
        """Make a session. What is started or claimed through this Journal from now on is the session's.

        Without one, rows are appended for nobody: their Runs are free. The same session again is one session.
        """

    def append(self, rows: Sequence[Row], *, renew: bool = False, waits: bool = True) -> Appended:
        """Commit all rows in one transaction and return once it is durable; `renew` raises the session's heartbeat.

        A row with seq 1 creates its Run from the `Started` record; where the id is taken by another uid, that row
        and later rows of this uid are left out. A row whose last record is `Ended` closes its Run. Every other row
        must name the next seq of its Run and its epoch. Rows under an epoch that was raised since, or of a Run that
        is gone, are left out too, and the others go on (O2). A row that is stored already with the same seq and the
        same bytes is passed over (an append that is repeated after `CommitUnknown`), and anything else raises
        `InternalError` with nothing committed. What the records of later rows than the first have emitted is in the
        outbox from then on. Raises `LeaseLost`, with nothing committed, where the session is not there any more; and
        `JournalBusy` at once, if not `waits`, where another process holds the whole Journal.
        """

    def find(self, run: RunId) -> RunInfo | None:
        """Return what is known of the Run with this id, tombstones included."""

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
        """Return Runs, newest first; without tombstones.

        A page costs as much as the ones before it, but for one by `status` succeeded, or by it together with another
        wish, where Runs that are not wanted lie between: those are passed by.

        Args:
            status: only those that stand so.
            function: only those of the Function with this name; empty for all.
            prefix: only those whose id begins with this and has no slash before its end; empty for all. It ends in a
                slash.
            begins: only those whose id begins so, in place of `prefix`; Runs that are not wanted are passed by.
            before: only those that are older than the Run with this `place`.
            limit: at most so many.
        """

    def open_runs(self) -> list[RunInfo]:
        """Return all Runs that have not ended, oldest first."""

    def free_runs(self, limit: int, *, due_by: float) -> list[RunInfo]:
        """Return open Runs that no session owns and that are due, if they were suspended, by this time; oldest first.

        Of more than `limit` those come first that were due first. What is not due costs nothing.
        """

    def next_due(self, *, after: float) -> float | None:
        """Return the earliest time after this one at which a suspended Run is due; None where there is none."""

    def infos(self, uids: Sequence[RunUid]) -> list[RunInfo]:
        """Return what is known of these Runs, in any order; unknown ones are left out."""

    def sessions(self) -> list[Session]:
        """Return all sessions, oldest first."""

    def load(self, uid: RunUid) -> list[Row]:
        """Return all rows of a Run in order; `JournalCorrupt` names a gap or unreadable bytes."""

    def newer(self, uid: RunUid, after: int, limit: int) -> list[Row]:
        """Return the rows of a Run that come after seq `after`, from 1 on, in order, at most so many."""

    def claim(self, uids: Sequence[RunUid]) -> list[RunInfo]:
        """Take over those of these Runs that are free, and return them as they are now.

        Raises epoch and take-over counter of each and the session's heartbeat, in one transaction. A Run that had been
        suspended does not count as taken over, and may be claimed before it is due. `LeaseLost` as in `append`.
        Those that are this session's already are returned as they are: said again after `CommitUnknown`, it must tell
        what happened then.
        """

    def retry(self, uid: RunUid, life: int, at: float) -> bool:
        """Begin life `life` of a Run that failed, was cancelled, or is parked; say whether that life has begun.

        Appends a row with the one record `Retried`, under the next epoch; the Run is this session's then (without one
        it is free and due). Signals in its inbox stay, in their places; a cancel there is gone: it was meant for the
        life that is over. Where that life, or a later one, has begun already, nothing changes. False where the Run is
        not at the end of the life before. `LeaseLost` as in `append`.
        """

    def parked_runs(self, limit: int) -> list[RunInfo]:
        """Return open Runs that wait for code, oldest first."""

    def put_back(self, uids: Sequence[RunUid]) -> None:
        """Free Runs of this session in good order: that they were taken over last does not count."""

    def suspend(self, waiting: Mapping[RunUid, Rest]) -> None:
        """Free Runs of this session that do nothing but wait, each until a time; those of others stay as they are.

        One with a message in the inbox that it has not heard is due at once, and so is one that is to be cancelled.
        """

    def declare_dead(self, session: Session) -> bool:
        """Remove a dead session, which frees its Runs; False where it has renewed since, or is gone already."""

    def leave(self) -> None:
        """Remove this Journal's own session, which frees its Runs. Idempotent."""

    def post(self, message: Message, *, signals_max: int = 10_000) -> Posted:
        """Put a message into the inbox; the same message id again changes nothing, and is `posted` too.

        A suspended Run is due now: whoever takes it reads the message. Signals don't wake one that waits for
        code. Of signals a Run has `signals_max` in the inbox at most. Places in the inbox only grow.
        """

    def inbox(self) -> list[Message]:
        """Return messages to Runs that this session owns, or to all open ones without a session, oldest first.

        A message stays until it is dropped, or its Run has ended: signals then stay unseen for a next life, unless the
        Run succeeded, and until it is deleted. The machine passes by what it has folded.
        """

    def drop_messages(self, ids: Sequence[str]) -> None:
        """Remove messages that are folded into records which are durable; others than those are left."""

    def delete(self, run: RunId, *, forget: bool) -> RunInfo | None:
        """Delete an ended Run's records, leaving a tombstone, or nothing at all if `forget` (G1).

        Returns the Run as it was, or None if there is none. `UsageError` for a Run that has not ended, or whose emits
        are not all delivered or dropped.
        """

    def delete_ended(self, uids: Sequence[RunUid], *, before: float, forget: bool) -> list[RunUid]:
        """Delete in one transaction, as `delete` does, those of these Runs that ended before a time; return which.

        Passed by are Runs that have not ended or ended later, are deleted, or whose emits are not all delivered.
        """

    def blobs_named(self) -> set[str]:
        """Return the SHA-256 of every blob that some record names, so that others can be removed."""

    def close(self) -> None:
        """Release the file or the connection. Idempotent."""
