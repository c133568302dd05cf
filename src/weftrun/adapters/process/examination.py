"""What the import of some code does in a zygote, without an engine: whether it succeeds, and what it leaves behind."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from typing import Final

from msgspec import Struct

from weftrun.adapters.process.sandbox import exit_clause, import_clause
from weftrun.adapters.process.zygote import Surroundings, start_zygote
from weftrun.model.limits import DEFAULT_LIMITS
from weftrun.model.messages import FromZygote, Load, Loaded
from weftrun.model.policy import Bundle
from weftrun.wire.channel import Channel

_END_S: Final = 5.0


class Examined(Struct, frozen=True):
    """What became of an import.

    Attributes:
        import_s: how long it took, in seconds.
        unforkable: what it left that no fork may have, each in a few words.
        failure: why it failed; empty where it did not.
    """

    import_s: float = 0.0
    unforkable: tuple[str, ...] = ()
    failure: str = ""


def examine(bundle: Bundle, *, patience_s: float = DEFAULT_LIMITS.sandbox_start_s) -> Examined:
    """Import a bundle as a zygote does, in a process of its own that is gone when this returns.

    Args:
        bundle: the code.
        patience_s: how long it may take, in seconds.

    Raises:
        OSError: the process can't be started.
    """
    ours, theirs = socket.socketpair()
    with theirs, open(os.devnull, "wb") as nowhere:
        bytes_max = DEFAULT_LIMITS.frame_bytes_max
        process, _ = start_zygote(bundle, theirs.fileno(), nowhere.fileno(), Surroundings(0, None), bytes_max)
    ours.settimeout(patience_s)
    channel: Channel[FromZygote] = Channel(ours, FromZygote, frame_bytes_max=bytes_max)
    try:
        channel.send(Load(bundle, DEFAULT_LIMITS.error_text_bytes_max))
        received = channel.receive()
    except TimeoutError:
        return Examined(failure=f"its import had not ended after {patience_s:g} s")
    finally:
        channel.close()
        code = _ended(process)
    for message, _ in received or ():
        if isinstance(message, Loaded):
            why = import_clause(message.failure) if message.failure is not None else ""
            return Examined(message.import_s, message.unforkable, why)
    return Examined(failure=f"its code could not be imported: the interpreter ended by {exit_clause(code)}")


def _ended(process: subprocess.Popen[bytes]) -> int:
    """Wait for the end of a zygote whose channel is closed, and of all it has started."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        return process.wait(_END_S)
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        return process.wait(_END_S)
    process.kill()
    return process.wait()
