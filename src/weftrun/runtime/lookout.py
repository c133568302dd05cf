"""What has been running for longer than a second: looked at here, and told for those who look from another process."""

from __future__ import annotations

from collections.abc import Callable

from weftrun.machines.worker import WorkerMachine
from weftrun.model.ids import SandboxId
from weftrun.model.work import InSlot, Running
from weftrun.ports.loop import Handle, Loop
from weftrun.ports.sandboxes import Sandboxes

_LOOK_S = 1.0
"""Pages are looked at this often while anything runs, and only bodies are told of that have run for so long."""


class Lookout:
    """Looks at the pages of busy Sandboxes once a second.

    It costs a short Step nothing but the question whether the next look is asked for: there is no row for what ends
    within a second.

    Args:
        piped: returns what came over descriptors 1 and 2 of a Sandbox and is not told yet.
        tell: called with what is seen, and once with nothing.
    """

    def __init__(
        self,
        loop: Loop,
        sandboxes: Sandboxes,
        worker: WorkerMachine,
        piped: Callable[[SandboxId], str],
        tell: Callable[[tuple[Running, ...]], None],
    ) -> None:
        self._loop = loop
        self._sandboxes = sandboxes
        self._worker = worker
        self._piped = piped
        self._tell_rows = tell
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
        self._tell(())

    def _look(self) -> None:
        self._timer = None
        now = self._loop.now()
        rows = []
        for sandbox in self._worker.busy_since(now - _LOOK_S):
            progress = self._sandboxes.progress(sandbox)
            piped = self._piped(sandbox) + progress.piped
            entered = progress.slots
            if progress.entered:
                entered = (*entered, InSlot(progress.batch, progress.index, progress.entered_at, progress.text))
            for slot in entered:
                found = self._worker.attempt_at(sandbox, slot.batch, slot.index)
                if found is not None and slot.entered_at <= now - _LOOK_S:
                    at = slot.entered_at
                    rows.append(Running(found.run, found.step, found.attempt, sandbox, at, now, slot.text, piped))
        self._tell(tuple(rows))
        if not self._worker.quiet:
            self.gave()

    def _tell(self, rows: tuple[Running, ...]) -> None:
        """Tell what is seen, and once that nothing is."""
        if rows or self._told:
            self._told = bool(rows)
            self._tell_rows(rows)
