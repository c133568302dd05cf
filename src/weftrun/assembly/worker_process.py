"""What runs in a Worker's process: `main()`, with the socket to the engine behind the descriptor that is given.

The process ends with its engine: when the engine closes the socket, dies, or gives no sign of life.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from pathlib import Path

from weftrun.adapters.hosts.distant_peers import DistantPeers
from weftrun.adapters.hosts.peers import PeerLinks
from weftrun.adapters.hosts.worker_end import WorkerEnd
from weftrun.adapters.memfd import MemfdObjects
from weftrun.adapters.process import ProcessSandboxes
from weftrun.adapters.system.descriptors import DESCRIPTOR_LIMIT, descriptors_needed
from weftrun.adapters.system.loop import UvLoop
from weftrun.adapters.system.memory import memory_below
from weftrun.model.errors import UsageError
from weftrun.model.hosts import SANDBOXES_EACH, Begin, ToWorker, WorkerAbout
from weftrun.model.limits import DEFAULT_LIMITS
from weftrun.model.values import Blob
from weftrun.runtime.worker_driver import WorkerDriver
from weftrun.wire.channel import Channel, unix_socket
from weftrun.wire.said_page import SaidPage

_LOG = logging.getLogger("weftrun")
_CLOSE_S = 5.0
_MEASURE_S = 5.0

Messages = list[tuple[ToWorker, tuple[int, ...]]]


class WorkerProcess:
    """The Worker of this process, wired."""

    def __init__(self, channel: Channel[ToWorker], begin: Begin, page: SaidPage | None, heard: Messages) -> None:
        """Make everything; `heard` is what came together with the first message."""
        limits = begin.limits
        DESCRIPTOR_LIMIT.raise_to(descriptors_needed(limits))
        self._begin = begin
        self._page = page
        self._channel = channel
        self._heard = heard
        self._measure_at = 0.0
        self._memory_bytes = 0
        self._ended = threading.Event()
        self._error: BaseException | None = None
        self._peers: PeerLinks | DistantPeers | None = None
        self._objects = MemfdObjects(
            Path(begin.folder) / f"worker-{os.getpid()}",
            quota_bytes=begin.quota_bytes,
            descriptors_max=limits.descriptors_max,
            open_blob=_no_blob,
            store_folder=begin.store_folder,
        )
        self._loop = UvLoop(self._failed, name="weftrun-worker")
        self._sandboxes = ProcessSandboxes(
            self._loop, self._objects, limits=limits, hash_seed=begin.hash_seed, open_files_max=begin.open_files_max,
            store_folder=begin.store_folder,
        )  # fmt: skip

    def serve(self) -> None:
        """Work until the engine has ended. Raises what was a bug of ours."""
        self._loop.call_soon(self._start)
        self._loop.start()
        self._ended.wait()
        closed = threading.Event()

        def close() -> None:
            self._sandboxes.close()
            if self._peers is not None:
                self._peers.close()
            closed.set()

        self._loop.call_from_thread(close)
        closed.wait(_CLOSE_S)
        self._loop.stop()
        self._channel.close()
        self._objects.close()
        if self._error is not None:
            raise self._error

    def _start(self) -> None:
        begin = self._begin
        first = begin.worker * SANDBOXES_EACH
        peers = self._peers = self._make_peers()
        worker = WorkerDriver(
            self._loop, self._sandboxes, self._objects, begin.limits, begin.sandboxes_max, first_sandbox=first,
            peers=peers, rules=begin.warm, outlived=True,
        )  # fmt: skip
        end = WorkerEnd(
            self._loop,
            self._channel,
            self._objects,
            worker,
            begin.worker,
            begin.limits.lease_ttl_s,
            self._ended.set,
            self._about,
            peers,
            page=self._page,
        )
        end.take(self._heard)

    def _make_peers(self) -> PeerLinks | DistantPeers:
        """Return the links to the engine's other Workers, on this host or on other ones."""
        begin = self._begin
        if begin.serves_at:
            try:
                return DistantPeers(self._loop, self._objects, begin)
            except OSError as error:
                _LOG.warning(
                    "Values of this Worker go through the engine, since it can't be reached at %s: %s",
                    begin.serves_at, error,
                )  # fmt: skip
        return PeerLinks(self._loop, self._objects, begin.limits.frame_bytes_max)

    def _about(self) -> WorkerAbout:
        """Tell of this Worker; memory is measured now and then, since that takes milliseconds."""
        now = self._loop.now()
        if now >= self._measure_at:
            self._measure_at = now + _MEASURE_S
            self._memory_bytes = memory_below(os.getpid())
        objects = self._objects.stats()["object_bytes"]
        return WorkerAbout(os.uname().nodename, os.getpid(), self._sandboxes.count, self._memory_bytes, objects)

    def _failed(self, error: BaseException) -> None:
        self._error = error
        self._ended.set()


def main() -> None:
    """Serve one engine until it ends. Exits with 1 where the first message is not what it must be."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the terminal's; the engine decides when its Workers end
    serve(unix_socket(int(sys.argv[1])))


def serve(sock: socket.socket) -> None:
    """Serve the engine at the other end of a socket until it ends."""
    channel: Channel[ToWorker] = Channel(sock, ToWorker, frame_bytes_max=DEFAULT_LIMITS.frame_bytes_max)
    messages = channel.receive()
    if messages is None:
        return
    begin = messages[0][0] if messages else None
    if not isinstance(begin, Begin):
        sys.exit("A Worker is started by an engine, which says first who it is.")
    page = None
    for descriptor in messages[0][1]:
        page = SaidPage(descriptor)
        os.close(descriptor)
    WorkerProcess(channel, begin, page, messages[1:]).serve()


def _no_blob(blob: Blob) -> int:
    raise UsageError(f"A Worker in another process has no blobs, and was handed {blob.sha256}.")
