"""A process becomes a Sandbox: its own session and namespaces, its streams and signals, then the serve loop.

Entered by a fresh fork of the zygote, or by `main` in a fresh interpreter where the zygote must not fork.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from typing import Any, Final, NamedTuple, NoReturn

from weftrun.guest import isolation, kernel
from weftrun.guest.code import load_code
from weftrun.guest.serve import Server
from weftrun.guest.text import PageText, route_streams
from weftrun.model.limits import DEFAULT_LIMITS
from weftrun.model.messages import Fork, Load, Ready, ToSandbox, ToZygote
from weftrun.wire.channel import Channel
from weftrun.wire.page import Page

REFUSED: Final = 71
"""Exit code of a Sandbox that was refused; its parent has been told why."""


class Inherited(NamedTuple):
    """What a Sandbox gets from outside: its channel, its page, the pipe for descriptors 1 and 2, and its parent."""

    channel: int
    page: int
    text: int
    parent: socket.socket

    def descriptors(self) -> tuple[int, ...]:
        """Return all of them as descriptors."""
        return self.channel, self.page, self.text, self.parent.fileno()

    def arguments(self) -> tuple[str, ...]:
        """Return them as arguments for `main`."""
        return tuple(str(descriptor) for descriptor in self.descriptors())


def main() -> NoReturn:
    """Become a Sandbox in a fresh interpreter: the parent tells bundle and settings, and the import comes last."""
    channel, page, text, parent, own_pids = (int(argument) for argument in sys.argv[1:6])
    inherited = Inherited(channel, page, text, socket.socket(fileno=parent))
    limit = DEFAULT_LIMITS.frame_bytes_max
    told: Channel[ToZygote] = Channel(inherited.parent, ToZygote, frame_bytes_max=limit)
    messages: list[Any] = []
    while len(messages) < 2:
        messages += [message for message, _ in told.receive() or os._exit(0)]
    load, fork = messages
    become_sandbox(fork, inherited, own_pids=bool(own_pids), map_ids=True, load=load)


def become_sandbox(
    fork: Fork, inherited: Inherited, *, own_pids: bool, map_ids: bool, load: Load | None = None
) -> NoReturn:
    """Isolate this process and serve until told to stop. `load` is the code that is still to be imported."""
    zygote = os.getppid()
    kernel.die_with_parent(signal.SIGKILL)
    if os.getppid() != zygote:
        os._exit(0)
    os.setsid()
    flags = _isolate(fork, inherited.parent, map_ids=map_ids)
    # The parent maps the ids of the new user namespace meanwhile: no file may be opened before it is done.
    kernel.no_new_privileges()
    page = Page(inherited.page, fork.text_bytes_max, writable=True)
    os.close(inherited.page)
    channel: Channel[ToSandbox] = Channel(
        socket.socket(fileno=inherited.channel), ToSandbox, frame_bytes_max=DEFAULT_LIMITS.frame_bytes_max
    )
    server = Server(fork, channel, page, _take_streams(inherited.text, page))
    with inherited.parent:
        if not inherited.parent.recv(16):
            os._exit(REFUSED)
    if load is not None:
        load_code(load.bundle)
    channel.send(Ready((("pid",) if own_pids else ()) + isolation.names(flags)))
    _draw_other_numbers()
    server.run()


def _isolate(fork: Fork, parent: socket.socket, *, map_ids: bool) -> int:
    """Enter namespaces and ask the parent for their ids, or tell it why this Sandbox is refused and end."""
    flags = isolation.enter_namespaces(user=map_ids, network=fork.network)
    if not fork.network and not flags & kernel.CLONE_NEWNET:
        parent.send(
            b"network=False can't be held: this host lets us make no network namespace; "
            b"leave network=False away, or run where user namespaces are allowed"
        )
        os._exit(REFUSED)
    parent.send(b"map" if flags & kernel.CLONE_NEWUSER else b"go")
    return flags


def _take_streams(text: int, page: Page) -> PageText:
    """Let descriptors 1 and 2 be the engine's pipe, and Python's streams the page."""
    os.dup2(text, 1)
    os.dup2(text, 2)
    os.close(text)
    isolation.stay_alive_on_interrupt()
    sys.breakpointhook = _no_breakpoint
    return route_streams(page)


def _no_breakpoint(*_arguments: object, **_keywords: object) -> None:
    raise RuntimeError(
        "breakpoint() has no terminal inside a Sandbox. Run the workflow with --inline: "
        "its Functions then run in your own process, where the debugger works."
    )


def _draw_other_numbers() -> None:
    """Seed numpy's global generator afresh, which a fork copies (Python's own does this by itself)."""
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()
