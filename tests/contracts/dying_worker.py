"""A Worker process that dies when a Batch has gone to its Sandbox and nothing of that is written to the engine."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from weftrun.adapters.hosts.worker_end import WorkerEnd
from weftrun.assembly import worker_process
from weftrun.model.work import BatchSent

batch_sent = WorkerEnd.batch_sent


def dies(self: WorkerEnd, sent: BatchSent, go: Callable[[], None]) -> None:
    batch_sent(self, sent, go)
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    WorkerEnd.batch_sent = dies  # type: ignore[method-assign]
    worker_process.main()
