"""Who of an engine's Workers on other hosts keeps which Object, and which of them can reach one another."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Protocol

from weftrun.adapters.passing.readiness import ThreadLoop
from weftrun.model import hosts as m
from weftrun.model.errors import EngineClosed
from weftrun.model.ids import ObjectId, WorkerId
from weftrun.model.values import Object
from weftrun.ports.objects import Objects

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
        met: told of each two that can hand one another values.
    """

    def __init__(self, loop: ThreadLoop, objects: Objects, met: Met) -> None:
        objects.when_freed(self._freed)
        self._loop = loop
        self._met = met
        self._guests: dict[WorkerId, Guest] = {}
        self._hosts: dict[WorkerId, str] = {}
        self._at: dict[WorkerId, tuple[str, int]] = {}
        self._reaches: set[tuple[WorkerId, WorkerId]] = set()
        self._kept: dict[ObjectId, tuple[WorkerId, ObjectId]] = {}

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
        self._reaches = {pair for pair in self._reaches if worker not in pair}
        self._kept = {oid: kept for oid, kept in self._kept.items() if kept[0] != worker}
        for guest in self._guests.values():
            guest.part(worker)

    # ------------------------------------------------------------------ Objects

    def keeps(self, worker: WorkerId, number: ObjectId, oid: ObjectId) -> None:
        """A Worker keeps an Object of the engine's under a number of its own."""
        self._kept[oid] = worker, number

    def elsewhere(self, obj: Object, reader: WorkerId) -> m.KeptElsewhere | None:
        """Return from where a Worker gets an Object; None where the engine sends it."""
        worker, number = self._kept.get(obj.oid, (reader, None))
        if number is None or (worker != reader and (worker, reader) not in self._reaches):
            return None
        return m.KeptElsewhere(obj, worker, number)

    def _freed(self, oid: ObjectId) -> None:
        """Nobody holds an Object any more. From any thread."""
        if oid in self._kept:
            with contextlib.suppress(EngineClosed):
                self._loop.call_from_thread(lambda: self._forget(oid))

    def _forget(self, oid: ObjectId) -> None:
        worker, number = self._kept.pop(oid, (None, None))
        if worker is not None and number is not None and worker in self._guests:
            self._guests[worker].forget_kept(number)
