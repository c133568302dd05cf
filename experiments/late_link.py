"""A link that takes its time, between an engine in this process and its Workers, and between these: for experiments.

It stands in for a network: each message is held back for so long, either way, before it is sent or taken. What is said
while something is on its way leaves together with it, so that a link is never slower than it claims to be.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from experiments import late_worker
from experiments.late_worker import LINK_S
from weftrun.adapters.hosts.engine_end import RemoteWorker
from weftrun.adapters.hosts.local import LocalWorkers
from weftrun.adapters.passing.readiness import LoopChannel

_ROOT = str(Path(__file__).parents[1])


@contextmanager
def late_link(seconds: float) -> Iterator[None]:
    """Hold each message of engines that are opened in this process back, as long as the block lasts."""
    taken, gathered, made = RemoteWorker._take, LoopChannel._send_gathered, LocalWorkers.__init__
    environment = {LINK_S: str(seconds), "PYTHONPATH": os.pathsep.join([_ROOT, os.environ.get("PYTHONPATH", "")])}
    coming: dict[RemoteWorker, deque[tuple[Any, Any]]] = {}

    def take(self: Any, message: Any, descriptors: Any) -> None:
        came = coming.setdefault(self, deque())
        came.append((message, descriptors))
        # Timers of one time may go off in any order; messages keep theirs.
        self._loop.call_at(self._loop.now() + seconds, lambda: taken(self, *came.popleft()))

    def send_gathered(self: Any) -> None:
        self._loop.call_at(self._loop.now() + seconds, lambda: gathered(self))

    def make(self: Any, *given: Any) -> None:
        loop, objects, count, _, *rest = given
        made(self, loop, objects, count, late_worker.__name__, *rest)

    if not seconds:
        yield
        return
    RemoteWorker._take = take  # type: ignore[method-assign]
    LoopChannel._send_gathered = send_gathered  # type: ignore[method-assign]
    LocalWorkers.__init__ = make  # type: ignore[method-assign, assignment]
    try:
        with mock.patch.dict(os.environ, environment):
            yield
    finally:
        RemoteWorker._take, LoopChannel._send_gathered = taken, gathered  # type: ignore[method-assign]
        LocalWorkers.__init__ = made  # type: ignore[method-assign]
