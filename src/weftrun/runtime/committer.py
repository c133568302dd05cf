"""Group commit: rows of all Runs go to the Journal in order, everything that waits in one transaction.

A commit runs in the loop's thread when nothing else could go on meanwhile, and in the journal's lane otherwise. Rows
of one Run keep their order; a row whose bytes are not durable holds back the later rows of its Run only (C2).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from msgspec import Struct

from weftrun.model.errors import InternalError, JournalCorrupt, JournalError, LeaseLost, WeftrunError
from weftrun.model.ids import ObjectId, RunUid
from weftrun.model.records import Row
from weftrun.model.values import Blob, Data, Object
from weftrun.model.visiting import change_data, objects_in
from weftrun.ports.blobs import Blobs
from weftrun.ports.journal import Appended, Journal
from weftrun.ports.loop import Handle, Loop
from weftrun.ports.objects import Objects
from weftrun.ports.worker import Worker
from weftrun.runtime.blobs import BlobWriter
from weftrun.runtime.journal_queue import AGAIN, JournalQueue
from weftrun.runtime.offload import do_and_report
from weftrun.runtime.runs import OpenRun

_GATHER_S = 0.005
"""Rows that nobody waits for are committed at the latest after this."""
_INLINE_S = 0.001
"""A commit that usually takes longer than this never runs in the loop's thread."""

T = TypeVar("T")


class RowListener(Protocol):
    """Whom the committer tells what became of rows. All calls come on the loop."""

    def prepare(self, run: OpenRun, seq: int) -> bool:
        """The loop will stand still while rows of a Run up to `seq` are committed: say whether anything was prepared.

        Then `prepared_over` follows at once.
        """

    def prepared_over(self, *, is_durable: bool) -> None:
        """The commit has happened, or is tried again later, or never: what was prepared is let go on, or taken back."""

    def durable(self, run: OpenRun, seq: int) -> None:
        """All rows of the Run up to `seq` are durable."""

    def id_taken(self, run: OpenRun) -> None:
        """The row was not appended: the id of the Run belongs to another Run."""

    def run_lost(self, run: OpenRun) -> None:
        """The row was not appended: another engine owns the Run."""


class CommitListener(Protocol):
    """Whom the committer tells what concerns the engine as a whole. All calls come on the loop."""

    def broke(self, error: WeftrunError) -> None:
        """Nothing can be committed any more; told once."""

    def renewed(self, begun_at: float) -> None:
        """A transaction that was begun at `begun_at` (seconds since the epoch) has renewed the Lease."""

    def fenced(self) -> None:
        """Other engines have declared this one dead: nothing that waited is committed any more."""

    def rested(self) -> None:
        """Nothing is left to be done."""

    def stands_still(self, why: str) -> None:
        """A commit has to be tried again, for this reason; told once until it has happened."""


class Through(Protocol):
    """An author's transaction, through which a row is committed."""

    def commit(self, rows: Sequence[Row], *, renew: bool) -> Appended:
        """Append rows and commit them with what was said. Outside the loop, in `lane`."""

    @property
    def lane(self) -> str:
        """The lane in which it is used."""

    def undo(self) -> None:
        """Its row is not to be committed any more."""

    def over(self, error: WeftrunError | None) -> None:
        """It has ended: with its commit, or, where that is not known or did not happen, with an error."""


class Entry(Struct, eq=False):
    """A row on its way. `blobs` are kept here: the Run may release an Object before its row is durable."""

    row: Row
    run: OpenRun
    through: Through | None
    blobs: dict[ObjectId, Blob] = {}
    missing: set[ObjectId] = set()


def durable(entry: Entry) -> Row:
    """Return the row with blobs for Objects: their bytes are durable, or the row would be held back."""

    def change(data: Data) -> Data:
        return entry.blobs[data.oid] if type(data) is Object else data

    return change_data(entry.row, change)


