"""Objects, Blobs and Trace in memory: what the simulated process holds, and what its simulated disk keeps."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence

from weftrun.model.errors import InternalError, JournalCorrupt, UsageError
from weftrun.model.ids import ObjectId, RunUid, SessionUid
from weftrun.model.lease import Session
from weftrun.model.values import Blob, Object
from weftrun.ports.blobs import Blobs
from weftrun.ports.trace import RunningRow, TraceRow, WaitRow, WorkerRow, text_of


class MemoryBlobs:
    """The port Blobs. It outlives the simulated process."""

    def __init__(self) -> None:
        """Make an empty store."""
        self._bytes: dict[str, bytes] = {}
        self._removed: dict[str, bytes] = {}

    def put(self, descriptor: int, nbytes: int) -> Blob:
        """Store the bytes of an open file."""
        data = os.pread(descriptor, nbytes, 0)
        if len(data) != nbytes:
            raise UsageError(f"a file of {len(data)} bytes was handed in as one of {nbytes}")
        name = hashlib.sha256(data).hexdigest()
        self._bytes[name] = data
        return Blob(name, nbytes)

    def open(self, blob: Blob) -> int:
        """Return a new descriptor of the blob."""
        return _memfd(self.read(blob))

    def read(self, blob: Blob) -> bytes:
        """Return the bytes of the blob; `JournalCorrupt` if it is missing or has another size."""
        data = self._bytes.get(blob.sha256)
        if data is None or len(data) != blob.nbytes:
            raise JournalCorrupt(f"blob {blob.sha256} is missing or has another size than {blob.nbytes} bytes")
        return data

    def verify(self, blob: Blob) -> bool:
        """Say whether the content has its name."""
        return hashlib.sha256(self.read(blob)).hexdigest() == blob.sha256

    def names(self) -> Iterable[str]:
        """Return the name of every stored blob."""
        return tuple(self._bytes)

    def remove(self, sha256: str) -> int:
        """Remove a blob, if it is there; return how many bytes it had."""
        self._removed[sha256] = data = self._bytes.pop(sha256, b"")
        return len(data)

    def as_written(self, blob: Blob) -> bytes:
        """Return the bytes of a blob whether or not it was removed, for those who judge a history."""
        return self._bytes[blob.sha256] if blob.sha256 in self._bytes else self._removed[blob.sha256]


class MemoryObjects:
    """The port Objects. It dies with the simulated process; using an Object that was released is an error at once."""

    def __init__(self, blobs: Blobs) -> None:
        """Make an empty store that attaches blobs from `blobs`."""
        self._blobs = blobs
        self._bytes: dict[ObjectId, bytes] = {}
        self._holders: dict[ObjectId, int] = {}
        self._descriptors: dict[ObjectId, int] = {}
        self._last = 0
        self._published = 0
        self._closed = False
        self._tell_freed: Callable[[ObjectId], None] = lambda _: None

    @property
    def is_empty(self) -> bool:
        """Whether there is no Object."""
        return not self._bytes

    def publish(self, pieces: Sequence[bytes | memoryview]) -> Object:
        """Make an Object of these pieces."""
        return self._keep(b"".join(pieces))

    def adopt(self, descriptor: int, nbytes: int) -> Object:
        """Take over a descriptor."""
        data = os.pread(descriptor, nbytes + 1, 0)
        os.close(descriptor)
        if len(data) != nbytes:
            raise UsageError(f"an Object of {nbytes} bytes was told, but its file has another size")
        return self._keep(data)

    def attach(self, blob: Blob) -> Object:
        """Make an Object of a blob."""
        return self.adopt(self._blobs.open(blob), blob.nbytes)

    def descriptor(self, oid: ObjectId) -> int:
        """Return a descriptor of a held Object."""
        self._check(oid)
        if oid not in self._descriptors:
            self._descriptors[oid] = _memfd(self._bytes[oid])
        return self._descriptors[oid]

    def view(self, oid: ObjectId) -> memoryview:
        """Return the bytes of a held Object."""
        self._check(oid)
        return memoryview(self._bytes[oid])

    def hold(self, oid: ObjectId) -> None:
        """Add a holder."""
        self._check(oid)
        self._holders[oid] += 1

    def release(self, oid: ObjectId) -> None:
        """Remove a holder; after the end of the process nobody holds anything any more."""
        if self._closed:
            return
        self._check(oid)
        self._holders[oid] -= 1
        if not self._holders[oid]:
            del self._holders[oid], self._bytes[oid]
            if oid in self._descriptors:
                os.close(self._descriptors.pop(oid))
            self._tell_freed(oid)

    def when_freed(self, tell: Callable[[ObjectId], None]) -> None:
        """Say whom to tell of what has no holder any more."""
        self._tell_freed = tell

    def stats(self) -> dict[str, int]:
        """Return how much is held."""
        return {
            "objects": len(self._bytes),
            "object_bytes": sum(map(len, self._bytes.values())),
            "descriptors": len(self._descriptors),
            "spilled": 0,
            "spilled_bytes": 0,
            "published_bytes": self._published,
        }

    def close(self) -> None:
        """Release everything."""
        self._closed = True
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._descriptors.clear()
        self._bytes.clear()
        self._holders.clear()

    def _keep(self, data: bytes) -> Object:
        self._last += 1
        oid = ObjectId(self._last)
        self._bytes[oid] = data
        self._holders[oid] = 1
        self._published += len(data)
        return Object(oid, len(data))

    def _check(self, oid: ObjectId) -> None:
        if oid not in self._holders:
            raise InternalError(f"Object {oid} was released, or never made, before this use of it")


class MemoryLiveness:
    """The port Liveness for engines of simulated hosts.

    Args:
        living: sessions of processes that live, shared by all engines.
        host: only of processes of the same host it can be told that they ended.
    """

    def __init__(self, living: set[SessionUid], host: str) -> None:
        self._living = living
        self._host = host
        self._own: SessionUid | None = None

    def begin(self, uid: SessionUid, ttl_s: float) -> Session:
        """Return a new session of this process."""
        self.close()
        self._own = uid
        self._living.add(uid)
        return Session(uid, self._host, 1, "", ttl_s)

    def ended(self, session: Session) -> bool:
        """Say whether the process of a session has ended."""
        return session.host == self._host and session.uid not in self._living

    def forget(self, session: Session) -> None:
        """Nothing is left of it here."""

    def close(self) -> None:
        """End this process's own session."""
        if self._own is not None:
            self._living.discard(self._own)


