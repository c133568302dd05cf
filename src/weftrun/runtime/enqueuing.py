"""Starts that name a queue: their Runs are put into it, and are nobody's until they leave it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from msgspec.structs import replace

from weftrun.model.errors import QueueFull, RunConflict, UsageError, WeftrunError
from weftrun.model.ids import RunUid
from weftrun.model.queues import NotQueued, QueueLimits
from weftrun.model.records import Enqueued, Row, Started
from weftrun.model.values import Payload
from weftrun.ports.blobs import Blobs
from weftrun.ports.entropy import Entropy
from weftrun.ports.journal import Journal
from weftrun.ports.loop import Loop
from weftrun.ports.objects import Objects
from weftrun.runtime.blobs import keep_arguments
from weftrun.runtime.committer import Committer
from weftrun.runtime.queues import QueueBook
from weftrun.runtime.runs import Start


class Placing(Protocol):
    """What becomes of starts that were to be put into queues."""

    def placed(self, start: Start) -> None:
        """A start is durable: its Run waits in its queue."""

    def was_there(self, start: Start, run: RunUid) -> None:
        """A start is one of a Run that is there already; empty where it has the id of another one."""


class Enqueuing:
    """Puts Runs into their queues, all that wait in one transaction. On the loop.

    Args:
        hash_seed: of the Journal.
    """

    def __init__(
        self,
        loop: Loop,
        journal: Journal,
        blobs: Blobs,
        objects: Objects,
        committer: Committer,
        entropy: Entropy,
        engine: Placing,
        hash_seed: int,
    ) -> None:
        self._loop = loop
        self._journal = journal
        self._blobs = blobs
        self._objects = objects
        self._committer = committer
        self._engine = engine
        self._hash_seed = hash_seed
        self._book = QueueBook(journal, entropy)
        self._declared: dict[str, QueueLimits] = {}
        self._waiting: list[tuple[Start, Row]] = []
        self._writing = False

    def add(self, start: Start) -> None:
        """Put a Run into its queue, once the bytes of its arguments are durable (C2)."""

        def stored(args: Payload) -> None:
            self._add(start, args)

        keep_arguments(self._loop, self._blobs, self._objects, start.args, stored, start.ticket.fail)

    def _add(self, start: Start, args: Payload) -> None:
        ticket, asked, now = start.ticket, start.asked, self._loop.now()
        assert asked is not None
        entry = replace(asked.entry, starts_at=now + asked.delay_s) if asked.delay_s else asked.entry
        started = Started(ticket.id, start.function, start.bundle, args, start.digest, self._hash_seed)
        self._waiting.append((start, Row(ticket.uid, 1, now, 1, (started, Enqueued(entry)))))
        self._write()

    def _write(self) -> None:
        if self._writing or not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        self._writing = True
        rows, now = [row for _, row in waiting], self._loop.now()
        said = {start.asked.entry.queue: start.asked.limits for start, _ in waiting if start.asked is not None}
        new = {name: limits for name, limits in said.items() if limits and self._declared.get(name) != limits}

        def work() -> Mapping[RunUid, NotQueued]:
            for name, limits in new.items():
                self._book.declare(name, limits)
            return self._journal.enqueue(rows, now)

        def done(refused: Mapping[RunUid, NotQueued]) -> None:
            self._writing = False
            self._declared.update(new)
            for start, row in waiting:
                self._told(start, refused.get(row.uid))
            self._write()

        def failed(error: WeftrunError) -> None:
            self._writing = False
            for start, _ in waiting:
                start.ticket.fail(error)
            self._write()

        self._committer.write(work, done, failed)

    def _told(self, start: Start, refusal: NotQueued | None) -> None:
        if refusal is None:
            self._engine.placed(start)
        elif refusal.why in ("duplicate", "taken"):
            self._engine.was_there(start, refusal.run)
        else:
            start.ticket.fail(_refused(start, refusal))


def _refused(start: Start, refusal: NotQueued) -> WeftrunError:
    name = start.asked.entry.queue if start.asked is not None else ""
    if refusal.why == "full":
        return QueueFull(
            f"The queue {name} has {refusal.length:,} Runs that wait, as many as it may (length_max): nothing was "
            "started. Start it again later.",
            refusal.length,
        )
    return UsageError(
        f"There is no queue {name!r} in this Journal. Declare it in the program, as "
        f"queue=weftrun.queue({name!r}, concurrency=10), or make it by `weftrun queue set {name} --create`."
    )


def conflict_of(start: Start, function: str, id: str) -> RunConflict:
    """Return why a start does not join the Run that its queue has under the same word."""
    word = start.asked.entry.deduplicate if start.asked is not None else ""
    return RunConflict(
        f"{start.function.name} was not started: under deduplicate={word!r} the Run {id} of {function} has not ended. "
        "Give another word."
    )
