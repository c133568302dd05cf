"""The one place that chooses adapters from options and wires an engine."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
from collections.abc import Awaitable, Sequence
from pathlib import Path

from weftrun.adapters.files.blobs import FileBlobs
from weftrun.adapters.files.lock import EngineLock
from weftrun.adapters.memfd import MemfdObjects
from weftrun.adapters.process import ProcessSandboxes
from weftrun.adapters.sqlite.journal import SqliteJournal
from weftrun.adapters.sqlite.reading import SqliteReader
from weftrun.adapters.sqlite.trace import SqliteTrace
from weftrun.adapters.system.clock import pause
from weftrun.adapters.system.descriptors import DESCRIPTOR_LIMIT, descriptors_needed
from weftrun.adapters.system.entropy import SystemEntropy
from weftrun.adapters.system.loop import UvLoop
from weftrun.machines.run import changed_code
from weftrun.model.commands import End
from weftrun.model.errors import InternalError, JournalError, UsageError
from weftrun.model.ids import RunId, RunUid
from weftrun.model.limits import DEFAULT_LIMITS, Limits
from weftrun.model.outcomes import Status
from weftrun.model.policy import Bundle, FunctionSpec
from weftrun.model.records import Row
from weftrun.model.values import Blob, Data, Inline, Payload
from weftrun.ports.journal import Message, RunInfo
from weftrun.ports.trace import TraceRow
from weftrun.runtime.engine import Engine as RuntimeEngine
from weftrun.runtime.tickets import Latch, Ticket
from weftrun.sdk.function import version_here
from weftrun.sdk.handles import Engine
from weftrun.views.steps import StepView, steps
from weftrun.views.trace import TextView, texts

_DEFAULT_URL = "sqlite:///.weftrun/journal.db"
_RECOVER_S = 60.0


def journal_path(url: str | None) -> Path:
    """Return the file of a Journal's URL.

    Args:
        url: `sqlite:///relative/or/absolute.db`; None takes `$WEFTRUN_DATABASE_URL`, else `.weftrun/journal.db`.

    Raises:
        UsageError: the URL is of another kind, or names no file.
    """
    given = url if url is not None else os.environ.get("WEFTRUN_DATABASE_URL") or _DEFAULT_URL
    prefix = "sqlite:///"
    if not given.startswith(prefix) or len(given) == len(prefix) or "\0" in given:
        raise UsageError(
            f"{given!r} is not the URL of a Journal: write sqlite:///path/to/file.db "
            "(four slashes before an absolute path)."
        )
    return Path(given[len(prefix) :]).absolute()


def _folder(path: Path) -> Path:
    return path.with_name(path.name + ".d")


def open_engine(
    url: str | None = None, *, recover: str = "all", workers: int | None = None, limits: Limits = DEFAULT_LIMITS
) -> Engine:
    """Open an engine on a Journal. See `weftrun.open`.

    Raises:
        JournalError: the Journal can't be used.
    """
    if workers is not None and workers < 1:
        raise UsageError(f"workers={workers} is not a number of Sandboxes: it takes 1 or more.")
    return Engine(_EmbeddedCore(journal_path(url), recover, workers or workers_by_default(), limits))


def workers_by_default() -> int:
    """Return how many processors this process may use: an affinity or a `taskset` counts, not what the host has."""
    return len(os.sched_getaffinity(0))


class _EmbeddedCore:
    """An engine in this process, with everything it owns (`sdk.handles.Core`)."""

    def __init__(self, path: Path, recover: str, workers: int, limits: Limits) -> None:
        folder = _folder(path)
        self._closed = False
        self._pid = os.getpid()
        with contextlib.ExitStack() as undo:
            self._lock = EngineLock(folder, path)
            undo.callback(self._lock.close)
            self._entropy = SystemEntropy()
            self._journal = SqliteJournal(path, self._entropy, pause)
            undo.callback(self._journal.close)
            self._blobs = FileBlobs(folder / "blobs")
            self._trace = SqliteTrace(folder / "trace.db")
            undo.callback(self._trace.close)
            self._wire(folder, workers, limits)
            undo.pop_all()
        self._loop.start()
        atexit.register(self._at_exit)
        try:
            self._recover(path, recover)
        except BaseException:
            self.close(drain_s=0.0)
            raise

    def _wire(self, folder: Path, workers: int, limits: Limits) -> None:
        """Make what holds nothing of the host's before the loop is started."""
        quota_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4
        hash_seed = self._journal.meta().hash_seed
        self._objects = MemfdObjects(
            folder, quota_bytes=quota_bytes, descriptors_max=limits.descriptors_max, open_blob=self._blobs.open
        )
        self._loop = UvLoop(self._failed)
        open_files_max = DESCRIPTOR_LIMIT.raise_to(descriptors_needed(limits))
        self._sandboxes = ProcessSandboxes(
            self._loop, self._objects, limits=limits, hash_seed=hash_seed, open_files_max=open_files_max
        )
        self._engine = RuntimeEngine(
            loop=self._loop,
            journal=self._journal,
            blobs=self._blobs,
            trace=self._trace,
            objects=self._objects,
            sandboxes=self._sandboxes,
            entropy=self._entropy,
            limits=limits,
            sandboxes_max=workers,
            version_here=version_here,
        )

    def _recover(self, path: Path, recover: str) -> None:
        """Take over what a dead engine left."""
        ready = Latch()
        self._engine.open(recover, ready)
        if not ready.wait(_RECOVER_S):
            raise JournalError(f"The Runs in {path} could not be taken over within {_RECOVER_S:.0f} s.")
        self._engine.check()

    def _failed(self, error: BaseException) -> None:
        """Say that weftrun has a bug, and stop rather than go on with half a decision."""
        self._engine.broke(InternalError(f"weftrun has a bug: {type(error).__name__}: {error}"), error)

    # ------------------------------------------------------------------ sdk.handles.Core

    @property
    def inline_bytes_max(self) -> int:
        """Encoded values up to this size travel inline."""
        return self._engine.inline_bytes_max

    @property
    def commits(self) -> int:
        """How many transactions this engine has committed."""
        return self._engine.commits

    def start(
        self,
        id: RunId | None,
        function: FunctionSpec,
        bundle: Bundle,
        args: Payload,
        digest: str,
        *,
        wait_start: bool,
        durable: bool = True,
    ) -> Ticket:
        """Start a Run or join the one with this id."""
        return self._engine.start(id, function, bundle, args, digest, wait_start=wait_start, durable=durable)

    def find(self, id: RunId) -> Ticket:
        """Return the ticket of a Run that exists."""
        return self._engine.find(id)

    def wait(self, ticket: Ticket, timeout_s: float | None) -> End:
        """Wait for a Run's end."""
        return self._engine.wait(ticket, timeout_s)

    def future(self, ticket: Ticket) -> Awaitable[None]:
        """Return what to await for a Run's end in the running asyncio loop."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()

        def arrive() -> None:
            if not future.done():
                future.set_result(None)

        def ended() -> None:
            loop.call_soon_threadsafe(arrive)

        self._engine.when_ended(ticket, ended)
        return future

    def status(self, ticket: Ticket) -> tuple[Status, str | None]:
        """Return the status of a Run and what it stands still for."""
        if ticket.end is not None:
            return ticket.end.status, None
        return ("running" if ticket.started.is_open else "pending"), self._engine.waiting_for(ticket)

    def steps(self, ticket: Ticket) -> list[StepView]:
        """Return the Steps of a Run as far as they are recorded."""
        return steps(self.rows(ticket), self._trace.read(ticket.uid))

    def rows(self, ticket: Ticket) -> list[Row]:
        """Return the durable rows of a Run; `UsageError` where it keeps none."""
        _check_kept(ticket)
        return self._engine.rows(ticket)

    def logs(self, ticket: Ticket) -> list[TextView]:
        """Return what the Attempts of a Run printed."""
        _check_kept(ticket)
        self._engine.flush_trace()
        return texts(self._trace.read(ticket.uid))

    def runs(self, limit: int) -> list[RunInfo]:
        """Return Runs, newest first."""
        return self._engine.infos(limit)

    def cancel(self, ticket: Ticket) -> None:
        """Ask for a Run to be cancelled."""
        self._engine.cancel(ticket)

    def publish(self, pieces: Sequence[bytes | memoryview]) -> Data:
        """Make an Object of a large encoded value."""
        return self._engine.publish(pieces)

    def read(self, data: Data) -> bytes | memoryview:
        """Return the bytes of an answer."""
        return self._engine.read(data)

    def close(self, *, drain_s: float) -> None:
        """End the engine and everything it started."""
        if self._closed or self._pid != os.getpid():
            return
        self._closed = True
        atexit.unregister(self._at_exit)
        drained = Latch()
        self._engine.drain(drained)
        drained.wait(drain_s)
        self._engine.close()
        gone = Latch()

        def end_sandboxes() -> None:
            self._sandboxes.close()
            gone.open()

        self._loop.call_from_thread(end_sandboxes)
        gone.wait(None)
        self._loop.stop()
        self._objects.close()
        self._trace.close()
        self._journal.close()
        self._lock.close()

    def _at_exit(self) -> None:
        self.close(drain_s=0.0)


def _check_kept(ticket: Ticket) -> None:
    if not ticket.durable:
        raise UsageError(
            f"{ticket.id} was started with durable=False: of its Steps and what they printed nothing is kept."
        )


class Reader:
    """A Journal as those see it who only look on, beside a running engine or without one.

    Where it lies is not judged here: an engine has done that when it was made.

    Args:
        path: of the Journal's file.

    Raises:
        JournalError: there is no Journal, or it can't be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._journal = SqliteReader(path)
        self._blobs = FileBlobs(_folder(path) / "blobs", writable=False)

    def find(self, id: str) -> RunInfo | None:
        """Return what is known of a Run, tombstones included."""
        return self._journal.find(RunId(id))

    def runs(self, *, status: Status | None = None, limit: int = 100) -> list[RunInfo]:
        """Return Runs, newest first."""
        return self._journal.runs(status=status, limit=limit)

    def load(self, uid: RunUid) -> list[Row]:
        """Return all rows of a Run in order."""
        return self._journal.load(uid)

    def changed_code(self, uid: RunUid) -> str:
        """Return a sentence that names the Functions whose code is another one in this process; empty for none."""
        return changed_code(self.load(uid), version_here)

    def trace(self, uid: RunUid) -> list[TraceRow]:
        """Return the trace of a Run; what was not written before a crash is missing."""
        trace = SqliteTrace(_folder(self._path) / "trace.db", writable=False)
        try:
            return trace.read(uid)
        finally:
            trace.close()

    def read(self, data: Data) -> bytes:
        """Return the bytes of a recorded value."""
        if isinstance(data, Inline):
            return data.data
        if not isinstance(data, Blob):
            raise TypeError("a recorded value is inline or a blob")
        descriptor = self._blobs.open(data)
        with os.fdopen(descriptor, "rb") as file:
            return file.read()

    def post_cancel(self, id: str) -> None:
        """Ask the engine that owns a Run, now or later, to cancel it."""
        info = self._journal.find(RunId(id))
        if info is None:
            raise UsageError(f"No Run has the id {id!r}.")
        entropy = SystemEntropy()
        journal = SqliteJournal(self._path, entropy, pause, create=False, allow_tmpfs=True)
        try:
            journal.post(Message(entropy.uid(), info.uid, "cancel"))
        finally:
            journal.close()

    def delete(self, id: str, *, forget: bool) -> RunInfo | None:
        """Delete an ended Run's records and the blobs that nobody else names (G1)."""
        journal = SqliteJournal(self._path, SystemEntropy(), pause, create=False, allow_tmpfs=True)
        try:
            info = journal.delete(RunId(id), forget=forget)
            if info is not None:
                self._remove_blobs(journal)
                trace = SqliteTrace(_folder(self._path) / "trace.db")
                trace.delete(info.uid)
                trace.close()
            return info
        finally:
            journal.close()

    def _remove_blobs(self, journal: SqliteJournal) -> None:
        """Remove blobs that no record names. Only without an engine: it may have written one that comes to be named."""
        try:
            lock = EngineLock(_folder(self._path), self._path)
        except JournalError:
            return
        try:
            named = journal.blobs_named()
            for name in list(self._blobs.names()):
                if name not in named:
                    self._blobs.remove(name)
        finally:
            lock.close()

    def close(self) -> None:
        """Let go of the file."""
        self._journal.close()


def open_reader(url: str | None = None) -> Reader:
    """Open a Journal read-only. See `Reader`."""
    return Reader(journal_path(url))
