"""A zygote that begins again, by exec, after an import that left what no fork may have.

It has imported nothing of the author's, so that nothing of theirs lives or stays open in it: no thread, no connection,
no lock, no process. The Sandboxes that it makes import by themselves.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

import msgspec

from weftrun.guest import isolation, kernel
from weftrun.guest.orphans import kill_descendants
from weftrun.guest.remains import close_all_but
from weftrun.guest.zygote import ZygoteLoop
from weftrun.model.messages import Load
from weftrun.wire.channel import unix_socket
from weftrun.wire.level import Level
from weftrun.wire.program import uncover


def main() -> NoReturn:
    """Go on as the zygote that this process was, on the same channel."""
    channel, memory, own_pids, level, frame_bytes_max = (int(argument) for argument in sys.argv[1:6])
    uncover()
    kernel.die_with_parent(signal.SIGKILL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    isolation.stay_alive_on_interrupt()
    close_all_but(frozenset({channel, memory}))
    kill_descendants()
    os.lseek(memory, 0, os.SEEK_SET)
    with open(memory, "rb") as file:
        told = msgspec.msgpack.decode(file.read(), type=tuple[Load, tuple[str, ...], float, tuple[str, ...]])
    os.set_inheritable(channel, False)
    zygote = ZygoteLoop(
        unix_socket(channel),
        own_pids=bool(own_pids),
        level=Level(level),
        frame_bytes_max=frame_bytes_max,
    )
    zygote.stand_for(*told)
    zygote.run()
