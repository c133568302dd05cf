"""What Runs wait for that are held in memory: shown to those who look on, once they have waited for a moment."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from weftrun.ports.loop import Handle, Loop
from weftrun.ports.trace import Trace, WaitRow
from weftrun.runtime.runs import OpenRun
from weftrun.runtime.tracing import engine_name

_LOOK_S: Final = 0.5
"""Runs of which something was heard are looked at this often: one that goes on within it costs no row."""
_SHOWN_MAX: Final = 2_000
"""So many Runs of an engine are shown to other processes."""


class Unseen:
    """Takes the place of `ShownWaits` where nobody looks on."""

    def happened(self, run: OpenRun) -> None:
        """Something has happened in a Run."""

    def end(self) -> None:
        """The engine is being closed."""


class ShownWaits:
    """Shows what the Runs of an engine wait for: in their tickets, and in the trace. On the loop.

    A Run that is suspended says so in the Journal. This is for the others: those that wait for less than
    `wait_in_memory_s`, have something else under way, or can't be let go.

    Args:
        is_open: says whether a Run is open here.
    """

    def __init__(self, loop: Loop, trace: Trace, is_open: Callable[[OpenRun], bool]) -> None:
        self._loop = loop
        self._trace = trace
        self._is_open = is_open
        self._heard: set[OpenRun] = set()
        self._shown: dict[OpenRun, WaitRow] = {}
        self._timer: Handle | None = None

    def happened(self, run: OpenRun) -> None:
        """Something has happened in a Run; one that waits for nothing, and did not, costs no more than the question."""
        if not run.machine.may_wait and run not in self._shown:
            return
        self._heard.add(run)
        if self._timer is None:
            self._timer = self._loop.call_at(self._loop.now() + _LOOK_S, self._look)

    def end(self) -> None:
        """The engine is being closed: show nothing more."""
        self._heard.clear()
        if self._timer is not None:
            self._timer.cancel()
        if self._shown:
            self._shown.clear()
            self._write()

    def _look(self) -> None:
        self._timer = None
        heard, self._heard = self._heard, set()
        is_changed = False
        for run in heard:
            before = self._shown.get(run)
            what = run.machine.waits_for if self._is_open(run) else ""
            if what == (before.what if before is not None else ""):
                continue
            is_changed = True
            self._tell(run, before.what if before is not None else "", what)
            if what:
                self._shown[run] = WaitRow(run.uid, what, self._loop.now(), os.getpid())
            else:
                del self._shown[run]
        if is_changed:
            self._write()

    def _tell(self, run: OpenRun, before: str, what: str) -> None:
        for ticket in run.tickets if self._is_open(run) else ():
            if ticket.rests in ("", before):
                ticket.rests = what

    def _write(self) -> None:
        rows = [row for run, row in self._shown.items() if run.durable][:_SHOWN_MAX]
        self._loop.offload(lambda: self._trace.show_waits(engine_name(), rows), lambda: None, lane="trace")
