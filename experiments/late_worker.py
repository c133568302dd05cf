"""A Worker process of this host to which other Workers' messages take their time, too: see `late_link`."""

from __future__ import annotations

import os
from collections import deque
from typing import Any, Final

from weftrun.adapters.hosts.peers import PeerLinks
from weftrun.assembly import worker_process

LINK_S: Final = "WEFTRUN_EXPERIMENT_LINK_S"
"""Environment variable: how long a message between two Workers is held back, in seconds."""


def main() -> None:
    """Serve an engine; what another Worker hands over is held back before it is taken."""
    seconds = float(os.environ[LINK_S])
    taken = PeerLinks._take
    coming: deque[tuple[Any, ...]] = deque()

    def take(*message: Any) -> None:
        loop = message[0]._loop
        coming.append(message)
        # Timers of one time may go off in any order; messages keep theirs.
        loop.call_at(loop.now() + seconds, lambda: taken(*coming.popleft()))

    PeerLinks._take = take  # type: ignore[method-assign, assignment]
    worker_process.main()
