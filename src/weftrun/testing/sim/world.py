"""A simulated world: one engine on simulated ports, its clients, its crashes, and what the outside saw of it."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from weftrun.adapters.sqlite.journal import SqliteJournal
from weftrun.model.commands import End
from weftrun.model.errors import JournalError, WeftrunError
from weftrun.model.ids import RunId, RunUid, SessionUid
from weftrun.model.limits import Limits
from weftrun.model.outcomes import Failure, Status
from weftrun.model.policy import Bundle
from weftrun.model.records import Row
from weftrun.model.values import Data, Inline, Payload
from weftrun.ports.journal import Appended, Message
from weftrun.runtime.engine import Engine
from weftrun.runtime.tickets import Latch, Ticket
from weftrun.sdk.codec import decode_tree, digest, encode
from weftrun.sdk.function import Function
from weftrun.testing.sim.chance import Chance, SeededEntropy
from weftrun.testing.sim.faults import Crash, Faults
from weftrun.testing.sim.layers import FaultyBlobs, FaultyJournal, FaultySandboxes, FaultyTrace
from weftrun.testing.sim.ledger import Ledger
from weftrun.testing.sim.loop import Delays, SimLoop
from weftrun.testing.sim.memory import MemoryBlobs, MemoryLiveness, MemoryObjects, MemoryTrace
from weftrun.testing.sim.outside import Outside, Pace
from weftrun.testing.sim.sandboxes import ScriptedSandboxes

_REOPENINGS_MAX = 50


@dataclass(frozen=True)
class Settings:
    """How a world is made.

    Attributes:
        busy: how often the loop says that something waits though nothing does, so that commits go to their lane.
        lanes: how long works of a lane take, in seconds of virtual time.
        lingers: how often a Sandbox goes on to the end of what it has after its engine died.
        recover: which Runs a new engine takes over by itself: `all` or `none`; clients start theirs again anyway.
    """

    limits: Limits = Limits(inline_bytes_max=4096, sandbox_idle_s=10.0, sandbox_start_s=10.0)
    sandboxes_max: int = 2
    busy: float = 1.0
    lanes: Mapping[str, Delays] = field(default_factory=dict)
    pace: Pace = field(default_factory=Pace)
    lingers: float = 0.0
    recover: str = "all"


@dataclass
class Client:
    """Somebody outside who starts a Run, and starts it again whenever the engine is gone before the answer came.

    Attributes:
        answers: every answer that was given: status, value, failure; they must all be equal.
        at_s: seconds of virtual time after the world began.
        cancel_at_s: when the client asks for a cancel, in seconds after the start; None for never.
        durable: whether the Run keeps records; if not, each start is another Run.
    """

    id: RunId
    function: Function[..., Any]
    args: tuple[Any, ...]
    at_s: float = 0.0
    cancel_at_s: float | None = None
    durable: bool = True
    ticket: Ticket | None = None
    uid: RunUid | None = None
    answers: list[tuple[Status, Any, Failure | None]] = field(default_factory=list)
    refused: WeftrunError | None = None

    @property
    def done(self) -> bool:
        """Whether the client has what it wanted."""
        return bool(self.answers) or self.refused is not None


class World:
    """One history.

    Attributes:
        ledger: what was entered.
        rows: committed rows by Run, kept by the layer over the Journal.
        blobs_at: the blobs that were durable when each of them committed.
        unkept: Runs that keep no records.
        fresh: the Objects and living Sandboxes that were left when all was over.
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
        """Make a world without an engine; `run` opens one.

        Args:
            functions: what Sandboxes can enter.
        """
        self.seed = seed
        self.settings = settings or Settings()
        self.faults = faults or Faults()
        self.loop = SimLoop(Chance(seed, "loop"), lanes=self.settings.lanes, busy=self.settings.busy)
        self.ledger = Ledger()
        self.blobs = MemoryBlobs()
        self.rows: dict[RunUid, list[Row]] = {}
        self.blobs_at: dict[RunUid, list[frozenset[str]]] = {}
        self.clients: list[Client] = []
        self.unkept: set[RunUid] = set()
        self.left: dict[str, int] = {}
        self._chance = Chance(seed, "world")
        self.path = folder / f"journal-{seed}.db"
        self._entropy = SeededEntropy(seed)
        self._living: set[SessionUid] = set()
        self._trace = MemoryTrace(lambda: self._chance.happens(0.5))
        self._functions = {function.spec.name: function for function in functions}
        self._nonces = Chance(seed, "nonces")

    # ------------------------------------------------------------------ what happens in it

    def start(self, id: str, function: Function[..., Any], *args: Any, at_s: float = 0.0) -> Client:
        """Let a client start a Run."""
        client = Client(RunId(id), function, args, at_s)
        self.clients.append(client)
        return client

    def run(self, within_s: float = 600.0) -> None:
        """Run until every client has its answer, through all crashes, and then until nothing is left to do."""
        self._open()
        for _ in range(_REOPENINGS_MAX):
            try:
                self.loop.run(self._is_over, within_s=within_s)
                if self._is_broken():
                    self._end_process()
                    continue
                self._wind_up(within_s)
            except Crash:
                self._end_process()
                continue
            break
        else:
            raise AssertionError(f"the engine was reopened {_REOPENINGS_MAX} times and still is not done")
        self._let_go()

    def reopen(self) -> None:
        """End the process as a crash does, and open an engine again."""
        self._end_process()

    def story(self) -> str:
        """Return what happened, for people: faults, entries and rows."""
        lines = [f"seed {self.seed}; faults: {[str(f) for f in self.faults.happened]}"]
        lines += [
            f"  entered {e.step} attempt {e.attempt} engine {e.engine} after row {e.row} reads {sorted(e.reads)}"
            for e in self.ledger.entries
        ]
        for uid, rows in self.rows.items():
            lines += [f"  row {row.seq} of {uid[:6]}: {[_named(r) for r in row.records]}" for row in rows]
        return "\n".join(lines)

    # ------------------------------------------------------------------ the process

    def _open(self) -> None:
        """Open an engine on what the disk has, and let clients that wait start again."""
        settings = self.settings
        self.ledger.engine += 1
        self._inner = SqliteJournal(self.path, entropy=self._entropy, pause=lambda _: None, allow_tmpfs=True)
        self._objects = MemoryObjects(self.blobs)
        outside = Outside(
            self.loop,
            self._functions,
            self.ledger,
            self.faults,
            Chance(self.seed, f"guests {self.ledger.engine}"),
            self._nonces,
            settings.pace,
            settings.limits,
        )
        self._sandboxes = ScriptedSandboxes(outside, self._objects)
        self.engine = Engine(
            loop=self.loop,
            journal=FaultyJournal(self._inner, self.faults, self._committed),
            blobs=FaultyBlobs(self.blobs, self.faults),
            trace=FaultyTrace(self._trace, self.faults),
            liveness=MemoryLiveness(self._living),
            objects=self._objects,
            sandboxes=FaultySandboxes(self._sandboxes, self.faults),
            entropy=self._entropy,
            limits=settings.limits,
            sandboxes_max=settings.sandboxes_max,
        )
        opened = Latch()
        self.engine.open(settings.recover, opened)
        self.loop.call_from_thread(lambda: opened.on_open(self._send_all))

    def _end_process(self) -> None:
        """The process is gone: memory, descriptors, connections; the disk and what was committed stay."""
        for client in self.clients:
            client.ticket = None
        self._sandboxes.linger(self._chance.happens(self.settings.lingers))
        self._sandboxes.close()
        self._living.clear()
        self.loop.clear()
        self._inner.close()
        self._objects.close()
        self._trace.crash()
        self._open()

    def _committed(self, rows: Sequence[Row], appended: Appended) -> None:
        durable = frozenset(self.blobs.names())
        for row in rows:
            kept = self.rows.setdefault(row.uid, [])
            if row.uid not in appended.taken | appended.lost and row.seq == len(kept) + 1:
                kept.append(row)
                self.blobs_at.setdefault(row.uid, []).append(durable)
                self.ledger.committed[row.uid] = row.seq

    # ------------------------------------------------------------------ clients

    def _send_all(self) -> None:
        for client in self.clients:
            if not client.done:
                self._send(client)

    def _send(self, client: Client) -> None:
        if self.ledger.engine > 1 or not client.at_s:
            self._start(client)
        else:
            self.loop.call_at(self.loop.now() + client.at_s, lambda: self._start(client))

    def _start(self, client: Client) -> None:
        encoded = encode((client.args, {}), what="the arguments")
        data: Data = Inline(encoded.tobytes())
        if encoded.nbytes > self.engine.inline_bytes_max:
            data = self.engine.publish(encoded.pieces)
        ticket = self.engine.start(
            client.id if client.durable else None,
            client.function.spec,
            Bundle("sim"),
            Payload(data),
            digest((client.args, {})),
            wait_start=False,
            durable=client.durable,
        )
        client.ticket = ticket
        if not client.durable:
            self.unkept.add(ticket.uid)
        engine = self.engine
        self.loop.call_from_thread(lambda: ticket.ended.on_open(lambda: self._answered(client, ticket, engine)))
        if client.cancel_at_s is not None:
            self.loop.call_at(self.loop.now() + client.cancel_at_s, lambda: self._cancel(client, ticket, engine))

    def _answered(self, client: Client, ticket: Ticket, engine: Engine) -> None:
        client.uid = ticket.uid
        if ticket.error is not None:
            if not isinstance(ticket.error, JournalError):
                client.refused = ticket.error
            return
        end = ticket.end
        assert isinstance(end, End)
        value = decode_tree(end.answer, engine.read) if end.answer is not None else None
        client.answers.append((end.status, value, end.failure))

    def _cancel(self, client: Client, ticket: Ticket, engine: Engine) -> None:
        """Ask through the inbox, as another process would, or directly."""
        if self._chance.happens(0.5) or not client.durable:
            engine.cancel(ticket)
        elif ticket.uid:
            self._inner.post(Message(f"cancel-{client.id}", ticket.uid, "cancel"))

    def _is_over(self) -> bool:
        return all(client.done for client in self.clients) or self._is_broken()

    def _is_broken(self) -> bool:
        """Whether the engine has told somebody that its Journal can't be used any more."""
        return any(
            client.ticket is not None and not client.done and client.ticket.error is not None for client in self.clients
        )

    # ------------------------------------------------------------------ the end

    def _wind_up(self, within_s: float) -> None:
        """Ask for every answer once more, then let the engine come to rest."""
        asked = [client for client in self.clients if client.refused is None and client.durable]
        for client in asked:
            if len(client.answers) == 1:
                self._start(client)
        self.loop.run(lambda: all(len(client.answers) > 1 for client in asked), within_s=within_s)
        for client in self.clients:
            client.ticket = None
        limit = self.loop.now() + 4 * self.settings.limits.sandbox_idle_s
        while self.loop.turn() and self.loop.now() < limit:
            pass
        # An engine looks around as long as it is open: closed, it has nothing to wait for.
        self.engine.close(Latch())
        limit += 4 * self.settings.limits.sandbox_start_s
        while self.loop.turn() and self.loop.now() < limit:
            pass

    def _let_go(self) -> None:
        if self._objects.stats()["objects"]:
            gc.collect()  # a ticket in a reference cycle still holds its answer; slow, so only where it matters
        self.left = {
            "objects": self._objects.stats()["objects"],
            "sandboxes": self._sandboxes.alive,
            "timers": int(self.loop.turn()),
        }
        self.loaded = {uid: self._inner.load(uid) for uid in self.rows}

    def close(self) -> None:
        """Let go of everything and remove the Journal. Idempotent."""
        if self.ledger.engine:
            self._sandboxes.close()
            self._inner.close()
            self._objects.close()
        for path in self.path.parent.glob(f"{self.path.name}*"):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def _named(record: object) -> str:
    fields = record.__struct_fields__ if isinstance(record, msgspec.Struct) else ()
    about = next((getattr(record, name) for name in ("step", "outcomes", "status") if name in fields), "")
    if isinstance(about, tuple):
        about = " ".join(f"{outcome.step}#{outcome.ordinal}" for outcome in about)
    return f"{type(record).__name__} {about}"
