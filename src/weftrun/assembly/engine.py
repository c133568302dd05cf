"""An engine in this process, wired."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import math
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import cast, get_args

from msgspec.structs import replace

from weftrun.adapters.cron import CronCalendar
from weftrun.adapters.files.blobs import FileBlobs
from weftrun.adapters.files.lock import EngineLocks
from weftrun.adapters.memfd import MemfdObjects
from weftrun.adapters.process import ProcessSandboxes
from weftrun.adapters.sqlite.trace import SqliteTrace
from weftrun.adapters.system.clock import wall
from weftrun.adapters.system.descriptors import DESCRIPTOR_LIMIT, descriptors_needed
from weftrun.adapters.system.entropy import SystemEntropy
from weftrun.adapters.system.loop import UvLoop
from weftrun.adapters.system.processes import ProcessWatch
from weftrun.assembly.cluster import Cluster, Workers, cluster_of
from weftrun.assembly.places import Place, hints_of, made_sentence, place_of, transactions_of
from weftrun.assembly.planning import Planning
from weftrun.assembly.reader import Reader, running_views
from weftrun.assembly.retrying import check_fork, check_undone
from weftrun.assembly.schedules import check_timetable, times_of
from weftrun.assembly.signalling import judged_signal
from weftrun.assembly.sinks import checked_sinks
from weftrun.assembly.strategies import checked_strategy
from weftrun.assembly.telemetry import spans_of
from weftrun.assembly.versions import Versions, code_of
from weftrun.assembly.warming import checked_count, checked_warm
from weftrun.machines.placement import Planner
from weftrun.model.commands import Ahead, StartRules
from weftrun.model.errors import InternalError, JournalError, RunNotFound, Unsupported, UsageError, WeftrunError
from weftrun.model.hosts import Begin
from weftrun.model.ids import RunId, RunUid, StepId, WorkerId
from weftrun.model.lease import Session
from weftrun.model.limits import DEFAULT_LIMITS, Limits
from weftrun.model.placement import Expected, Placement
from weftrun.model.policy import Bundle, FunctionSpec
from weftrun.model.schedules import KeptSchedule
from weftrun.model.strategy import ADAPTIVE, Strategy
from weftrun.model.values import Data, Payload
from weftrun.model.warm import UNRULED, Warm, WarmCounts
from weftrun.ports.journal import Journal
from weftrun.ports.sinks import Sink
from weftrun.ports.spans import Spans
from weftrun.ports.trace import WorkerRow
from weftrun.ports.worker import Worker
from weftrun.runtime.engine import EngineCore
from weftrun.runtime.forking import ForkAsked
from weftrun.runtime.tickets import Latch, Reply, Ticket
from weftrun.runtime.tracing import engine_name
from weftrun.runtime.waits import ShownWaits
from weftrun.runtime.worker_driver import WorkerDriver
from weftrun.runtime.worker_group import WorkerGroup
from weftrun.sdk.handles import Engine
from weftrun.sdk.program import BEGAN_AT, program_here
from weftrun.sdk.schedules import Change
from weftrun.views.notebook import notebook
from weftrun.views.published import is_over, published
from weftrun.views.step import StepView
from weftrun.views.steps import steps
from weftrun.views.trace import TextView, texts

_RECOVER_S = 60.0
_SANDBOXES_MAX = 10_000
_TTL_MIN_S = 0.5
"""A Lease that is renewed three times in this time must outlast a slow disk."""


def open_engine(
    url: str | None = None, *, recover: str = "all", sandboxes: int | None = None, cluster: str | None = None,
    control: str = "worker", data: str = "local", trigger: str = "data", placement: str = "planned",
    pressure: str = "on", lease_ttl_s: float | None = None,
    sinks: Mapping[str, Sink] | None = None, limits: Limits = DEFAULT_LIMITS, tells: bool = False,
    telemetry: object = None, strategy: str | Strategy | None = None, versions: str = "any",
    warm: Warm | None = None,
) -> Engine:  # fmt: skip
    """Open an engine on a Journal. See `weftrun.open`. A Journal that it makes is logged if it `tells`.

    Raises:
        JournalError: the Journal can't be used.
    """
    place = place_of(url)
    is_new = place.is_missing
    core = open_core(
        place, recover=recover, sandboxes=sandboxes, cluster=cluster, control=control, data=data,
        trigger=trigger, placement=placement, pressure=pressure, lease_ttl_s=lease_ttl_s, sinks=sinks,
        limits=limits, telemetry=telemetry, strategy=strategy, versions=versions, warm=warm,
    )  # fmt: skip
    if is_new and tells:
        logging.getLogger("weftrun").warning("%s", made_sentence(place))
    return Engine(core)


def open_core(
    place: Place, *, recover: str = "all", sandboxes: int | None = None, cluster: str | None = None,
    control: str = "worker", data: str = "local", trigger: str = "data", placement: str = "planned",
    pressure: str = "on", lease_ttl_s: float | None = None,
    sinks: Mapping[str, Sink] | None = None, limits: Limits = DEFAULT_LIMITS, telemetry: object = None,
    strategy: str | Strategy | None = None, versions: str = "any", warm: Warm | None = None,
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
    if warm is not None:
        limits = replace(limits, sandbox_idle_s=checked_warm(warm).keep_alive_s)
    _check_choice("control", control, ("worker", "master"))
    _check_choice("data", data, ("local", "store"))
    _check_choice("trigger", trigger, ("data", "control"))
    _check_choice("placement", placement, get_args(Placement))
    _check_choice("pressure", pressure, ("on", "off"))
    if pressure == "off":
        limits = replace(limits, transfer_hold_s=0.0)
    _check_choice("versions", versions, get_args(Versions))
    _check_recover(recover, place)
    where = cluster_of(cluster)
    ahead = Ahead.NOTHING if where is None else Ahead.ARMED if control == "worker" else Ahead.KNOWN
    return EmbeddedCore(
        place, recover, sandboxes, where, limits, checked_sinks(sinks),
        starts=StartRules(ahead, on_outputs=trigger == "data"),
        placement=cast("Placement", placement),
        store_folder=str(place.folder / "store") if data == "store" else "",
        spans=spans_of(telemetry),
        strategy=checked_strategy(strategy, cluster),
        versions=cast("Versions", versions),
        warm=warm or UNRULED,
    )  # fmt: skip


def _check_choice(name: str, given: str, known: Sequence[str]) -> None:
    """Refuse what is none of the values that a setting takes."""
    if given not in known:
        takes = " or ".join(map(repr, known)) if len(known) == 2 else f"one of {', '.join(map(repr, known))}"
        raise UsageError(f"{name}={given!r} is not known: it takes {takes}.")


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


class EmbeddedCore(EngineCore):
    """An engine in this process (`sdk.handles.Core`): the core, with adapters of this host, which it opens and closes.

    Args:
        starts: how Steps come to start.
        placement: how Steps get their Workers.
        store_folder: where Objects lie as files; empty where they lie in memory.
        spans: where spans go; None for nowhere.
        strategy: by what rule Invocations get their Sandboxes.
        warm: which Sandboxes are kept or made though nothing needs them.
        versions: which code Runs go on with.

    Attributes:
        journal: URL of its Journal for people: absolute, and without a password.
    """

    def __init__(
        self,
        place: Place,
        recover: str,
        sandboxes: int | None,
        cluster: Cluster | None,
        limits: Limits,
        sinks: Mapping[str, Sink],
        *,
        starts: StartRules,
        placement: Placement,
        store_folder: str,
        spans: Spans | None = None,
        strategy: Strategy = ADAPTIVE,
        warm: Warm = UNRULED,
        versions: Versions = "any",
    ) -> None:
        place.check_folder()
        self.journal = place.shown
        self._place = place
        self._closing = False
        self._workers: Workers | None = None
        self._placement, self._strategy, self._rules = placement, strategy, warm
        self._planning: Planning | None = None
        self._left = Latch()
        self._cluster, self._store_folder = cluster, store_folder
        with contextlib.ExitStack() as opened:
            if cluster is not None:
                opened.callback(cluster.close)
            if spans is not None:
                opened.callback(spans.close)
            self._locks = opened.enter_context(contextlib.closing(EngineLocks(place.folder)))
            entropy = SystemEntropy()
            journal = place.open(entropy)
            opened.callback(journal.close)
            transactions = opened.enter_context(contextlib.closing(transactions_of(place, journal)))
            self._trace = SqliteTrace(place.folder / "trace.db")
            opened.callback(self._trace.close)
            blobs = FileBlobs(place.folder / "blobs")
            code = opened.enter_context(contextlib.closing(code_of(versions, place)))
            self._hints = hints_of(place)
            worker = self._wire(journal, blobs, cluster, sandboxes, limits, entropy, opened)
            self._here = worker if isinstance(worker, WorkerDriver) else None
            super().__init__(
                loop=self._uv_loop, journal=journal, blobs=blobs, trace=self._trace, liveness=self._locks,
                objects=self._objects, worker=worker, entropy=entropy, transactions=transactions, limits=limits,
                program=program_here(), code=code, stands_still=_say_still, sinks=sinks, watch=self._watch,
                hints=self._hints, starts=starts, calendar=CronCalendar(), wall=wall, spans=spans,
                own=self._here,
            )  # fmt: skip
            for sink in sinks.values():
                opened.callback(_close_sink, sink)
            self._opened = opened.pop_all()
        self._uv_loop.start()
        atexit.register(self._at_exit)
        try:
            self._recover(recover)
        except BaseException:
            self.close(drain_s=0.0)
            raise

    def _wire(
        self,
        journal: Journal,
        blobs: FileBlobs,
        cluster: Cluster | None,
        sandboxes: int | None,
        limits: Limits,
        entropy: SystemEntropy,
        opened: contextlib.ExitStack,
    ) -> Worker:
        """Make what executes, and what it needs; nothing of it holds anything of the host's before the loop starts."""
        if self._store_folder:
            Path(self._store_folder).mkdir(parents=True, exist_ok=True)
        folder = self._place.folder
        quota_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4
        hash_seed = journal.meta().hash_seed
        objects = MemfdObjects(
            folder, quota_bytes=quota_bytes, descriptors_max=limits.descriptors_max, open_blob=blobs.open,
            store_folder=self._store_folder,
        )  # fmt: skip
        self._objects = objects
        opened.callback(objects.close)
        self._uv_loop = UvLoop(self._failed)
        self._processes = ProcessWatch(self._uv_loop)
        opened.callback(self._processes.close)
        open_files_max = DESCRIPTOR_LIMIT.raise_to(descriptors_needed(limits))
        self._sandboxes = ProcessSandboxes(
            self._uv_loop, objects, limits=limits, hash_seed=hash_seed, open_files_max=open_files_max,
            since=BEGAN_AT, store_folder=self._store_folder, shares=self._strategy.shares,
        )  # fmt: skip
        here = sandboxes or sandboxes_by_default()
        worker = WorkerDriver(
            self._uv_loop, self._sandboxes, objects, limits, here, strategy=self._strategy,
            rules=self._rules if cluster is None else UNRULED,
        )  # fmt: skip
        if cluster is None:
            worker.tell_warm = partial(self._show_warm, here)
            return worker
        first = Begin(
            WorkerId(0), here, limits, hash_seed, open_files_max, str(folder), quota_bytes, self._store_folder,
            secret=entropy.uid().encode(), warm=self._rules,
        )  # fmt: skip
        return self._group(worker, cluster, first, sandboxes)

    def _group(self, engine: Worker, cluster: Cluster, first: Begin, sandboxes: int | None) -> WorkerGroup:
        """Return the Workers of this engine: the one in this process for bodies, and those of a cluster for Functions.

        Args:
            first: what a Worker is told that has this host for itself, but for its number.
            sandboxes: how many each has, where the author says it.
        """
        limits, shared_by = first.limits, cluster.sharing
        planner = Planner(self._placement, cluster.network, first.quota_bytes / shared_by)
        if self._placement != "hash":
            self._planning = Planning(self._place, self._uv_loop, planner)
        group = WorkerGroup(self._uv_loop, engine, planner, limits.lease_ttl_s, limits.sandbox_start_s, self._trace)

        def begin(worker: WorkerId, processors: int | None = None) -> Begin:
            each = sandboxes or processors or max(1, first.sandboxes_max // shared_by)
            bytes_max = first.warm.bytes_max
            warm = replace(first.warm, bytes_max=None if bytes_max is None else bytes_max // shared_by)
            quota_bytes = first.quota_bytes // shared_by
            return replace(first, worker=worker, sandboxes_max=each, quota_bytes=quota_bytes, warm=warm)

        self._workers = cluster.workers(
            self._uv_loop, self._objects, "weftrun.assembly.worker_process", begin, group.joined, group.met
        )
        self._uv_loop.call_soon(self._workers.start)
        return group

    def _recover(self, recover: str) -> None:
        """Take over what a dead engine left; whoever looks on sees from now on what Runs wait for."""
        self._driver.waits = ShownWaits(self._uv_loop, self._trace, self._driver.is_open)
        ready = Latch()
        self.open(recover, ready)
        if not ready.wait(_RECOVER_S):
            raise JournalError(f"The open Runs could not be taken over within {_RECOVER_S:.0f} s.")
        self.check()

    def _watch(self, sessions: Sequence[Session], ended: Callable[[], None]) -> None:
        self._processes.watch([session.pid for session in sessions if self._locks.is_here(session)], ended)

    def _failed(self, error: BaseException) -> None:
        """Say that weftrun has a bug, and stop rather than go on with half a decision."""
        bug = InternalError(f"weftrun has a bug: {type(error).__name__}: {error}")
        logging.getLogger("weftrun").error("%s", bug, exc_info=error)
        self.broke(bug, error)
        self._left.open()  # what closing waits for may never come

    def _show_warm(self, sandboxes_max: int, counts: WarmCounts) -> None:
        """Let those see it that look from another process."""
        rows = [WorkerRow(0, sandboxes_max, self._uv_loop.now(), warm=counts)]
        self._uv_loop.offload(lambda: self._trace.show_workers(engine_name(), rows), lambda: None, lane="trace")

    @property
    def warm(self) -> WarmCounts | None:
        """What there is to tell of Sandboxes that wait for work; None where they are in other processes."""
        return self._here.warm if self._here is not None else None

    # ------------------------------------------------------------------ sdk.handles.Core

    def keep_warm(self, function: FunctionSpec, bundle: Bundle, count: int) -> None:
        """Let so many Sandboxes be there for a Function, or for the body of a Workflow, though nothing waits."""
        self.check()
        worker, wanted = self._here, checked_count(count)
        if worker is None:
            raise Unsupported("Sandboxes are kept warm in the engine's own Worker only: open it without `cluster=`.")
        self._uv_loop.call_from_thread(lambda: worker.keep_warm(bundle, function, wanted))

    def expect(self, function: FunctionSpec, expected: Mapping[str, Expected]) -> None:
        """Say what the Steps of a Workflow are expected to need, by label; what earlier Runs took counts more."""
        if self._planning is not None:
            self._planning.recall(function, expected)

    def retry(self, id: RunId, *, wait_start: bool = True, force: bool = False) -> Ticket:
        """Begin another life of a Run; without `force` not of one that may have undone its work."""
        if not force:
            reader = Reader(self._place)
            try:
                if (info := reader.find(id)) is not None and info.can_be_retried:
                    check_undone(reader, id, info.uid)
            finally:
                reader.close()
        return super().retry(id, wait_start=wait_start)

    @property
    def held_up_by(self) -> str | None:
        """What this engine waits for before it can record anything: `disk`, `lock` (of the Journal), or None."""
        return self._committer.stuck or None

    def function_of(self, id: RunId) -> str:
        """Return the name of the Function whose Run this is; `RunNotFound` where there is none."""
        with contextlib.closing(Reader(self._place)) as reader:
            info = reader.find(id)
        if info is None:
            raise RunNotFound(f"No Run has the id {id!r} in the Journal {self.journal}.")
        return info.function

    def fork(
        self, run: RunId, step: StepId, id: RunId | None, function: FunctionSpec, bundle: Bundle,
        args: Payload | None, digest: str, *, force: bool,
    ) -> Ticket:  # fmt: skip
        """Start a Run that is a fork of another one; without `force` not where that may have undone its work."""
        if not force:
            with contextlib.closing(Reader(self._place)) as reader:
                info = reader.find(run)
                if info is not None and info.can_be_retried:
                    check_fork(reader, run, info.uid, step)
        return self.start_fork(id, ForkAsked(run, step, function, self.code.begun_with(bundle), args, digest))

    async def started(self, ticket: Ticket) -> None:
        """Wait in the running asyncio loop until a Run's start is durable."""
        await _future(lambda callback: self.when_started(ticket, callback))
        if ticket.error is not None:
            raise ticket.error

    def future(self, ticket: Ticket) -> asyncio.Future[None]:
        """Return what to await for a Run's end in the running asyncio loop."""
        return _future(lambda callback: self.when_ended(ticket, callback))

    def steps(self, ticket: Ticket) -> list[StepView]:
        """Return the Steps of a Run as far as they are recorded, and what runs of it here."""
        seen = [row for row in self._trace.running(ticket.uid) if row.pid == os.getpid()]
        trace = self._trace.read(ticket.uid)
        return steps(self.rows(ticket), trace, running_views(seen, lives=True))

    def notebook(self, ticket: Ticket) -> str | None:
        """Return a Run as static HTML; None where it keeps no records, or they can't be read now."""
        try:
            rows = self.rows(ticket)
            status, waiting_for = self.status(ticket)
        except WeftrunError:
            return None
        seen = [row for row in self._trace.running(ticket.uid) if row.pid == os.getpid()]
        running, trace = running_views(seen, lives=True), self._trace.read(ticket.uid)
        now = wall()
        return notebook(rows, trace, running, status=status, waiting_for=waiting_for, now=now) if rows else None

    def logs(self, ticket: Ticket) -> list[TextView]:
        """Return what the Attempts of a Run printed."""
        self.check_kept(ticket)
        self.flush_trace()
        return texts(self._trace.read(ticket.uid))

    def judged_signal(self, ticket: Ticket, name: str, value: object) -> str:
        """Return what is to be said of a signal before it is sent; `SignalRefused` where its type is another one."""
        if not ticket.durable or not ticket.uid:
            return ""
        infos = self._read(lambda: self._journal.infos([ticket.uid]))
        waiting_for = infos[0].waiting_for if infos else None
        if waiting_for is None and infos and infos[0].owner:
            waiting_for = self._awaited_here(ticket.uid)
        return judged_signal(ticket.id, name, value, waiting_for, lambda: self._trace.read(ticket.uid))

    def _awaited_here(self, uid: RunUid) -> str:
        """Return what a Run that this engine holds waits for now; empty where it goes on, or another one has it."""
        reply: Reply[str] = Reply()
        self._uv_loop.call_from_thread(lambda: reply.done(self._driver.awaited_by(uid)))
        return reply.wait(self.check)

    def published(self, ticket: Ticket, name: str) -> tuple[list[Data], bool]:
        """Return the encoded events of one name that a Run has published so far, and whether it has ended."""
        rows = self.rows(ticket)
        return published(rows, name), is_over(rows)

    def put_schedule(self, wanted: KeptSchedule) -> KeptSchedule:
        """Create a schedule, or give the one that has its id another definition."""
        check_timetable(wanted.when)
        wanted = replace(wanted, bundle=self.code.begun_with(wanted.bundle))
        return self.on_schedules(lambda book: book.create(wanted))

    def schedule(self, id: str) -> KeptSchedule:
        """Return the schedule with this id."""
        return self.on_schedules(lambda book: book.get(id))

    def schedules(self) -> list[KeptSchedule]:
        """Return all schedules, by their ids."""
        return self.on_schedules(lambda book: book.all())

    def change_schedule(self, id: str, change: Change) -> None:
        """Pause, resume or delete a schedule."""
        self.on_schedules(lambda book: book.change(id, change))

    def trigger_schedule(self, id: str) -> str:
        """Let a schedule start a Run beside its times, and return the id of that Run."""
        return self.on_schedules(lambda book: book.trigger(id))

    def schedule_times(self, id: str, count: int) -> list[float]:
        """Return the next times of a schedule, in seconds since the epoch."""
        return times_of(self.schedule(id), count)

    def close(self, *, drain_s: float) -> None:
        """End the engine and everything it started."""
        if self._closing or self._pid != os.getpid():
            return
        self._closing = True
        atexit.unregister(self._at_exit)
        drained = Latch()
        self.drain(drained)
        drained.wait(drain_s)
        self.end(self._left)
        self._left.wait(None)
        gone = Latch()

        def end_sandboxes() -> None:
            if self._workers is not None:
                self._workers.close()
            self._sandboxes.close()
            gone.open()

        self._uv_loop.call_from_thread(end_sandboxes)
        gone.wait(None)
        if self._cluster is not None:
            self._trace.show_workers(engine_name(), [])
            self._cluster.close()
        for hints in self._hints:
            hints.close()
        self._uv_loop.stop()
        self._opened.close()

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


def _close_sink(sink: Sink) -> None:
    with contextlib.suppress(Exception):  # anybody's sink, and nothing hangs on how it ends
        sink.close()