class MemoryTrace:
    """The port Trace. What was written since the last crash may be lost in one."""

    def __init__(self, keeps: Callable[[], bool]) -> None:
        """Make an empty trace; `keeps` says for each row, at a crash, whether it had reached the disk."""
        self._keeps = keeps
        self._rows: list[TraceRow] = []
        self._unsynced: list[TraceRow] = []
        self._running: dict[str, list[RunningRow]] = {}
        self._workers: dict[str, list[WorkerRow]] = {}
        self._waits: dict[str, list[WaitRow]] = {}

    def write(self, rows: Sequence[TraceRow]) -> None:
        """Keep rows."""
        self._unsynced.extend(rows)

    def read(self, run: RunUid) -> list[TraceRow]:
        """Return the rows of a Run."""
        return [row for row in self._rows + self._unsynced if row.run == run]

    def show_running(self, engine: str, rows: Sequence[RunningRow]) -> None:
        """Say what an engine sees running, in the place of what it said before."""
        self._running[engine] = list(rows)

    def end_running(self, run: RunUid) -> None:
        """Say that what was seen running of a Run runs no more; what had been printed is kept."""
        self._unsynced.extend(map(text_of, self.running(run)))
        self._forget(run)

    def running(self, run: RunUid) -> list[RunningRow]:
        """Return what was seen running of a Run."""
        return sorted(
            (row for rows in self._running.values() for row in rows if row.run == run), key=lambda row: row.entered_at
        )

    def show_workers(self, engine: str, rows: Sequence[WorkerRow]) -> None:
        """Say which Workers an engine has, in the place of what it said before."""
        self._workers[engine] = list(rows)

    def workers(self) -> dict[str, list[WorkerRow]]:
        """Return by engine which Workers it has said to have last."""
        return {engine: rows for engine, rows in self._workers.items() if rows}

    def show_waits(self, engine: str, rows: Sequence[WaitRow]) -> None:
        """Say what Runs wait for that an engine holds in memory, in the place of what it said before."""
        self._waits[engine] = list(rows)

    def waits(self) -> list[WaitRow]:
        """Return what Runs were seen waiting for last, of all engines."""
        return [row for rows in self._waits.values() for row in rows]

    def _forget(self, run: RunUid) -> None:
        self._waits = {name: [row for row in rows if row.run != run] for name, rows in self._waits.items()}
        self._running = {name: [row for row in rows if row.run != run] for name, rows in self._running.items()}

    def delete(self, run: RunUid) -> None:
        """Forget the rows of a Run, and what was seen running of it."""
        self._rows = [row for row in self._rows if row.run != run]
        self._unsynced = [row for row in self._unsynced if row.run != run]
        self._forget(run)

    def crash(self) -> None:
        """Lose what had not reached the disk."""
        self._rows.extend(row for row in self._unsynced if self._keeps())
        self._unsynced.clear()

    def close(self) -> None:
        """Nothing to release."""


def _memfd(data: bytes) -> int:
    descriptor = os.memfd_create("weftrun-sim", os.MFD_CLOEXEC)
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    return descriptor
