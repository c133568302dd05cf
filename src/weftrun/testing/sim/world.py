"""A simulated world: engines on simulated ports, their clients, their crashes, and what the outside saw of it."""

from __future__ import annotations

import functools
import gc
import shutil
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import msgspec

from weftrun.adapters.sqlite.journal import SqliteJournal
from weftrun.adapters.sqlite.reading import SqliteReader
from weftrun.model.commands import End
from weftrun.model.emits import Emitted
from weftrun.model.errors import EngineClosed, JournalError, LeaseLost, QueueFull, UsageError
from weftrun.model.ids import RunId, RunUid
from weftrun.model.policy import Bundle
from weftrun.model.queues import QueueCounts
from weftrun.model.records import Row, Started
from weftrun.model.values import Data, Inline, Payload
from weftrun.ports.journal import Journal, Message
from weftrun.runtime.tickets import Latch, Ticket
from weftrun.sdk.canonical import digest
from weftrun.sdk.codec import decode_tree, encode
from weftrun.sdk.function import Function
from weftrun.testing.sim.actors import Actor
from weftrun.testing.sim.awaiting import DUES, SentSignal
from weftrun.testing.sim.chance import Chance, SeededEntropy
from weftrun.testing.sim.client import SimClient
from weftrun.testing.sim.faults import Crash, Faults
from weftrun.testing.sim.ledger import Ledger
from weftrun.testing.sim.loop import SimLoop
from weftrun.testing.sim.memory import MemoryBlobs, MemoryTrace
from weftrun.testing.sim.outside import ByName
from weftrun.testing.sim.process import Ground, Process
from weftrun.testing.sim.register import Register
from weftrun.testing.sim.settings import Outage, Settings
from weftrun.testing.sim.sinks import SimSink, SinkKind
from weftrun.testing.sim.transacting import Written, table_of
from weftrun.testing.sim.unfit import UnfitDeploy
from weftrun.testing.validating import validating

__all__ = ["SimClient", "Outage", "Settings", "World"]

_AGAIN_S = (0.0, 0.1)
"""How long a client waits before it asks another engine."""

_CALLS_BEFORE = 6
"""A claim may have to wait for so many other calls of the Journal."""
_REST_WAITS = 6
"""After the last disturbance a message may wait for: what is under way, a session that was lost, the next one, a take,
a renewal, a take that comes in time to send."""
_SLOW_WAITS = 200
"""A history may wait so often for a slow Journal: where transactions outlast Leases engines lose Runs to each other."""


