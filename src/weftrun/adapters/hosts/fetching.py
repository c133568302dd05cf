"""Objects from one Worker's host to another's, over connections of their own: who reads asks, who keeps sends.

The bytes go from the memory of an Object into the socket, and from there into the memory of a new one, piece by piece.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import mmap
import os
import socket
import struct
import threading
from collections.abc import Callable
from typing import Final

from weftrun.adapters.hosts.greeting import Membership, Purpose, Stranger, answer, call, receive_into, received
from weftrun.adapters.hosts.outflow import Outflow
from weftrun.adapters.passing.readiness import ThreadLoop
from weftrun.model.errors import WeftrunError
from weftrun.model.hosts import ENGINE
from weftrun.model.ids import ObjectId, WorkerId
from weftrun.model.values import Object
from weftrun.ports.objects import Objects
from weftrun.wire.memfd import SEALS

_ASKED: Final = struct.Struct("<Q")
_ANSWERED: Final = struct.Struct("<q")
_NOT_HERE: Final = -1
_LARGE_BYTES: Final = 8 << 20
"""Objects from this size on do not keep smaller ones waiting."""
_PIECE_BYTES: Final = 4 << 20
_WAIT_S: Final = 1.0
"""A piece for the engine waits no longer than this for Workers that are sent something."""
_STRANGERS_MAX: Final = 32
"""Connections at once of which nobody knows yet who calls."""

Called = Callable[[socket.socket, WorkerId], None]


class HostDoor:
    """Where the engine and its other Workers reach this one: in threads of its own.

    What Workers read goes before the engine's copies, of which a piece is sent from time to time all the same.

    Args:
        address: of this host; the port is free to choose.
        called: told, in a thread, of a connection for values.
        silence_s: how long a connection may stand still in the middle of an Object.

    Attributes:
        outflow: what of it leaves for other Workers.

    Raises:
        OSError: there is no such address here.
    """

    def __init__(self, address: str, member: Membership, objects: Objects, called: Called, silence_s: float) -> None:
        self._member = member
        self._objects = objects
        self._called = called
        self._silence_s = silence_s
        self.outflow = Outflow()
        self._strangers = threading.BoundedSemaphore(_STRANGERS_MAX)
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._closed = False
        self._sending = 0
        self._others_rest = threading.Event()
        self._others_rest.set()
        self._listening = socket.create_server((address, 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, name="weftrun-door", daemon=True).start()

    def _accept(self) -> None:
        while True:
            self._strangers.acquire()
            try:
                sock, _ = self._listening.accept()
            except OSError:
                return  # it was closed
            threading.Thread(target=self._answer, args=[sock], name="weftrun-serve-objects", daemon=True).start()

    def _answer(self, sock: socket.socket) -> None:
        try:
            worker, purpose = answer(sock, self._member)
        except (OSError, Stranger):
            sock.close()
            return
        finally:
            self._strangers.release()
        if purpose is Purpose.VALUES:
            self._called(sock, worker)
            return
        with self._lock:
            if self._closed:
                sock.close()
                return
            self._open.add(sock)
        with contextlib.suppress(OSError), self._leaving(worker, sock):
            self._serve(sock, worker)
        with self._lock:
            self._open.discard(sock)
        sock.close()

    def _leaving(self, worker: WorkerId, sock: socket.socket) -> contextlib.AbstractContextManager[None]:
        """Count what leaves for another Worker; the engine's copies wait for that."""
        return self.outflow.connected(worker, sock) if worker != ENGINE else contextlib.nullcontext()

    def _serve(self, sock: socket.socket, worker: WorkerId) -> None:
        """Send what is asked for until the other end has gone."""
        while True:
            sock.settimeout(None)
            (number,) = _ASKED.unpack(received(sock, _ASKED.size))
            sock.settimeout(self._silence_s)
            try:
                self._objects.hold(ObjectId(number))
            except WeftrunError:
                sock.sendall(_ANSWERED.pack(_NOT_HERE))
                continue
            try:
                descriptor = self._objects.descriptor(ObjectId(number))
                nbytes = os.fstat(descriptor).st_size
                sock.sendall(_ANSWERED.pack(nbytes))
                self._send(sock, worker, ObjectId(number), descriptor, nbytes)
            finally:
                self._objects.release(ObjectId(number))

    def _send(self, sock: socket.socket, worker: WorkerId, oid: ObjectId, descriptor: int, nbytes: int) -> None:
        """Send an Object in pieces."""
        if worker != ENGINE:
            self._sends(1)
        try:
            for start in range(0, nbytes, _PIECE_BYTES):
                if worker == ENGINE:
                    self._others_rest.wait(_WAIT_S)
                piece = min(_PIECE_BYTES, nbytes - start)
                _send_file(sock, descriptor, start, piece)
                if worker != ENGINE:
                    self.outflow.took(worker, sock, oid, piece)
        finally:
            if worker != ENGINE:
                self._sends(-1)

    def _sends(self, more: int) -> None:
        with self._lock:
            self._sending += more
            if self._sending:
                self._others_rest.clear()
            else:
                self._others_rest.set()

    def close(self) -> None:
        """Let nobody in any more, and end what is sent. Idempotent."""
        with self._lock:
            self._closed = True
            for sock in (self._listening, *self._open):
                _shut(sock)
        self._listening.close()


