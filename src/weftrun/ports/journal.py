"""The Journal: the ordered durable record of Runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from weftrun.model.ids import RunId, RunUid
from weftrun.model.outcomes import Status
from weftrun.model.records import Row


class JournalMeta(Struct, frozen=True):
    """Facts of the whole Journal. `hash_seed` is given to every zygote (B4)."""

    schema: int
    hash_seed: int
    sqlite: str = ""


class RunInfo(Struct, frozen=True):
    """One Run in a listing. Times are seconds since the epoch.

    Attributes:
        epoch: raised by every take-over (O1).
        takeovers: since the last new record; see `Limits.takeovers_max`.
        digest: of the start arguments, or empty where no canonical encoding exists (N2).
        deleted: a tombstone: the records are gone, the id stays taken (G1).
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


class Message(Struct, frozen=True):
    """A word from another process to a Run (O3): unfenced, folded once by its `id`. `kind` is `cancel`."""

    id: str
    run: RunUid
    kind: str


class Journal(Protocol):
    """Append-only, all-or-nothing, in the order of seq.

    All methods block and are called from one thread at a time. Errors: `JournalFull` (nothing was committed; try the
    same again), `CommitUnknown` (reopen, reload, append again), `JournalCorrupt`, and no driver's own.
    """

    def meta(self) -> JournalMeta:
        """Return the facts of the Journal."""

    def append(self, rows: Sequence[Row]) -> frozenset[RunUid]:
        """Commit all rows in one transaction and return once it is durable.

        A row with seq 1 creates its Run from the `Started` record; where the id is taken by another uid, that row
        and later rows of this uid are left out and the uid is returned. A row whose last record is `Ended` closes
        its Run. Every other row must name the next seq of its Run and its current epoch; a row that is stored
        already with the same seq and the same bytes is passed over (an append that is repeated after
        `CommitUnknown`), and anything else raises `InternalError` with nothing committed.
        """

    def find(self, run: RunId) -> RunInfo | None:
        """Return what is known of the Run with this id, tombstones included."""

    def runs(self, *, status: Status | None = None, limit: int = 100) -> list[RunInfo]:
        """Return Runs, newest first; without tombstones."""

    def open_runs(self) -> list[RunInfo]:
        """Return all Runs that have not ended, oldest first."""

    def load(self, uid: RunUid) -> list[Row]:
        """Return all rows of a Run in order; `JournalCorrupt` names a gap or unreadable bytes."""

    def claim(self, uid: RunUid) -> RunInfo:
        """Take a Run over: raise its epoch and its take-over counter in one transaction, and return it."""

    def put_back(self, uids: Sequence[RunUid]) -> None:
        """Say that these Runs were given up in good order: that they were taken over last does not count."""

    def post(self, message: Message) -> None:
        """Put a message into the inbox; the same message id again changes nothing."""

    def inbox(self) -> list[Message]:
        """Return messages to Runs that have not ended, oldest first. The machine drops what it has folded."""

    def delete(self, run: RunId, *, forget: bool) -> RunInfo | None:
        """Delete an ended Run's records, leaving a tombstone, or nothing at all if `forget` (G1).

        Returns the Run as it was, or None if there is none. A Run that has not ended raises `UsageError`.
        """

    def blobs_named(self) -> set[str]:
        """Return the SHA-256 of every blob that some record names, so that others can be removed."""

    def close(self) -> None:
        """Let go of the file or the connection. Idempotent."""
