"""An engine in this process, wired."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import math
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from weftrun.adapters.files.blobs import FileBlobs
from weftrun.adapters.files.lock import EngineLocks
from weftrun.adapters.memfd import MemfdObjects
from weftrun.adapters.process import ProcessSandboxes
from weftrun.adapters.sqlite.trace import SqliteTrace
from weftrun.adapters.system.descriptors import DESCRIPTOR_LIMIT, descriptors_needed
from weftrun.adapters.system.entropy import SystemEntropy
from weftrun.adapters.system.loop import UvLoop
from weftrun.adapters.system.processes import ProcessWatch
from weftrun.assembly.cluster import Cluster, Workers, cluster_of
from weftrun.assembly.code import code_changed, code_here
from weftrun.assembly.places import Place, hints_of, made_sentence, place_of, transactions_of
from weftrun.assembly.reader import Reader, running_views
from weftrun.assembly.retrying import check_undone
from weftrun.assembly.sinks import checked_sinks
from weftrun.model.commands import End
from weftrun.model.errors import InternalError, JournalError, RunNotFound, UsageError
from weftrun.model.hosts import Begin
from weftrun.model.ids import RunId, WorkerId
from weftrun.model.lease import Session
from weftrun.model.limits import DEFAULT_LIMITS, Limits
from weftrun.model.outcomes import Status
from weftrun.model.policy import Bundle, FunctionSpec
from weftrun.model.records import Row
from weftrun.model.values import Data, Payload
from weftrun.ports.journal import RunInfo
from weftrun.ports.sinks import Sink
from weftrun.ports.worker import Worker
from weftrun.runtime.engine import Engine as RuntimeEngine
from weftrun.runtime.tickets import Latch, Ticket
from weftrun.runtime.worker_driver import WorkerDriver
from weftrun.runtime.worker_group import WorkerGroup
from weftrun.sdk.handles import Engine
from weftrun.sdk.program import BEGAN_AT, program_here
from weftrun.sdk.registry import version_here
from weftrun.views.step import StepView
from weftrun.views.steps import steps
from weftrun.views.trace import TextView, texts

_RECOVER_S = 60.0
_CONTROLS = ("worker", "master")
_DATA = ("local", "store")
_TRIGGERS = ("data", "control")
_SANDBOXES_MAX = 10_000
_TTL_MIN_S = 0.5
"""A Lease that is renewed three times in this time must outlast a slow disk."""


def open_engine(
    url: str | None = None, *, recover: str = "all", sandboxes: int | None = None, cluster: str | None = None,
    control: str = "worker", data: str = "local", trigger: str = "data", lease_ttl_s: float | None = None,
    sinks: Mapping[str, Sink] | None = None, limits: Limits = DEFAULT_LIMITS, tells: bool = False,
) -> Engine:  # fmt: skip
    """Open an engine on a Journal. See `weftrun.open`. A Journal that it makes is logged if it `tells`.

    Raises:
        JournalError: the Journal can't be used.
    """
    place = place_of(url)
    is_new = place.is_missing
    _check_recover(recover, place)
    core = open_core(
        place, recover=recover, sandboxes=sandboxes, cluster=cluster, control=control, data=data,
        trigger=trigger, lease_ttl_s=lease_ttl_s, sinks=sinks, limits=limits,
    )  # fmt: skip
    if is_new and tells:
        logging.getLogger("weftrun").warning("%s", made_sentence(place))
    return Engine(core)


def open_core(
    place: Place, *, recover: str = "all", sandboxes: int | None = None, cluster: str | None = None,
    control: str = "worker", data: str = "local", trigger: str = "data", lease_ttl_s: float | None = None,
    sinks: Mapping[str, Sink] | None = None, limits: Limits = DEFAULT_LIMITS,
) -> EmbeddedCore:  # fmt: skip
    """Open what is behind an `Engine`, for those who encode and decode values elsewhere. See `weftrun.open`.

    Raises:
        JournalError: the Journal can't be used.
    """
    if sandboxes is not None and not (type(sandboxes) is int and 1 <= sandboxes <= _SANDBOXES_MAX):
        raise UsageError(
            f"sandboxes={sandboxes!r} is not a number of Sandboxes: "
            f"it takes a whole number from 1 to {_SANDBOXES_MAX:,}."
        )
    if lease_ttl_s is not None:
        if not _TTL_MIN_S <= lease_ttl_s < math.inf:
            raise UsageError(f"lease_ttl_s={lease_ttl_s} can't be held: it takes {_TTL_MIN_S:g} seconds or more.")
        limits = replace(limits, lease_ttl_s=lease_ttl_s)
    if data not in _DATA:
        raise UsageError(f"data={data!r} is not known: it takes {' or '.join(map(repr, _DATA))}.")
    if trigger not in _TRIGGERS:
        raise UsageError(f"trigger={trigger!r} is not known: it takes {' or '.join(map(repr, _TRIGGERS))}.")
    if trigger == "control":
        limits = replace(limits, early_outputs=False)
    if data == "store":
        if cluster is not None and not cluster.startswith("local:"):
            raise UsageError(f"data='store' is for Workers of this host: not for cluster={cluster!r} yet.")
        limits = replace(limits, store_folder=str(place.folder / "store"))
    where = cluster_of(cluster)
    if control not in _CONTROLS:
        raise UsageError(f"control={control!r} is not known: it takes {' or '.join(map(repr, _CONTROLS))}.")
    return EmbeddedCore(place, recover, sandboxes, where, control, limits, checked_sinks(sinks))


def _check_recover(recover: str, place: Place) -> None:
    """Refuse the id of a Run that the Journal does not have: it is more often a slip than meant."""
    if recover in ("all", "none"):
        return
    if type(recover) is not str:
        raise UsageError(f"recover={recover!r} is not known: it takes 'all', 'none', or the id of a Run.")
    known = None
    if not place.is_missing:
        with contextlib.closing(place.open_to_read()) as reader:
            known = reader.find(RunId(recover))
    if known is None or known.deleted:
        raise RunNotFound(
            f"recover={recover!r} is neither 'all' nor 'none', and {place.shown} has no Run with this id."
        )


def sandboxes_by_default() -> int:
    """Return how many processors this process may use: an affinity or a `taskset` counts, not what the host has."""
    return len(os.sched_getaffinity(0))


class EmbeddedCore:
    """An engine in this process, with everything it owns (`sdk.handles.Core`)."""

    def __init__(
        self,
        place: Place,
        recover: str,
        sandboxes: int | None,
        cluster: Cluster | None,
        control: str,
        limits: Limits,
        sinks: dict[str, Sink],
    ) -> None:
        self._arms = cluster is not None and control == "worker"
        place.check_folder()
        folder = place.folder
        self._place = place
        self.journal = place.shown
        self._closed = False
        self._workers: Workers | None = None
        self._left = Latch()
        self._pid = os.getpid()
        self._sinks = sinks
        self._cluster = cluster
        with contextlib.ExitStack() as undo:
            if cluster is not None:
                undo.callback(cluster.close)
            self._locks = EngineLocks(folder)
            undo.callback(self._locks.close)
            self._entropy = SystemEntropy()
            self._journal = place.open(self._entropy)
            undo.callback(self._journal.close)
            self._transactions = transactions_of(self._journal)
            self._hints = hints_of(place)
            self._blobs = FileBlobs(folder / "blobs")
            self._trace = SqliteTrace(folder / "trace.db")
            undo.callback(self._trace.close)
            self._wire(folder, sandboxes, cluster, limits)
            undo.pop_all()
        self._loop.start()
        atexit.register(self._at_exit)
        try:
            self._recover(recover)
        except BaseException:
            self.close(drain_s=0.0)
            raise

    def _wire(self, folder: Path, sandboxes: int | None, cluster: Cluster | None, limits: Limits) -> None:
        """Make what holds nothing of the host's before the loop is started."""
        if limits.store_folder:
            Path(limits.store_folder).mkdir(parents=True, exist_ok=True)
        quota_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4
        hash_seed = self._journal.meta().hash_seed
        self._objects = MemfdObjects(
            folder,
            quota_bytes=quota_bytes,
            descriptors_max=limits.descriptors_max,
            open_blob=self._blobs.open,
            store_folder=limits.store_folder,
        )
        self._loop = UvLoop(self._failed)
        self._processes = ProcessWatch(self._loop)
        open_files_max = DESCRIPTOR_LIMIT.raise_to(descriptors_needed(limits))
        self._sandboxes = ProcessSandboxes(
            self._loop, self._objects, limits=limits, hash_seed=hash_seed, open_files_max=open_files_max,
            since=BEGAN_AT,
        )  # fmt: skip
        here = sandboxes or sandboxes_by_default()
        worker: Worker = WorkerDriver(self._loop, self._sandboxes, self._objects, limits, here)
        if cluster is not None:
            first = Begin(WorkerId(0), here, limits, hash_seed, open_files_max, str(folder), quota_bytes)
            worker = self._group(worker, cluster, first, sandboxes)
        self._engine = RuntimeEngine(
            loop=self._loop,
            journal=self._journal,
            blobs=self._blobs,
            trace=self._trace,
            liveness=self._locks,
            objects=self._objects,
            worker=worker,
            entropy=self._entropy,
            transactions=self._transactions,
            limits=limits,
            version_here=version_here,
            program=program_here(),
            code_here=code_here,
            code_changed=code_changed,
            stands_still=_say_still,
            sinks=self._sinks,
            watch=self._watch,
            hints=self._hints,
            arms=self._arms,
        )

    def _group(self, engine: Worker, cluster: Cluster, first: Begin, sandboxes: int | None) -> WorkerGroup:
        """Return the Workers of this engine: the one in this process for bodies, and those of a cluster for Functions.

        Args:
            first: what a Worker is told that has this host for itself, but for its number.
            sandboxes: how many each has, where the author says it.
        """
        limits, shared_by = first.limits, cluster.sharing
        group = WorkerGroup(self._loop, engine, limits.lease_ttl_s, limits.sandbox_start_s)

        def begin(worker: WorkerId, processors: int | None = None) -> Begin:
            each = sandboxes or processors or max(1, first.sandboxes_max // shared_by)
            return replace(first, worker=worker, sandboxes_max=each, quota_bytes=first.quota_bytes // shared_by)

        self._workers = cluster.workers(
            self._loop, self._objects, "weftrun.assembly.worker_process", begin, group.joined
        )
        self._loop.call_soon(self._workers.start)
        return group

    def _recover(self, recover: str) -> None:
        """Take over what a dead engine left."""
        ready = Latch()
        self._engine.open(recover, ready)
        if not ready.wait(_RECOVER_S):
            raise JournalError(f"The open Runs could not be taken over within {_RECOVER_S:.0f} s.")
        self._engine.check()

    def _watch(self, sessions: Sequence[Session], ended: Callable[[], None]) -> None:
        self._processes.watch([session.pid for session in sessions if self._locks.is_here(session)], ended)

    def _failed(self, error: BaseException) -> None:
        """Say that weftrun has a bug, and stop rather than go on with half a decision."""
        bug = InternalError(f"weftrun has a bug: {type(error).__name__}: {error}")
        logging.getLogger("weftrun").error("%s", bug, exc_info=error)
        self._engine.broke(bug, error)
        self._left.open()  # what closing waits for may never come

    # ------------------------------------------------------------------ sdk.handles.Core

    @property
    def inline_bytes_max(self) -> int:
        """Encoded values up to this size travel inline."""
        return self._engine.inline_bytes_max

    @property
    def commits(self) -> int:
        """How many transactions this engine has committed."""
        return self._engine.commits

    @property
    def runs_open(self) -> int:
        """How many open Runs this engine has."""
        return self._engine.owned()

    @property
    def state(self) -> str:
        """What can be had of it: `open`, `closed` or `broken`."""
        if self._closed:
            return "closed"
        return "broken" if self._engine.is_broken else "open"

    def start(
        self,
        id: RunId | None,
        function: FunctionSpec,
        bundle: Bundle,
        args: Payload,
        digest: str,
        also: tuple[str, ...] = (),
        *,
        wait_start: bool,
        durable: bool = True,
    ) -> Ticket:
        """Start a Run or join the one with this id."""
        return self._engine.start(id, function, bundle, args, digest, also, wait_start=wait_start, durable=durable)

    def find(self, id: RunId, *, wait_start: bool = True) -> Ticket:
        """Return the ticket of a Run that exists."""
        return self._engine.find(id, wait_start=wait_start)

    def retry(self, id: RunId, *, wait_start: bool = True, force: bool = False) -> Ticket:
        """Begin another life of a Run that failed, was cancelled, or waits for code."""
        if not force:
            reader = Reader(self._place)
            try:
                if (info := reader.find(id)) is not None and info.can_be_retried:
                    check_undone(reader, id, info.uid)
            finally:
                reader.close()
        return self._engine.retry(id, wait_start=wait_start)

    def wait(self, ticket: Ticket, timeout_s: float | None) -> End:
        """Wait for a Run's end."""
        return self._engine.wait(ticket, timeout_s)

    async def started(self, ticket: Ticket) -> None:
        """Wait in the running asyncio loop until a Run's start is durable."""
        await _future(lambda callback: self._engine.when_started(ticket, callback))
        if ticket.error is not None:
            raise ticket.error

    def future(self, ticket: Ticket) -> Awaitable[None]:
        """Return what to await for a Run's end in the running asyncio loop."""
        return _future(lambda callback: self._engine.when_ended(ticket, callback))

    def status(self, ticket: Ticket) -> tuple[Status, str | None]:
        """Return the status of a Run and what it stands still for."""
        if ticket.end is not None:
            return ticket.end.status, None
        return ("running" if ticket.started.is_open else "pending"), self._engine.waiting_for(ticket)

    def steps(self, ticket: Ticket) -> list[StepView]:
        """Return the Steps of a Run as far as they are recorded, and what runs of it here."""
        seen = [row for row in self._trace.running(ticket.uid) if row.pid == self._pid]
        trace = self._trace.read(ticket.uid)
        return steps(self.rows(ticket), trace, running_views(seen, lives=True))

    def rows(self, ticket: Ticket) -> list[Row]:
        """Return the durable rows of a Run; `UsageError` where it keeps none."""
        _check_kept(ticket)
        return self._engine.rows(ticket)

    def logs(self, ticket: Ticket) -> list[TextView]:
        """Return what the Attempts of a Run printed."""
        _check_kept(ticket)
        self.flush_trace()
        return texts(self._trace.read(ticket.uid))

    def flush_trace(self) -> None:
        """Return when what Attempts have printed so far is in the trace."""
        self._engine.flush_trace()

    def runs(self, limit: int, before: int | None = None) -> list[RunInfo]:
        """Return Runs, newest first."""
        return self._engine.infos(limit, before)

    def cancel(self, ticket: Ticket) -> None:
        """Ask for a Run to be cancelled."""
        self._engine.cancel(ticket)

    def signal(self, ticket: Ticket, name: str, value: bytes, message: str) -> None:
        """Send a signal to a Run."""
        self._engine.signal(ticket, name, value, message)

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
        self._engine.close(self._left)
        self._left.wait(None)
        gone = Latch()

        def end_sandboxes() -> None:
            if self._workers is not None:
                self._workers.close()
            self._sandboxes.close()
            gone.open()

        self._loop.call_from_thread(end_sandboxes)
        gone.wait(None)
        if self._cluster is not None:
            self._cluster.close()
        for hints in self._hints:
            hints.close()
        self._loop.stop()
        for sink in self._sinks.values():
            with contextlib.suppress(Exception):  # anybody's sink, and nothing hangs on how it ends
                sink.close()
        self._processes.close()
        self._objects.close()
        self._trace.close()
        self._transactions.close()
        self._journal.close()
        self._locks.close()

    def _at_exit(self) -> None:
        self.close(drain_s=0.0)


def _future(call_back: Callable[[Callable[[], None]], None]) -> asyncio.Future[None]:
    """Return a future of the running asyncio loop that is done when, in another thread, somebody is called back."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def arrive() -> None:
        if not future.done():  # whoever waited may have been cancelled
            future.set_result(None)

    def came() -> None:
        with contextlib.suppress(RuntimeError):  # the author's loop is closed: nobody waits any more
            loop.call_soon_threadsafe(arrive)

    call_back(came)
    return future


def _say_still(why: str) -> None:
    logging.getLogger("weftrun").warning("%s Runs stand still until then.", why)


def _check_kept(ticket: Ticket) -> None:
    if not ticket.durable:
        raise UsageError(
            f"{ticket.id} was started with durable=False: of its Steps and what they printed nothing is kept."
        )