class Fetcher:
    """Fetches Objects from one other Worker, one after the other, over a connection that it makes with the first.

    Used in one thread at a time, but for `close`.
    """

    def __init__(self, host: str, port: int, member: Membership, silence_s: float) -> None:
        """Ask at this address, whose end may say nothing for `silence_s` seconds."""
        self._at = host, port
        self._member = member
        self._silence_s = silence_s
        self._sock: socket.socket | None = None
        self._in_use = threading.Lock()
        self._closed = False

    def fetch(self, wanted: Object) -> int | None:
        """Return a sealed memfd with an Object that is named by its keeper's number; None where it can't be had."""
        with self._in_use:
            try:
                return self._fetched(wanted)
            except (OSError, Stranger):
                self._drop()
                return None
            finally:
                if self._closed:
                    self._drop()

    def _fetched(self, wanted: Object) -> int | None:
        if self._closed:
            return None
        if self._sock is None:
            self._sock = call(*self._at, self._member, Purpose.OBJECTS)
            self._sock.settimeout(self._silence_s)
        self._sock.sendall(_ASKED.pack(wanted.oid))
        (nbytes,) = _ANSWERED.unpack(received(self._sock, _ANSWERED.size))
        if nbytes == _NOT_HERE:
            return None
        if nbytes != wanted.nbytes:
            raise ConnectionError(f"an Object of {wanted.nbytes} bytes has {nbytes} where it is kept")
        return _received_object(self._sock, nbytes)

    def _drop(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def close(self) -> None:
        """End what is under way. From any thread; idempotent."""
        self._closed = True
        if (sock := self._sock) is not None:
            _shut(sock)
        if self._in_use.acquire(blocking=False):
            self._drop()
            self._in_use.release()


class Fetchers:
    """Fetches Objects from the Workers of an engine, from each over two connections: one for large ones."""

    def __init__(self, loop: ThreadLoop, member: Membership, silence_s: float) -> None:
        """Say who asks, and how long the other end may say nothing, in seconds."""
        self._loop = loop
        self._member = member
        self._silence_s = silence_s
        self._at: dict[WorkerId, tuple[Fetcher, Fetcher, int]] = {}

    def dial(self, worker: WorkerId, host: str, port: int) -> None:
        """A Worker can be reached at this address. Nothing is said to it yet."""
        taken = {number for _, _, number in self._at.values()}
        small, large = (Fetcher(host, port, self._member, self._silence_s) for _ in range(2))
        self._at[worker] = small, large, next(number for number in itertools.count() if number not in taken)

    def fetch(self, worker: WorkerId, kept: Object, done: Callable[[int | None], None]) -> None:
        """Fetch an Object from the Worker that keeps it under its number.

        Args:
            done: called on the loop with the descriptor of a sealed memfd; with None where it can't be had.
        """
        if worker not in self._at:
            self._loop.call_soon(lambda: done(None))
            return
        small, large, number = self._at[worker]
        is_large = kept.nbytes >= _LARGE_BYTES
        found: list[int | None] = []
        self._loop.offload(
            lambda: found.append((large if is_large else small).fetch(kept)),
            lambda: done(found[0]),
            lane=f"{'large' if is_large else 'small'} {number}",  # used again when a Worker is gone
        )

    def part(self, worker: WorkerId) -> None:
        """A Worker is gone: what is under way ends."""
        for fetcher in self._at.pop(worker, ())[:2]:
            fetcher.close()

    def close(self) -> None:
        """Part with all. Idempotent."""
        for worker in list(self._at):
            self.part(worker)


def _send_file(sock: socket.socket, descriptor: int, start: int, nbytes: int) -> None:
    """Send a part of a file from the kernel's memory, as far as the socket takes it in time."""
    with os.fdopen(os.dup(descriptor), "rb") as file:
        sock.sendfile(file, start, nbytes)


def _received_object(sock: socket.socket, nbytes: int) -> int:
    descriptor = os.memfd_create("weftrun-object", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with contextlib.ExitStack() as undo:
        undo.callback(os.close, descriptor)
        if nbytes:
            os.ftruncate(descriptor, nbytes)
            with mmap.mmap(descriptor, nbytes) as memory, memoryview(memory) as view:
                receive_into(sock, view)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, SEALS)
        undo.pop_all()
    return descriptor


def _shut(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