class Committer:
    """Appends rows and tells when they are durable.

    Args:
        worker: a commit may take the loop's time while nothing runs there.
    """

    def __init__(
        self,
        loop: Loop,
        journal: Journal,
        blobs: Blobs,
        objects: Objects,
        worker: Worker,
        listener: CommitListener,
    ) -> None:
        self._loop = loop
        self._queue = JournalQueue(loop, listener.stands_still)
        self._journal = journal
        self._worker = worker
        self._listener = listener
        self._rows: RowListener
        self._ready: list[Entry] = []
        self._held_back: dict[RunUid, deque[Entry]] = {}
        self._blobs = BlobWriter(loop, blobs, objects, self._was_stored, self._found_no_room, self._die)
        self._reads = 0
        self._committing = False
        self._flush_asked = False
        self._hurried = False
        self._renewing = False
        self._gathering: Handle | None = None
        self._commit_s = 0.0
        self._dead = False
        self.commits = 0
        self.rows = 0
        self._no_room = False

    @property
    def stuck(self) -> str:
        """What commits stand still for: `disk`, `lock`, or nothing."""
        return "disk" if self._no_room else self._queue.stuck

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be durable."""
        return not (self._ready or self._held_back or self._committing or self._reads) and not self._queue.open

    # ------------------------------------------------------------------ rows

    def listen(self, rows: RowListener) -> None:
        """Say whom to tell what became of rows. Called once, before anything else."""
        self._rows = rows

    def append(self, row: Row, run: OpenRun, through: Through | None = None, *, hurries: bool = False) -> None:
        """Append a row of an open Run; the listener is told what became of it, or of a later row of the Run.

        One that goes `through` a transaction commits in it, with the rows of its Run before it (T1). Somebody waits for
        what `hurries`.
        """
        entry = Entry(row, run, through)
        for obj in objects_in(row.records) if run.held else ():  # a row names only what its Run holds
            blob = self._blobs.blob_of(obj)
            if blob is not None:
                entry.blobs[obj.oid] = blob
            else:
                entry.missing.add(obj.oid)
        queue = self._held_back.get(row.uid)
        if queue is not None:
            queue.append(entry)
        elif entry.missing:
            self._held_back[row.uid] = deque([entry])
        else:
            self._ready.append(entry)
            if through is not None:
                self._ask_flush()
            elif self._gathering is None and not hurries:
                self._flush_later()
        if hurries:
            self._hurried = True
            self._ask_flush()

    def hurry(self) -> None:
        """Somebody waits for the rows appended so far."""
        self._hurried = True
        if self._ready:
            self._ask_flush()

    def renew(self) -> None:
        """Raise the session's heartbeat with the next transaction, and make one now."""
        self._renewing = True
        self._ask_flush()

    def known(self, oid: ObjectId, blob: Blob) -> None:
        """Say that an Object's bytes are durable already, as this blob."""
        self._blobs.known(oid, blob)

    def forget(self, oid: ObjectId) -> None:
        """The Run holds an Object no more; its number comes never again."""
        self._blobs.forget(oid)

    def _was_stored(self, oid: ObjectId, blob: Blob) -> None:
        self._no_room = False
        self._unblock(oid, blob)

    def _found_no_room(self, why: str) -> None:
        if not self.stuck:
            self._listener.stands_still(why)
        self._no_room = True

    def _unblock(self, oid: ObjectId, blob: Blob) -> None:
        for uid, queue in list(self._held_back.items()):
            for entry in queue:
                if oid in entry.missing:
                    entry.missing.discard(oid)
                    entry.blobs[oid] = blob
            while queue and not queue[0].missing:
                self._ready.append(queue.popleft())
            if not queue:
                del self._held_back[uid]
        if self._ready:
            self._ask_flush()

    # ------------------------------------------------------------------ commits

    def _ask_flush(self) -> None:
        if not self._flush_asked and not self._committing:
            self._flush_asked = True
            self._loop.call_soon(self._flush)

    def _flush_later(self) -> None:
        """Let rows gather that nobody waits for: each commit takes time from what runs."""
        if self._gathering is None and not self._flush_asked and not self._committing:
            self._gathering = self._loop.call_at(self._loop.now() + _GATHER_S, self._flush)

    def _flush(self) -> None:
        self._flush_asked = False
        self._hurried = False
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        if self._committing or self._dead or not (self._ready or self._renewing):
            return
        for entry in self._ready:
            if entry.through is not None:
                self._commit_through(self._up_to(entry), entry.through)
                return
        if not self._queue.holds:  # what stood behind it could not go with it
            entries, self._ready = self._ready, []
            self._commit(entries)

    def _commit(self, entries: list[Entry]) -> None:
        self._committing = True
        rows = [durable(entry) if entry.blobs else entry.row for entry in entries]
        renew, self._renewing = self._renewing, False

        def done(appended: Appended, begun_at: float) -> None:
            self._commit_s = 0.8 * self._commit_s + 0.2 * (self._loop.now() - begun_at)
            self._committed(entries, appended, begun_at if renew else None)

        if self._commit_s < _INLINE_S and self._may_stand_still():
            begun_at = self._loop.now()
            try:
                appended = self._append_here(entries, rows, renew=renew)
            except WeftrunError as error:
                self._refused(error)
                return
            if appended is not None:
                done(appended, begun_at)
                return
        self._queue.put(lambda: self._journal.append(rows, renew=renew), done, self._refused)

    def _append_here(self, entries: list[Entry], rows: list[Row], *, renew: bool) -> Appended | None:
        """Append in the loop's thread, and meanwhile have ready what goes on then; None where this would have to wait.

        Outside the loop there is time to wait for what it lacks.
        """
        last = entries[-1] if entries else None
        is_prepared = (
            last is not None
            and (len(entries) == 1 or all(entry.run is last.run for entry in entries))
            and self._rows.prepare(last.run, last.row.seq)
        )
        try:
            appended = self._journal.append(rows, renew=renew, waits=False)
        except WeftrunError as error:
            if is_prepared:
                self._rows.prepared_over(is_durable=False)
            if isinstance(error, AGAIN):
                return None
            raise
        if is_prepared:
            self._rows.prepared_over(is_durable=not (appended.taken or appended.lost))
        return appended

    # ------------------------------------------------------------------ through a transaction

    def hold(self, work: Callable[[], T], granted: Callable[[T], None], failed: Callable[[WeftrunError], None]) -> None:
        """Do `work` in the Journal's lane between two commits, and let nothing change it from then on until `let_go`.

        What is ready now is committed before, so that no row waits for two of these.
        """
        if self._ready and not self._committing:
            self._flush()
        self._queue.put(work, lambda result, _: granted(result), failed, holds=True)

    def release(self) -> None:
        """Go on with what waits for the end of a hold."""
        self._queue.release()
        if self._ready or self._renewing:
            self._ask_flush()
        self._rest()

    def drop(self, uid: RunUid) -> None:
        """Forget all rows of a Run that are not on their way: it goes on from what is durable, here or elsewhere."""
        dropped = [entry for entry in self._ready if entry.row.uid == uid]
        self._ready = [entry for entry in self._ready if entry.row.uid != uid]
        self._undo([*dropped, *self._held_back.pop(uid, ())])

    def drop_all(self) -> None:
        """Forget all rows that are not on their way, at once: the session that they are of is gone.

        No row may outlive the opening of its Run: what becomes of rows is told by uid, and would be told of the Run as
        it is open then.
        """
        dropped, self._ready = self._ready, []
        held_back, self._held_back = self._held_back, {}
        self._undo([*dropped, *(entry for queue in held_back.values() for entry in queue)])

    @staticmethod
    def _undo(dropped: Sequence[Entry]) -> None:
        for entry in dropped:
            if entry.through is not None:
                entry.through.undo()

    def _up_to(self, last: Entry) -> list[Entry]:
        """Take the rows of a Run up to this one; whatever else is ready waits for the next commit."""
        uid, end = last.row.uid, self._ready.index(last)
        mine = [entry for entry in self._ready[: end + 1] if entry.row.uid == uid]
        self._ready = [entry for entry in self._ready[:end] if entry.row.uid != uid] + self._ready[end + 1 :]
        return mine

    def _commit_through(self, entries: list[Entry], through: Through) -> None:
        """Commit rows of one Run with what an author's transaction said; it is never done again."""
        self._committing = True
        rows = [durable(entry) if entry.blobs else entry.row for entry in entries]
        renew, self._renewing = self._renewing, False
        begun_at = self._loop.now()

        def done(appended: Appended) -> None:
            self._committed(entries, appended, begun_at if renew else None)
            through.over(None)

        def failed(error: WeftrunError) -> None:
            self._renewing = self._renewing or renew
            if isinstance(error, JournalError) and not isinstance(error, LeaseLost | JournalCorrupt):
                self._committing = False
                through.over(error)
                self._go_on()
            else:
                through.over(error)
                self._refused(error)

        def commit() -> Appended:
            return through.commit(rows, renew=renew)

        if self._queue.holds:  # it is what holds the Journal
            self._loop.offload(*do_and_report(commit, done, failed), lane=through.lane)
        else:
            self._queue.put_once(commit, done, failed, lane=through.lane)

    def _may_stand_still(self) -> bool:
        """Say whether the loop may do the Journal's work itself: nothing else could go on meanwhile."""
        return self._reads == 0 and not self._queue.open and self._worker.quiet and self._loop.idle()

    def _refused(self, error: WeftrunError) -> None:
        self._committing = False
        if isinstance(error, LeaseLost):
            self._give_up()
        elif not isinstance(error, AGAIN):  # these come only while the engine closes
            self._die(error)

    def _committed(self, entries: list[Entry], appended: Appended, renewed_at: float | None) -> None:
        self._committing = False
        if renewed_at is not None:
            self._listener.renewed(renewed_at)
        self.commits += 1
        self.rows += len(entries)
        # Of each Run the last row: what is durable before it is told by it.
        for entry in {entry.row.uid: entry for entry in entries}.values():
            if entry.row.uid in appended.taken:
                self._rows.id_taken(entry.run)
            elif entry.row.uid in appended.lost:
                self._rows.run_lost(entry.run)
            else:
                self._rows.durable(entry.run, entry.row.seq)
        self._go_on()

    def _go_on(self) -> None:
        if self._ready or self._renewing:
            if self._hurried or self._renewing:
                self._ask_flush()
            else:
                self._flush_later()
        elif self.idle:
            self._listener.rested()

    def _give_up(self) -> None:
        """The session is gone, and all rows with it."""
        self._listener.fenced()
        self._go_on()

    def _die(self, error: WeftrunError) -> None:
        if not self._dead:
            self._dead = True
            self._listener.broke(error if isinstance(error, JournalError) else InternalError(str(error)))

    # ------------------------------------------------------------------ the Journal between two commits

    def put_back(self, uids: Sequence[RunUid]) -> None:
        """Free these Runs, as far as the disk allows: they were given up in good order."""
        if uids:
            self.write(lambda: self._journal.put_back(uids), lambda _: None, lambda _: None)

    def give_up(self) -> None:
        """The engine closes: nothing waits any longer for the disk, or for another process."""
        self._queue.give_up()

    def write(self, work: Callable[[], T], done: Callable[[T], None], failed: Callable[[WeftrunError], None]) -> None:
        """Change something in the Journal after all writes before, outside the loop; then `done` or `failed` on it.

        What a full disk or another process forbids now is done again; `work` must allow that.
        """

        def worked(result: T, _: float) -> None:
            done(result)
            self._rest()

        def refused(error: WeftrunError) -> None:
            failed(error)
            self._rest()

        self._queue.put(work, worked, refused)

    def read(
        self,
        work: Callable[[], T],
        done: Callable[[T], None],
        failed: Callable[[WeftrunError], None],
        *,
        is_quick: bool = False,
    ) -> None:
        """Read something of the Journal between two commits, outside the loop; then `done` or `failed` on the loop.

        What `is_quick` is done in the loop where nothing else could go on meanwhile.
        """
        here = is_quick and self._may_stand_still()
        self._reads += 1
        run, tell = do_and_report(work, done, failed)

        def finished() -> None:
            self._reads -= 1
            tell()
            self._rest()

        if here:
            run()
            self._loop.call_soon(finished)
        else:
            self._loop.offload(run, finished, lane="journal")

    def _rest(self) -> None:
        if self.idle:
            self._listener.rested()
