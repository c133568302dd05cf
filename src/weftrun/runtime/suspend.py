"""Suspending Runs that only wait: nobody owns them, and no memory holds them, until they are due (O1)."""

from __future__ import annotations

from weftrun.model.ids import RunUid
from weftrun.ports.journal import Journal, Rest
from weftrun.ports.loop import Loop
from weftrun.runtime.committer import Committer

_GATHER_S = 0.005
"""Runs that begin to wait within this are suspended in one transaction."""


class Suspending:
    """Gives Runs back to the Journal until they are due, many in one transaction. On the loop.

    A Run is this session's until that is durable. Should it never be, the Run goes where all others of a session go
    that ends.
    """

    def __init__(self, loop: Loop, journal: Journal, committer: Committer) -> None:
        self._loop = loop
        self._journal = journal
        self._committer = committer
        self._waiting: dict[RunUid, Rest] = {}
        self._asked = False

    def add(self, run: RunUid, rest: Rest) -> None:
        """Suspend a Run of which this engine has forgotten everything; all its rows are durable."""
        self._waiting[run] = rest
        self._ask()

    def now(self) -> None:
        """Suspend at once what is to be suspended: the engine is being closed."""
        if self._waiting:
            self._write()

    def forget(self) -> None:
        """Suspend nothing that was to be: the session is gone, and the next one may claim a Run again."""
        self._waiting.clear()

    def _ask(self) -> None:
        if self._waiting and not self._asked:
            self._asked = True
            self._loop.call_at(self._loop.now() + _GATHER_S, self._write)

    def _write(self) -> None:
        waiting, self._waiting = self._waiting, {}
        if not waiting:
            self._asked = False
            return

        def ended(_: object) -> None:
            self._asked = False
            self._ask()

        self._committer.write(lambda: self._journal.suspend(waiting), ended, ended)
