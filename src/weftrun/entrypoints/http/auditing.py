"""Who did what: each request that may change something, with its caller and its status, written a moment later."""

from __future__ import annotations

import asyncio
from typing import Final

from weftrun.adapters.sqlite.gateway import Audited, GatewayFile
from weftrun.adapters.system.clock import WallClock
from weftrun.entrypoints.http.callers import Caller

_WRITES_S: Final = 0.2


class Auditing:
    """Gathers what was done and writes it outside the loop of the server."""

    def __init__(self, file: GatewayFile) -> None:
        """Write nothing yet."""
        self._file = file
        self._clock = WallClock()
        self._rows: list[Audited] = []
        self._due: asyncio.TimerHandle | None = None

    def note(self, caller: Caller, action: str, what: str, status: int) -> None:
        """Keep what a caller did, or was not let."""
        self._rows.append(Audited(self._clock.now(), caller.tenant, caller.token, action, what, status))
        if self._due is None:
            loop = asyncio.get_running_loop()
            self._due = loop.call_later(_WRITES_S, lambda: loop.run_in_executor(None, self.write))

    def write(self) -> None:
        """Write what was gathered, from any thread."""
        rows, self._rows, self._due = self._rows, [], None
        if rows:
            self._file.put_audit(rows)
