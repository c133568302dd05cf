"""What the gateway does, apart from HTTP: it starts Runs of apps, waits for them, and makes JSON of what they gave."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import Struct

from weftrun.adapters.sqlite.gateway import Deployed, GatewayFile
from weftrun.adapters.system.entropy import SystemEntropy
from weftrun.assembly import EmbeddedCore, Look, Place, Reader, open_core
from weftrun.entrypoints.http import bundles
from weftrun.entrypoints.http.admitting import Admitting, free
from weftrun.entrypoints.http.apps import (
    App,
    Apps,
    Translators,
    bundle_of_file,
    check_app_name,
    deployed_app,
    loaded,
)
from weftrun.entrypoints.http.auditing import Auditing
from weftrun.entrypoints.http.callers import Caller
from weftrun.entrypoints.http.finding import found
from weftrun.entrypoints.http.problems import Refusal, not_found
from weftrun.entrypoints.http.readers import Readers
from weftrun.model.errors import RunNotFound
from weftrun.model.ids import RunId, RunUid, StepId
from weftrun.model.limits import DEFAULT_LIMITS
from weftrun.model.outcomes import Failure, Status
from weftrun.model.policy import Bundle, FunctionSpec
from weftrun.model.queues import QueueOptions
from weftrun.model.translation import Bind, Bound, Described, Render, Rendered
from weftrun.model.values import Inline, Payload
from weftrun.model.visiting import change_data
from weftrun.model.warm import MEASURED, Warm
from weftrun.ports.journal import RunInfo
from weftrun.runtime.tickets import Ticket
from weftrun.views.calls import start_of

_START_S = 30.0
"""A start that is not durable after so long, in seconds, is not waited for: the Journal stands still."""
_RUNS_KNOWN_MAX = 10_000
"""Of so many Runs that were started last the code is known, and their handles where they keep no records."""


class WantedRun(Struct, frozen=True):
    """A Run that a caller wants to have.

    Attributes:
        app: of the Function; None where its name says enough.
        function: its name in its module.
        arguments: JSON: an object by name, or an array by position.
        id: of the Run; None for a fresh one.
        durable: whether it keeps records; None for what its app says.
        traceparent: context of the caller, as W3C has it; empty where there is none.
        asked: of the queue that it is put into, by the name that the caller has for it.
    """

    app: str | None
    function: str
    arguments: bytes
    id: str | None
    durable: bool | None = None
    traceparent: str = ""
    asked: QueueOptions | None = None


class EndedRun(Struct, frozen=True):
    """A Run that has ended, as a caller gets it.

    Attributes:
        value: what a Run that succeeded gave; None for the others.
    """

    status: Status
    value: Rendered | None
    failure: Failure | None


class Gateway:
    """An engine on a Journal with the apps that it serves. Made by `Gateway.opened`, in the loop of the server.

    Attributes:
        core: the engine.
        file: what is kept of apps and tokens.
        readers: of its Journal.
        apps: what can be started.
        translators: processes that have imported apps.
        loop: of the server.
        starts: how many Runs were started or joined.
        admitting: lets starts in, by the quotas of tenants.
        auditing: keeps who did what; None where it asks nobody who they are.
        asks_for_tokens: whether each caller must say who they are.
        metrics: what is counted (`metrics.Metrics`).
        streams: how many streams of events are open.
        is_closing: whether the server goes down: whoever waits is answered with what is known.
    """

    def __init__(
        self, place: Place, core: EmbeddedCore, file: GatewayFile, *, asks_for_tokens: bool = False,
        runs_at_once: int | None = None,
    ) -> None:  # fmt: skip
        self.place = place
        self.file = file
        self._deploying = asyncio.Lock()
        self.core = core
        self.readers = Readers(place)
        self.apps = Apps()
        self.translators = Translators()
        self.loop = asyncio.get_running_loop()
        self.is_closing = False
        self._waiting: set[asyncio.Future[None]] = set()
        self._unkept: OrderedDict[RunId, Ticket] = OrderedDict()
        self._counted: set[Ticket] = set()
        self.streams = self.keep_warm = 0
        self.starts = 0
        self.asks_for_tokens = asks_for_tokens
        self.admitting = Admitting(file, runs_at_once)
        self.auditing = Auditing(file) if asks_for_tokens else None
        self.metrics: Any = None
        self._entropy = SystemEntropy()
        self._bundles: OrderedDict[RunUid, Bundle] = OrderedDict()

    @classmethod
    async def opened(
        cls,
        place: Place,
        files: list[Path],
        *,
        sandboxes: int | None = None,
        keep_alive_s: float = DEFAULT_LIMITS.sandbox_idle_s,
        recover: str = "all",
        strategy: str = "adaptive",
        asks_for_tokens: bool = False,
        runs_at_once: int | None = None,
        warm: Warm = MEASURED,
        keep_warm: int = 0,
    ) -> Gateway:
        """Open an engine, which takes over what a dead one left (`recover`), and import the apps in these files.

        A Sandbox that has had nothing to do for `keep_alive_s` seconds is ended, the last one, too. Beyond
        `runs_at_once` open Runs that were started here, starts wait, and are let in by fair shares of tenants. Of each
        app `keep_warm` Sandboxes are there before anything calls it.

        Raises:
            JournalError: the Journal can't be used.
            UsageError: a file has no app that can be served.
        """
        core = await asyncio.to_thread(
            open_core, place, sandboxes=sandboxes, recover=recover, strategy=strategy,
            warm=Warm(keep_alive_s, warm.bytes_max, warm.ahead, warm.is_measured),
        )  # fmt: skip
        file = GatewayFile(place.folder / "gateway.db")
        gateway = cls(place, core, file, asks_for_tokens=asks_for_tokens, runs_at_once=runs_at_once)
        gateway.keep_warm = keep_warm
        try:
            for kept in file.apps():
                gateway.put_app(deployed_app(kept))
            for source in files:
                bundle = bundle_of_file(source)
                app = await loaded(gateway.translators, "", bundle.module, bundle.digest, bundle, str(source))
                gateway.put_app(app)
        except BaseException:
            await gateway.close()
            raise
        return gateway

    def let_go(self) -> None:
        """Answer whoever waits with what is known, now and from now on. Called in the loop of the server."""
        self.is_closing = True
        self.admitting.let_go()
        for future in self._waiting:
            _set(future)

    async def close(self, drain_s: float = 5.0) -> None:
        """End: nothing new starts, what runs has `drain_s` seconds, and open Runs are free for other engines."""
        self.let_go()
        await asyncio.to_thread(self.core.close, drain_s=drain_s)
        await self.translators.close()
        await asyncio.to_thread(self.readers.close)
        if self.auditing is not None:
            self.auditing.write()
        self.file.close()

    # ------------------------------------------------------------------ deploying

    async def deploy(self, caller: Caller, name: str, body: bytes, entry: str | None) -> App:
        """Serve an app in the version that is in a bundle, once that is durable and imported.

        Raises:
            Refusal: the bundle is none, or what it requires can't be had.
            UsageError: its import fails, or it has no Function.
        """
        check_app_name(name)
        into = self.place.folder / "apps" / (caller.tenant or "-") / name
        async with self._deploying:
            folder, is_new = await asyncio.to_thread(bundles.unpack, body, into)
            try:
                app = await self._loaded(caller, name, folder, entry)
                kept = Deployed(
                    caller.tenant, name, app.version, Reader.now(), app.bundle, tuple(app.functions.values())
                )
                await asyncio.to_thread(self.file.put_app, kept)
            except BaseException:
                if is_new:
                    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
                raise
            self.put_app(app)
        return app

    def put_app(self, app: App) -> None:
        """Serve an app from now on in this version, and keep Sandboxes of it warm in place of those of the last one."""
        self._let_cool(app.tenant, app.name)
        self.apps.put(app)
        if self.keep_warm:
            for told in app.functions.values():
                self.core.keep_warm(told.function, app.bundle, self._kept_of(told.function))

    def _kept_of(self, function: FunctionSpec) -> int:
        """Return how many Sandboxes are kept for a Function: the bodies of workflows share one."""
        return 1 if function.kind.is_workflow else self.keep_warm

    def _let_cool(self, tenant: str, name: str) -> None:
        """Keep no Sandboxes of an app any more, unless another one that is served has the same code."""
        old = next((app for app in self.apps.of(tenant) if app.name == name), None)
        if old is None or not self.keep_warm or self.apps.count_with(old.bundle) > 1:
            return
        for told in old.functions.values():
            self.core.keep_warm(told.function, old.bundle, 0)

    async def _loaded(self, caller: Caller, name: str, folder: Path, entry: str | None) -> App:
        file = bundles.entry_of(folder, entry)
        await asyncio.to_thread(bundles.install, folder)
        bundle = bundles.bundle_of_version(folder, file)
        source = f"{file.name} of version {folder.name}"
        return await loaded(self.translators, caller.tenant, name, folder.name, bundle, source)

    async def remove(self, caller: Caller, name: str) -> None:
        """Serve an app no more.

        Raises:
            Refusal: there is none of this name.
        """
        self.apps.get(caller.tenant, name)
        await asyncio.to_thread(self.file.drop_app, caller.tenant, name)
        self._let_cool(caller.tenant, name)
        self.apps.remove(caller.tenant, name)

    # ------------------------------------------------------------------ starting

    async def start(self, caller: Caller, wanted: WantedRun, wait_s: float = 0.0) -> Ticket:
        """Start a Run, or join the one that has this id, and return once its start is durable.

        With `wait_s` it returns when the Run has ended, or after so many seconds once its start is durable: the end
        says both, so that a short Run is waited for once.

        Raises:
            Refusal: there is no such Function, the tenant has too much already, the Journal stands still, or a Run
                without records is to have an id.
            UsageError: the arguments don't fit.
            RunConflict: the id belongs to a Run of another Function or with other arguments.
        """
        app, described = self.apps.find(caller.tenant, wanted.app, wanted.function)
        durable = described.is_durable if wanted.durable is None else wanted.durable
        if wanted.id is not None and not durable:
            detail = f"A Run without records can't be found again by the id {wanted.id!r}: leave out one of both."
            raise Refusal(422, "id-without-records", detail)
        if wanted.asked is not None and not durable:
            raise Refusal(422, "queue-without-records", "A Run without records can't wait in a queue: leave one out.")
        id = self._id(caller, wanted, described)
        ended = await self.admitting.admit(caller.tenant, described.function)
        with contextlib.ExitStack() as undo:
            undo.callback(ended)
            ticket = await self._start(app, described, wanted, id, durable=durable)
            if ended is not free:
                self._count(ticket, ended)
            if wait_s > 0:
                await self._first_of(self.core.future(ticket), wait_s)
            await self._started(ticket)
            undo.pop_all()
        self._remember(ticket, app)
        self.starts += 1
        return ticket

    def _count(self, ticket: Ticket, ended: Callable[[], None]) -> None:
        """Let a Run count until it has ended, also where nobody waits for it: an engine forgets tickets nobody has."""
        self._counted.add(ticket)

        def over() -> None:
            self._counted.discard(ticket)
            ended()

        def told() -> None:
            self.loop.call_soon_threadsafe(over)

        self.core.when_ended(ticket, told)

    async def _start(self, app: App, described: Described, wanted: WantedRun, id: RunId, *, durable: bool) -> Ticket:
        bound = await self.bound(app, wanted.function, wanted.arguments, compares=wanted.id is not None)
        digest, *also = bound.digests or ("",)
        return self.core.start(
            id, described.function, app.bundle, self._payload(bound), digest, tuple(also),
            wait_start=False, durable=durable, is_fresh=wanted.id is None, asked=wanted.asked,
            traceparent=wanted.traceparent,
        )  # fmt: skip

    def _payload(self, bound: Bound) -> Payload:
        """Return arguments as the engine takes them."""
        is_small = len(bound.data) <= self.core.inline_bytes_max
        return Payload(Inline(bound.data) if is_small else self.core.publish([bound.data]))

    async def bound(self, app: App, function: str, arguments: bytes, *, compares: bool) -> Bound:
        """Return the encoded arguments of a Function of an app, and digests of them where they are to be compared.

        Raises:
            UsageError: the arguments don't fit.
        """
        translator = await self.translators.of(app.bundle)
        bound = await translator.ask(Bind(function, arguments, compares))
        assert isinstance(bound, Bound)
        return bound

    def _id(self, caller: Caller, wanted: WantedRun, described: Described) -> RunId:
        if wanted.id is not None:
            return RunId(caller.stored(wanted.id))
        return RunId(f"{caller.prefix}{described.function.label}-{self._entropy.uid()[:12]}")

    async def _started(self, ticket: Ticket) -> None:
        """Return when the start of a Run is durable; raises what is the matter with it."""
        if not ticket.started.is_open:
            try:
                async with asyncio.timeout(_START_S):
                    await self.core.started(ticket)
            except TimeoutError:
                raise Refusal(
                    503,
                    "journal-stands-still",
                    f"Run {ticket.id} could not be recorded within {_START_S:.0f} s, for "
                    f"{self.core.status(ticket)[1]}; ask again under the same id.",
                    headers={"Retry-After": "5"},
                ) from None
        if ticket.error is not None:
            raise ticket.error

    def _remember(self, ticket: Ticket, app: App) -> None:
        """Keep what the answer will need, and the handle of a Run that is found nowhere else."""
        self._bundles[ticket.uid] = app.bundle
        while len(self._bundles) > _RUNS_KNOWN_MAX:
            self._bundles.popitem(last=False)
        if not ticket.durable and not ticket.ended.is_open:
            self._unkept[ticket.id] = ticket
            while len(self._unkept) > _RUNS_KNOWN_MAX:
                self._unkept.popitem(last=False)

    # ------------------------------------------------------------------ finding and waiting

    async def info(self, caller: Caller, id: str) -> RunInfo:
        """Return what is known of a Run.

        Raises:
            Refusal: there is none, or it was deleted.
        """
        return await self.readers.read(lambda reader: found(reader, caller, id))

    async def look(self, caller: Caller, id: str) -> Look:
        """Return all that can be seen of a Run; raises as `info` does."""
        return await self.readers.read(lambda reader: reader.look(found(reader, caller, id)))

    async def ticket(self, caller: Caller, id: str) -> Ticket:
        """Return the engine's handle of a Run; raises as `info` does."""
        unkept = self._unkept.get(RunId(caller.stored(id)))
        if unkept is not None:
            return unkept
        return await self._asked(self.core.find(RunId(caller.stored(id)), wait_start=False), id)

    async def retry(self, caller: Caller, id: str) -> Ticket:
        """Begin another life of a Run, and return its handle.

        Raises:
            Refusal: there is none.
            UsageError: it goes on, or has succeeded.
        """
        stored = RunId(caller.stored(id))
        # In a thread: it reads the Journal first, to see whether the Run may have undone its work.
        return await self._asked(await asyncio.to_thread(self.core.retry, stored, wait_start=False), id)

    async def fork(
        self, caller: Caller, id: str, step: str, new: str | None, arguments: bytes | None, *, force: bool
    ) -> Ticket:
        """Start a fork of a Run with the code of now, where an app has it, and return its handle.

        Args:
            arguments: JSON of those of the new Run; None for those of the Run that is forked.

        Raises:
            Refusal: there is no such Run, or nothing has its Function and arguments are given.
            UsageError: it goes on, or no fork can begin there.
            RunConflict: the new id belongs to another Run.
        """
        stored = caller.stored(id)
        begun = await self.readers.read(lambda reader: start_of(reader.load(found(reader, caller, id).uid)))
        function, bundle, args, digest = begun.function, begun.bundle, None, ""
        served = self.apps.serving(caller.tenant, function.name)
        if served is not None:
            app, described = served
            function, bundle = described.function, app.bundle
            if arguments is not None:
                bound = await self.bound(app, described.name, arguments, compares=True)
                args, digest = self._payload(bound), bound.digests[0] if bound.digests else ""
        elif arguments is not None:
            detail = f"No app here has {function.name}, so that arguments can't be read: leave `args` out."
            raise Refusal(422, "no-app", detail)
        name = RunId(caller.stored(new) if new is not None else f"{stored}-fork-{self._entropy.uid()[:6]}")
        fork = partial(self.core.fork, RunId(stored), StepId(step), name, function, bundle, args, digest, force=force)
        return await asyncio.to_thread(fork)

    async def _asked(self, ticket: Ticket, id: str) -> Ticket:
        try:
            await self._started(ticket)
        except RunNotFound:
            raise not_found(id) from None
        return ticket

    async def ended(self, ticket: Ticket, wait_s: float) -> bool:
        """Wait for the end of a Run, for so many seconds at most; say whether it has ended.

        Raises:
            Exception: what is the matter where it will not end, such as `ReplayDiverged`.
        """
        if not ticket.ended.is_open and wait_s > 0:
            await self._first_of(self.core.future(ticket), wait_s)
        if ticket.error is not None:
            raise ticket.error
        return ticket.end is not None

    async def _first_of(self, awaited: asyncio.Future[None] | None, wait_s: float) -> None:
        """Wait for what is awaited, for the end of the server, or for so many seconds."""
        future = awaited if awaited is not None else self.loop.create_future()
        if self.is_closing:
            return
        self._waiting.add(future)
        over = self.loop.call_later(wait_s, _set, future)
        try:
            await future
        finally:
            over.cancel()
            self._waiting.discard(future)

    async def pause(self, seconds: float, ticket: Ticket | None = None) -> None:
        """Wait for so many seconds, or less: until the Run has ended, or the server goes down."""
        if ticket is not None and not ticket.ended.is_open:
            await self._first_of(self.core.future(ticket), seconds)
        else:
            await self._first_of(None, seconds)

    async def flush_trace(self) -> None:
        """Return when what Attempts have printed so far can be read."""
        await self.readers.read(lambda _: self.core.flush_trace())

    async def answer(self, ticket: Ticket) -> EndedRun:
        """Return what a Run that has ended gave.

        Raises:
            UsageError: its value can't be read by the code that there is.
        """
        end = ticket.end
        assert end is not None
        if end.failure is not None or end.answer is None:
            return EndedRun(end.status, None, end.failure)
        tree = change_data(end.answer, lambda data: Inline(bytes(self.core.read(data))))
        translator = await self.translators.of(await self._bundle(ticket))
        rendered = await translator.ask(Render(tree))
        assert isinstance(rendered, Rendered)
        return EndedRun(end.status, rendered, None)

    async def _bundle(self, ticket: Ticket) -> Bundle:
        """Return the code that a Run was started with."""
        known = self._bundles.get(ticket.uid)
        if known is None:
            known = await self.readers.read(lambda reader: start_of(reader.load(ticket.uid)).bundle)
            self._bundles[ticket.uid] = known
        return known


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