class World:
    """One history.

    Attributes:
        ledger: what was entered.
        register: what the Journal really did; `rows` are its committed rows by Run.
        unkept: Runs that keep no records.
        unfit: numbers of the processes that have had code that does not fit, and went on with Runs all the same.
        left: the Objects, living Sandboxes, open transactions, timers and sessions that were there when all was over.
        actors: who acts in it beside clients and faults.
        loaded: the rows of each Run as the Journal gives them back in the end.
        written: what transactions have left in their table.
        sinks: where what is emitted goes, by name; `delivery_statuses` holds that of each emit, by its key.
    """

    def __init__(
        self,
        seed: int,
        folder: Path,
        functions: Sequence[Function[..., Any]],
        *,
        faults: Faults | None = None,
        settings: Settings | None = None,
    ) -> None:
        """Make a world without an engine; `run` opens them.

        Args:
            functions: what Sandboxes can enter; others are found by their names.
        """
        self.seed = seed
        self.settings = settings or Settings()
        self.faults = faults or Faults()
        self.loop = SimLoop(Chance(seed, "loop"))
        self.ledger = Ledger()
        self.blobs = MemoryBlobs()
        self.register = Register(self.ledger, self.blobs, self.loop.now)
        self.register.slow_s = _CALLS_BEFORE * max(
            bound for bounds in (*self.settings.lanes.values(), (0.0, 0.0)) for bound in bounds
        )
        self.rows = self.register.rows
        self.clients: list[SimClient] = []
        self.unkept: set[RunUid] = set()
        self.left: dict[str, int] = {}
        self.written: Written = Written()
        self.actors: list[Actor[World]] = []
        self.sinks: dict[str, SimSink] = {}
        self.delivery_statuses: dict[str, Emitted] = {}
        self.path = folder / f"journal-{seed}.db"
        self._chance = Chance(seed, "world")
        self.trace = MemoryTrace(lambda: self._chance.happens(0.5))
        self._processes: dict[int, Process] = {}
        self._opened = 0
        self._began = self.loop.now()
        self.unfit: set[int] = set()
        self._closing = False
        self._code = Chance(seed, "code")
        by_name = ByName((function.spec.name, function) for function in functions)
        self._ground = Ground(
            seed,
            self.path,
            self.settings,
            by_name,
            self.loop,
            self.ledger,
            self.register,
            self.faults,
            SeededEntropy(seed),
            self.blobs,
            self.trace,
            set(),
            Chance(seed, "nonces"),
            self._chance,
            self.sinks,
            UnfitDeploy(by_name),
        )

    # ------------------------------------------------------------------ what happens in it

    def prepare(self, script: str) -> None:
        """Make the Journal and say statements of an author's to its database, before any engine opens it."""
        SqliteJournal(self.path, self._ground.entropy, lambda _: None, allow_tmpfs=True).close()
        connection = apsw.Connection(str(self.path))
        try:
            connection.execute(script)
        finally:
            connection.close()

    def add_sink(self, name: str, kind: SinkKind | None = None) -> None:
        """Let engines have a sink of this name."""
        sink = SimSink(name, self.loop, self.faults, seed=self.seed, kind=kind or SinkKind())
        self.sinks[name] = sink
        self.register.watchers.append(sink.commit)

    def start(self, id: str, function: Function[..., Any], *args: Any, at_s: float = 0.0, slot: int = 0) -> SimClient:
        """Let a client start a Run, first at the engine of this slot."""
        client = SimClient(RunId(id), function, args, at_s, slot)
        self.clients.append(client)
        return client

    @validating()
    def run(self, within_s: float = 600.0) -> None:
        """Run until every client has its answer, through all crashes, and then until nothing is left to do.

        Args:
            within_s: how long that may take where calls take no time, in seconds of virtual time.
        """
        DUES.begin(self.loop.now)
        if not self.path.exists():
            self.path.write_bytes(_empty_journal())
        within_s += _SLOW_WAITS * self.register.slow_s
        for slot in range(self.settings.engines):
            self._open(slot)
        for outage in self.settings.outages:
            self.loop.call_at(self.loop.now() + outage.at_s, partial(self._suffer, outage))
        for client in self.clients:
            if client.at_s:
                self.loop.call_at(self.loop.now() + client.at_s, partial(self._come, client))
        for actor in self.actors:
            actor.begin(self)
        if self.settings.unfit_s[1]:
            self.loop.call_at(self._began + self.settings.unfit_s[1], self._mend_code)
        self.loop.run(self._is_over, within_s=within_s)
        self._ask_again(within_s)
        self._wind_up()
        self._count_what_is_left()

    def story(self) -> str:
        """Return what happened, for people: faults, entries and rows."""
        lines = [f"seed {self.seed}; faults: {[str(f) for f in self.faults.happened]}"]
        lines += [str(outage) for outage in self.settings.outages]
        lines += [
            f"  entered {e.step} attempt {e.attempt} engine {e.engine} after row {e.row} reads {sorted(e.reads)}"
            for e in self.ledger.entries
        ]
        for uid, rows in self.rows.items():
            lines += [
                f"  row {row.seq} of {uid[:6]} epoch {row.epoch}: {[_named(r) for r in row.records]}" for row in rows
            ]
        return "\n".join(lines)

    # ------------------------------------------------------------------ what actors need

    @property
    def is_closing(self) -> bool:
        """Whether engines are being closed for good, and none is opened any more."""
        return self._closing

    def at_console(self, work: Callable[[Journal], None]) -> None:
        """Let somebody with a connection of their own change the Journal, as soon as an engine is there and it can be.

        What they do does not go wrong: they would say it again, and only engines are to be broken.
        """
        there = [process for process in self._processes.values() if not process.ended]
        if there and self.faults.locked_by is None:
            work(self._chance.one_of(there).console)
        elif not self._closing:
            self.loop.call_at(self.loop.now() + _AGAIN_S[1], lambda: self.at_console(work))

    def comes(self, client: SimClient) -> None:
        """Let a client come that was not there from the beginning."""
        self._come(client)

    def ids(self) -> dict[RunUid, RunId]:
        """Return the ids of all Runs that have records, in the order in which they began."""
        return {uid: _started(rows[0]).id for uid, rows in self.rows.items() if rows}

    def queues_left(self) -> list[QueueCounts]:
        """Return all queues with what is in them, when all is over."""
        reader = SqliteReader(self.path)
        try:
            return reader.queues()
        finally:
            reader.close()

    def blobs_named(self) -> set[str]:
        """Return the names of all values that a record names, by the Journal, which no engine has open."""
        journal = SqliteJournal(self.path, self._ground.entropy, lambda _: None, allow_tmpfs=True)
        try:
            return journal.blobs_named()
        finally:
            journal.close()

    # ------------------------------------------------------------------ the processes

    def _open(self, slot: int) -> None:
        """Open an engine on what the disk has."""
        if self._closing:
            return
        self._opened += 1
        if self._opened > self.settings.reopenings_max * self.settings.engines:
            raise AssertionError(f"an engine was opened {self._opened} times and still is not done")
        self.register.disturbed()
        since, until = (self._began + at_s for at_s in self.settings.unfit_s)
        is_unfit = since <= self.loop.now() < until and self._code.happens(self.settings.unfit_share)
        self.unfit.update([self._opened] if is_unfit and self.settings.unfit_serve else [])
        self._processes[slot] = Process(
            self._ground, self._opened, slot, is_unfit=is_unfit, opened=self._is_open, died=self._has_died
        )

    def _mend_code(self) -> None:
        """Let no engine have code that does not fit, from now on."""
        for process in list(self._processes.values()):
            if process.is_unfit:
                process.kill()

    def _is_open(self) -> None:
        """Let clients that wait come; at the beginning only those that have no time of their own."""
        self.register.disturbed()
        for client in self.clients:
            if client.has_come or not client.at_s:
                self.loop.call_soon(partial(self._come, client))

    def _has_died(self, process: Process) -> None:
        for client in self.clients:
            if client.process is process:
                self._leave(client)
        self._tell_actors()
        if not self._closing:
            again_s = self._chance.between(*self.settings.downtime_s)
            self.loop.call_at(self.loop.now() + again_s, lambda: self._open(process.slot))

    def _tell_actors(self) -> None:
        if self.actors and all(process.ended for process in self._processes.values()):
            for actor in self.actors:
                actor.all_ended(self)

    def _suffer(self, outage: Outage) -> None:
        process = self._processes[outage.slot]
        if self._closing or process.ended:
            return
        match outage.kind:
            case "kill":
                process.kill()
            case "close":
                process.close(outage.for_s)
            case _:
                if not process.loop.stands_still:
                    try:
                        process.stand_still(outage.for_s)
                    except Crash:
                        pass  # it was killed meanwhile

    # ------------------------------------------------------------------ clients

    def _come(self, client: SimClient) -> None:
        """Let a client ask an engine, if it waits for none; one that is broken is ended first, as its host would."""
        client.has_come = True
        if client.done or client.process is not None:
            return
        for process in list(self._processes.values()):
            if process.is_open and process.is_broken:
                process.kill()
        usable = [process for process in self._processes.values() if process.is_open and not process.is_unfit]
        if usable:
            own = [process for process in usable if process.slot == client.slot]
            self._start(client, own[0] if own and self._chance.happens(0.7) else self._chance.one_of(usable))

    def _leave(self, client: SimClient) -> None:
        """Let a client forget the engine that it asked, and ask one again a little later."""
        client.process = client.ticket = None
        self.loop.call_at(self.loop.now() + self._chance.between(*_AGAIN_S), lambda: self._come(client))

    def _start(self, client: SimClient, process: Process) -> None:
        if client.retrying:
            self._await(client, process.engine.retry(client.id, wait_start=False), process)
            return
        engine = process.engine
        if client.fork is not None:
            self._await(client, engine.start_fork(client.id, client.fork, wait_start=False), process)
            return
        encoded = encode((client.args, {}), what="the arguments")
        data: Data = Inline(encoded.tobytes())
        if encoded.nbytes > engine.inline_bytes_max:
            data = engine.publish(encoded.pieces)
        ticket = engine.start(
            client.id if client.durable else None,
            client.function.spec,
            Bundle("sim"),
            Payload(data),
            digest((client.args, {})),
            wait_start=False,
            durable=client.durable,
            asked=client.asked if client.durable else None,
        )
        if not client.durable:
            self.unkept.add(ticket.uid)
        self._await(client, ticket, process)
        sends, client.sends = client.sends, []
        for sent in sends:
            at = self.loop.now() + sent.at_s
            self.loop.call_at(at, partial(self._send, client, sent))
        if client.cancel_at_s is not None:
            at = self.loop.now() + client.cancel_at_s
            process.loop.call_at(at, lambda: self._cancel(client, ticket, process))

    def _await(self, client: SimClient, ticket: Ticket, process: Process) -> None:
        client.ticket = ticket
        client.process = process
        process.loop.call_from_thread(
            lambda: ticket.ended.on_open(lambda: self._answered(client, ticket, process)),
        )

    def _answered(self, client: SimClient, ticket: Ticket, process: Process) -> None:
        if client.ticket is not ticket:
            return
        if client.retrying and isinstance(ticket.error, UsageError):  # another was quicker
            client.retrying = False
            self._leave(client)
            return
        client.uid = ticket.uid or client.uid
        if ticket.parked:
            self._leave(client)
        elif ticket.error is None:
            end = ticket.end
            assert isinstance(end, End)
            value = decode_tree(end.answer, process.engine.read) if end.answer is not None else None
            client.answers.append((end.status, value, end.failure))
            client.process = client.ticket = None
            client.retrying = False
            if client.goes_again():
                self._leave(client)
        elif isinstance(ticket.error, EngineClosed | QueueFull):
            self._leave(client)
        elif isinstance(ticket.error, JournalError) and not isinstance(ticket.error, LeaseLost):
            self.loop.call_soon(process.kill)
        else:
            client.refused = ticket.error

    def _cancel(self, client: SimClient, ticket: Ticket, process: Process) -> None:
        """Ask through the inbox, as another process would, perhaps twice, or directly."""
        if process.is_open and (self._chance.happens(0.5) or not client.durable):
            process.engine.cancel(ticket)
        elif ticket.uid and ticket.uid not in self.register.rows:  # no other process can know of it yet
            if not (process.ended or self._closing):
                self.loop.call_at(self.loop.now() + _AGAIN_S[1], lambda: self._cancel(client, ticket, process))
        elif ticket.uid:
            for _ in range(1 + self._chance.below(2)):
                poster = self._chance.one_of([process, *self._processes.values()])
                self._post(poster, Message(f"cancel-{client.id}", ticket.uid, "cancel"))

    def _send(self, client: SimClient, sent: SentSignal) -> None:
        """Send a signal by some engine, perhaps twice, until it is known to be there, or the Run to be over."""
        uid = client.uid or next(
            (u for u, rows in self.rows.items() if rows and _started(rows[0]).id == client.id), None
        )
        open_ = [process for process in self._processes.values() if process.is_open]
        if client.done and uid is None:
            return
        if uid is None or not open_:
            self.loop.call_at(self.loop.now() + _AGAIN_S[1], lambda: self._send(client, sent))
            return
        process = self._chance.one_of(open_)
        message = f"{client.id}-{sent.number}"
        over: list[object] = []

        def again() -> None:
            if over or self._closing or client.done:
                return
            if process.is_open:
                self.loop.call_at(self.loop.now() + 1.0, again)
            else:
                self._send(client, sent)

        for _ in range(2 if sent.twice else 1):
            process.engine.send_signal(uid, client.id, sent.name, _encoded(sent.number), message, over.append)
        self.loop.call_at(self.loop.now() + 1.0, again)

    def _post(self, poster: Process, message: Message) -> None:
        """Post as soon as the Journal can be written, by some process: whoever posts has one of his own, and waits."""
        there = [process for process in (poster, *self._processes.values()) if not process.ended]
        if there and self.faults.locked_by is None:
            there[0].console.post(message)
        elif not self._closing:
            self.loop.call_at(self.loop.now() + _AGAIN_S[1], lambda: self._post(poster, message))

    def _is_over(self) -> bool:
        return all(client.done for client in self.clients) and all(actor.is_over() for actor in self.actors)

    # ------------------------------------------------------------------ the end

    def _ask_again(self, within_s: float) -> None:
        """Let each client ask once more, here or there: the answer is the same."""
        for client in self.clients:
            if client.refused is None and client.durable and client.uid not in self.register.deleted:
                client.wanted = len(client.answers) + 1
                self._come(client)
        self.loop.run(self._is_over, within_s=within_s)

    def _wind_up(self) -> None:
        """Let the engines come to rest; what died is declared dead meanwhile. Then close them; no fault comes here."""
        self.faults.off = True
        limits = self.settings.limits
        while self.sinks and any(process.ended for process in self._processes.values()):
            self.loop.turn()  # only it may have the sink for which something waits
        rest_s = max(2 * limits.sandbox_idle_s, limits.lease_ttl_s, limits.outbox_wait_s if self.sinks else 0.0) + 5.0
        rest_s += _REST_WAITS * self.register.slow_s if self.sinks else 0.0
        since = self.loop.now()
        while self.loop.now() < max(since, self.register.calm_since) + rest_s and self.loop.turn():
            pass
        waits_s = limits.outbox_wait_s + 3 * self.register.slow_s + 5.0
        while any(self.loop.now() < sink.sent_at + waits_s for sink in self.sinks.values()) and self.loop.turn():
            pass
        # An engine looks around as long as it is open: closed, it has nothing to wait for.
        self._closing = True
        for process in self._processes.values():
            process.engine.end(Latch())
            process.end_workers()
        limit = self.loop.now() + 4 * limits.sandbox_start_s
        while self.loop.turn() and self.loop.now() < limit:
            pass

    def _count_what_is_left(self) -> None:
        processes = list(self._processes.values())
        if any(process.objects.stats()["objects"] for process in processes):
            gc.collect()  # a ticket in a reference cycle still holds its answer; slow, so only where it matters
        reader = SqliteReader(self.path)
        self.left = {
            "objects": sum(process.objects.stats()["objects"] for process in processes),
            "sandboxes": sum(process.sandboxes_alive for process in processes),
            "transactions": sum(process.transactions.left for process in processes if not process.ended),
            "timers": int(self.loop.turn()),
            # One that owned nothing when it died on another host can't be told from one that has nothing to say.
            "sessions": sum(s.runs > 0 for s in reader.sessions()) if self.settings.recover == "all" else 0,
        }
        self.loaded = {uid: reader.load(uid) for uid in self.rows}
        self.written = table_of(self.path)
        # Those of Runs that were deleted stay as they were before.
        self.delivery_statuses |= {emitted.key: emitted for uid in self.rows for emitted in reader.emitted(uid)}
        reader.close()

    def close(self) -> None:
        """Release everything and remove the Journal. Idempotent."""
        self._closing = True
        for process in self._processes.values():
            process.release()
        for path in self.path.parent.glob(f"{self.path.name}*"):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


@functools.cache
def _empty_journal() -> bytes:
    """Return the file of a Journal in which nothing is: made once, since all scripts of its schema take their time."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.db"
        SqliteJournal(path, SeededEntropy(0), lambda _: None, allow_tmpfs=True).close()
        return path.read_bytes()


def _started(row: Row) -> Started:
    started = row.records[0]
    assert isinstance(started, Started)
    return started


def _encoded(number: int) -> bytes:
    return encode(number, what="a signal").tobytes()


def _named(record: object) -> str:
    fields = record.__struct_fields__ if isinstance(record, msgspec.Struct) else ()
    about = next((getattr(record, name) for name in ("step", "outcomes", "status") if name in fields), "")
    if isinstance(about, tuple):
        about = " ".join(f"{outcome.step}#{outcome.ordinal}" for outcome in about)
    return f"{type(record).__name__} {about}"
