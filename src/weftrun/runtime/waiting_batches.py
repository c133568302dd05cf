"""Batches that wait until they may go to their Sandboxes: their engine is to know of them first (W9)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from weftrun.model.ids import SandboxId
from weftrun.model.messages import Batch, ItemBatch
from weftrun.ports.objects import Objects
from weftrun.ports.sandboxes import Sandboxes


class WaitingBatches:
    """Sends each Batch when it may go, behind those that its Sandbox is to get before it."""

    def __init__(self, sandboxes: Sandboxes, objects: Objects) -> None:
        self._sandboxes = sandboxes
        self._objects = objects
        self._queues: dict[SandboxId, deque[_Asked]] = {}

    def send(self, sandbox: SandboxId, batch: Batch | ItemBatch, ask: Callable[[Callable[[], None]], None]) -> None:
        """Ask, and send a Batch when what `ask` is given is called; until then, hold the Objects that it names."""
        waiting = _Asked(batch)
        self._queues.setdefault(sandbox, deque()).append(waiting)

        def go() -> None:
            waiting.may_go = True
            self._send(sandbox)

        ask(go)
        if not waiting.may_go:
            for oid in batch.objects:
                self._objects.hold(oid)
            waiting.is_held = True

    def _send(self, sandbox: SandboxId) -> None:
        queue = self._queues.get(sandbox)
        while queue and queue[0].may_go:
            self._sandboxes.send(sandbox, queue[0].batch)
            self._let_go(queue.popleft())

    def drop(self, sandbox: SandboxId) -> None:
        """The Sandbox is gone: nothing is sent to it any more."""
        for waiting in self._queues.pop(sandbox, ()):
            self._let_go(waiting)

    def _let_go(self, waiting: _Asked) -> None:
        if waiting.is_held:
            for oid in waiting.batch.objects:
                self._objects.release(oid)


class _Asked:
    """A Batch, whether it may go, and whether what it names is held."""

    __slots__ = ("batch", "is_held", "may_go")

    def __init__(self, batch: Batch | ItemBatch) -> None:
        self.batch = batch
        self.may_go = self.is_held = False
