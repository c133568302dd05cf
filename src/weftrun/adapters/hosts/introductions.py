"""Who of an engine's Workers on other hosts keeps which Object, and which of them can reach one another."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Protocol

from weftrun.adapters.hosts.fetching import Fetchers
from weftrun.adapters.hosts.greeting import Membership
from weftrun.adapters.passing.readiness import ThreadLoop
from weftrun.model import hosts as m
from weftrun.model.errors import EngineClosed
from weftrun.model.hosts import ENGINE
from weftrun.model.ids import ObjectId, WorkerId
from weftrun.model.values import Object
from weftrun.ports.objects import Objects
from weftrun.ports.worker import MakeBegin

Met = Callable[[WorkerId, WorkerId], None]


class Guest(Protocol):
    """A Worker that is introduced to others."""

    def dial(self, worker: WorkerId, host: str, port: int) -> None:
        """Another one can be reached at this address."""

    def part(self, worker: WorkerId) -> None:
        """Another one is gone."""

    def forget_kept(self, number: ObjectId) -> None:
        """Nobody needs what it keeps under this number."""


class Introductions:
    """What the engine knows of Workers that keep what they make. Called on the loop.

    Args:
        begin: says what the engine's Workers know of it.
        met: told of each two that can hand one another values.
    """

    def __init__(self, loop: ThreadLoop, objects: Objects, begin: MakeBegin, met: Met) -> None:
        objects.when_freed(self._freed)
        engine = begin(ENGINE)
        self._fetchers = Fetchers(loop, Membership(ENGINE, engine.secret), engine.limits.lease_ttl_s)
        self._loop = loop
        self._met = met
        self._guests: dict[WorkerId, Guest] = {}
        self._hosts: dict[WorkerId, str] = {}
        self._at: dict[WorkerId, tuple[str, int]] = {}
        self._reaches: set[tuple[WorkerId, WorkerId]] = set()
        self._kept: dict[ObjectId, tuple[WorkerId, ObjectId, int]] = {}

    def joined(self, worker: WorkerId, guest: Guest, host: str) -> None:
        """A Worker is there, on a host with this address."""
        self._guests[worker] = guest
        self._hosts[worker] = host

    def serves(self, worker: WorkerId, port: int) -> None:
        """A Worker can be reached at a port: let it and the others reach one another."""
        here = self._hosts[worker], port
        for other, there in self._at.items():
            self._guests[worker].dial(other, *there)
            self._guests[other].dial(worker, *here)
        self._at[worker] = here
        self._fetchers.dial(worker, *here)

    def reaches(self, worker: WorkerId, other: WorkerId) -> None:
        """A Worker can hand another one values."""
        if other in self._guests:
            self._reaches.add((worker, other))
            if (other, worker) in self._reaches:
                self._met(worker, other)

    def left(self, worker: WorkerId) -> None:
        """A Worker is gone, with all that it kept."""
        if self._guests.pop(worker, None) is None:
            return
        del self._hosts[worker]
        self._at.pop(worker, None)
        self._fetchers.part(worker)
        self._reaches = {pair for pair in self._reaches if worker not in pair}
        self._kept = {oid: kept for oid, kept in self._kept.items() if kept[0] != worker}
        for other in self._at:  # who can't be reached knows nobody
            self._guests[other].part(worker)

    # ------------------------------------------------------------------ Objects

    def keeps(self, worker: WorkerId, number: ObjectId, oid: ObjectId, step: int) -> None:
        """A Worker keeps an Object of the engine's, of a Step's value, under a number of its own."""
        self._kept[oid] = worker, number, step

    def step_of(self, oid: ObjectId) -> int | None:
        """Return the Step whose value an Object is; None where no Worker has it."""
        kept = self._kept.get(oid)
        return kept[2] if kept is not None else None

    def bring(self, worker: WorkerId, kept: Object, done: Callable[[ObjectId, int | None], None]) -> None:
        """Fetch for the engine what a Worker keeps.

        Args:
            done: called with its number there, and a descriptor; None where the Worker can't be reached.
        """
        self._fetchers.fetch(worker, kept, lambda descriptor: done(kept.oid, descriptor))

    def close(self) -> None:
        """Fetch nothing more. Idempotent."""
        self._fetchers.close()

    def elsewhere(self, obj: Object, reader: WorkerId) -> m.KeptElsewhere | None:
        """Return from where a Worker gets an Object; None where the engine sends it."""
        kept = self._kept.get(obj.oid)
        if kept is None:
            return None
        worker, number, step = kept
        if worker != reader and (worker, reader) not in self._reaches:
            return None
        return m.KeptElsewhere(obj, worker, number, step)

    def _freed(self, oid: ObjectId) -> None:
        """Nobody holds an Object any more. From any thread."""
        if oid in self._kept:
            with contextlib.suppress(EngineClosed):
                self._loop.call_from_thread(lambda: self._forget(oid))

    def _forget(self, oid: ObjectId) -> None:
        kept = self._kept.pop(oid, None)
        if kept is not None and kept[0] in self._guests:
            self._guests[kept[0]].forget_kept(kept[1])
