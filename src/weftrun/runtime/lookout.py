"""What has been running for longer than a second, told to the trace for those who look from another process."""

from __future__ import annotations

import os
from collections.abc import Callable

from weftrun.machines.worker import WorkerMachine
from weftrun.model.ids import SandboxId
from weftrun.ports.loop import Handle, Loop
from weftrun.ports.sandboxes import Sandboxes
from weftrun.ports.trace import RunningRow, Trace
from weftrun.runtime.runs import OpenRun

_LOOK_S = 1.0
"""Pages are looked at this often while anything runs, and only bodies are told of that have run for so long."""
HOST = os.uname().nodename


class Lookout:
    """Looks at the pages of busy Sandboxes once a second, and tells the trace what it sees.

    It costs a short Step nothing but the question whether the next look is asked for: there is no row for what ends
    within a second.
    """

    def __init__(
        self,
        loop: Loop,
        trace: Trace,
        sandboxes: Sandboxes,
        worker: WorkerMachine,
        run_of: Callable[[int], OpenRun | None],
        piped: Callable[[SandboxId], str],
    ) -> None:
        self._loop = loop
        self._trace = trace
        self._sandboxes = sandboxes
        self._worker = worker
        self._run_of = run_of
        self._piped = piped
        self._pid = os.getpid()
        self._timer: Handle | None = None
        self._told = False

    def gave(self) -> None:
        """A Sandbox was given something to run."""
        if self._timer is None:
            self._timer = self._loop.call_at(self._loop.now() + _LOOK_S, self._look)

    def stop(self) -> None:
        """Nothing runs any more, and nothing is looked at."""
        if self._timer is not None:
            self._timer.cancel()
        self._tell([])

    def _look(self) -> None:
        self._timer = None
        now = self._loop.now()
        rows = []
        for sandbox in self._worker.busy_since(now - _LOOK_S):
            progress = self._sandboxes.progress(sandbox)
            if not progress.entered or progress.entered_at > now - _LOOK_S:
                continue
            found = self._worker.attempt_at(sandbox, progress.batch, progress.index)
            run = self._run_of(found.run) if found is not None else None
            if run is not None and found is not None and run.durable:
                piped = self._piped(sandbox) + progress.piped
                rows.append(
                    RunningRow(
                        run.uid, found.step, found.attempt, sandbox, progress.entered_at, now, HOST, self._pid,
                        progress.text, piped,
                    )
                )  # fmt: skip
        self._tell(rows)
        if not self._worker.quiet:
            self.gave()

    def _tell(self, rows: list[RunningRow]) -> None:
        """Write what is seen, and once that nothing is."""
        if rows or self._told:
            self._told = bool(rows)
            engine = f"{HOST}:{self._pid}"
            self._loop.offload(lambda: self._trace.show_running(engine, rows), lambda: None, lane="trace")
