"""Worker processes on this host: started, watched, and started again when one has ended."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from weftrun.adapters.hosts.engine_end import RemoteWorker
from weftrun.adapters.hosts.introductions import Introductions, Met
from weftrun.adapters.passing.readiness import FdLoop
from weftrun.model.hosts import FromWorker
from weftrun.model.ids import WorkerId
from weftrun.ports.objects import Objects
from weftrun.ports.worker import DistantWorker, MakeBegin
from weftrun.wire.channel import Channel

_AGAIN_S: Final = 0.5
"""A Worker that ended is started again after this, as another Worker."""
_END_S: Final = 5.0
_LOOPBACK: Final = "127.0.0.1"

Joined = Callable[[WorkerId, DistantWorker, int], None]


class LocalWorkers:
    """Keeps a number of Worker processes on this host.

    Args:
        count: how many.
        module: what is run as `python -m MODULE DESCRIPTOR`, with the socket to the engine behind the descriptor.
        joined: called with each Worker that is there.
        met: called with each two that can speak to one another, where they are to.
        introductions: with them, the Workers treat one another as Workers of other hosts, over loopback: for tests.
    """

    def __init__(
        self,
        loop: FdLoop,
        objects: Objects,
        count: int,
        module: str,
        begin: MakeBegin,
        joined: Joined,
        met: Met | None = None,
        introductions: Introductions | None = None,
    ) -> None:
        self._loop = loop
        self._objects = objects
        self._count = count
        self._module = module
        self._begin = begin
        self._joined = joined
        self._met = met
        self._introductions = introductions
        self._last = 0
        self._there: dict[WorkerId, tuple[subprocess.Popen[bytes], RemoteWorker]] = {}
        self._closed = False

    def start(self) -> None:
        """Start all, in the loop's thread: the kernel ends them with it."""
        for _ in range(self._count):
            self._start()

    @property
    def pids(self) -> dict[WorkerId, int]:
        """The processes of the Workers that are there."""
        return {worker: process.pid for worker, (process, _) in self._there.items()}

    def _start(self) -> None:
        if self._closed:
            return
        self._last += 1
        worker = WorkerId(self._last)
        begin = self._begin(worker)
        if self._introductions is not None:
            begin = replace(begin, serves_at=_LOOPBACK)
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-P", "-c", _PROGRAM.format(module=self._module), _ROOT, str(theirs.fileno())]
            process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, start_new_session=True
            )
        channel: Channel[FromWorker] = Channel(ours, FromWorker, frame_bytes_max=begin.limits.frame_bytes_max)
        remote = RemoteWorker(self._loop, channel, self._objects, begin, process.kill, self._introductions)
        self._there[worker] = process, remote
        watch = os.pidfd_open(process.pid)

        def ended() -> None:
            self._loop.remove_reader(watch)
            os.close(watch)
            self._ended(worker)

        self._loop.add_reader(watch, ended)
        self._joined(worker, remote, begin.sandboxes_max)
        if self._introductions is not None:
            self._introductions.joined(worker, remote, _LOOPBACK)
        elif self._met is not None:
            self._introduce(worker, remote, self._met)

    def _introduce(self, worker: WorkerId, remote: RemoteWorker, met: Met) -> None:
        """Give a new Worker a socket with each other one."""
        for other, (_, there) in self._there.items():
            if other != worker:
                ours, theirs = socket.socketpair()
                remote.meet(other, ours.detach())
                there.meet(worker, theirs.detach())
                met(worker, other)

    def _ended(self, worker: WorkerId) -> None:
        """A process is gone: hear what it had still said, then count it as gone."""
        found = self._there.pop(worker, None)
        if found is None:
            return
        process, remote = found
        code = process.wait()
        remote.finish(f"its process ended with {code}")
        if self._introductions is not None:
            self._introductions.left(worker)
        self._loop.call_at(self._loop.now() + _AGAIN_S, self._start)

    def close(self) -> None:
        """End all, and return when they have ended. Idempotent."""
        self._closed = True
        if self._introductions is not None:
            self._introductions.close()
        there, self._there = self._there, {}
        for _, remote in there.values():
            remote.close()
        for process, _ in there.values():
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
                process.wait()


_ROOT: Final = str(Path(__file__).resolve().parents[3])
_PROGRAM: Final = "import sys; sys.path.append(sys.argv.pop(1)); from {module} import main; main()"
