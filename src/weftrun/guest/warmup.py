"""One Invocation for nobody, in a process that waits to become a Sandbox.

After a fork, each page of memory is copied at the first write to it, and counting references is writing: a first
Invocation pays for hundreds of pages. Here they are paid for while nobody waits. Nothing of the author's is entered.
"""

from __future__ import annotations

import os
import socket
import sys

from weftrun.guest.serve import Server
from weftrun.guest.text import TextPipe, route_streams
from weftrun.model.ids import RunId, RunUid, StepId
from weftrun.model.messages import Batch, Fork, Invocation, Ready, ToSandbox
from weftrun.model.values import Inline, Tree
from weftrun.sdk.codec import encode
from weftrun.sdk.function import function
from weftrun.wire.channel import Channel
from weftrun.wire.lease_page import LeasePage
from weftrun.wire.page import Page, make_page

_BYTES_MAX = 4096


@function(effects="none")
def _part(value: int) -> int:
    return value


def warm_up() -> None:
    """Serve one Invocation of a Function of ours, on channel, page and pipe of our own, and release everything."""
    here, there = socket.socketpair()
    page_fd, (reader, writer) = make_page(_BYTES_MAX), os.pipe()
    streams = sys.stdout, sys.stderr
    fork = Fork(0, True, _BYTES_MAX, _BYTES_MAX, _BYTES_MAX, _BYTES_MAX, 1, _BYTES_MAX, 1, _BYTES_MAX, 0.0)
    page = Page(page_fd, _BYTES_MAX, writable=True)
    lease_page = LeasePage.made()
    engine: Channel[ToSandbox] = Channel(here, ToSandbox, frame_bytes_max=_BYTES_MAX)
    channel: Channel[ToSandbox] = Channel(there, ToSandbox, frame_bytes_max=_BYTES_MAX)
    pipe = TextPipe(writer)
    try:
        server = Server(fork, channel, page, route_streams(page), pipe, lease_page)
        channel.send(Ready(("none",)))
        call = Invocation(0, 0, StepId("part[0]"), 1, Tree(Inline(encode(((1,), {}), what="a part").tobytes())))
        engine.send(Batch(1, _part.spec, ((RunId("warmup"), RunUid("warmup")),), (call,)))
        server.serve_once()
    finally:
        sys.stdout, sys.stderr = streams
        page.close()
        lease_page.close()
        pipe.close()
        for end in (engine, channel):
            end.close()
        for descriptor in (page_fd, reader):
            os.close(descriptor)
