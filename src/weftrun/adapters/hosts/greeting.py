"""How two Workers on different hosts make sure that both are of one engine: each proves that it knows the secret.

A challenge and a response each way (HMAC-SHA256, RFC 2104). What follows is not encrypted: a cluster's own network is
trusted with values, as Ray trusts it.
"""

from __future__ import annotations

import contextlib
import enum
import hmac
import itertools
import socket
import struct
from typing import Final

from weftrun.model.ids import WorkerId

_NONCE_BYTES: Final = 32
_PROOF_BYTES: Final = 32
_CALLER: Final = struct.Struct("<IB")
_PATIENCE_S: Final = 5.0
_PIECE_BYTES: Final = 1 << 20


class Purpose(enum.IntEnum):
    """What a connection is for."""

    VALUES = 1
    OBJECTS = 2


class Stranger(Exception):
    """The other end does not know the secret, or speaks something else."""


class Membership:
    """What a Worker, or the engine, shows the others of its engine. From any thread.

    Args:
        worker: who it is; no other process has the same number.
        secret: what all of them know, and nobody else.
    """

    def __init__(self, worker: WorkerId, secret: bytes) -> None:
        self.worker = worker
        self.secret = secret
        self._numbers = itertools.count()

    def nonce(self) -> bytes:
        """Return 32 bytes that nobody has sent before, and nobody foresees who does not know the secret."""
        return hmac.digest(self.secret, b"nonce" + struct.pack("<IQ", self.worker, next(self._numbers)), "sha256")


def call(host: str, port: int, caller: Membership, purpose: Purpose) -> socket.socket:
    """Connect to another Worker of the same engine; blocks for some seconds at most.

    Raises:
        OSError: nobody answers there.
        Stranger: who answers does not know the secret.
    """
    sock = socket.create_connection((host, port), _PATIENCE_S)
    with contextlib.ExitStack() as undo:
        undo.callback(sock.close)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ours = caller.nonce() + _CALLER.pack(caller.worker, purpose)
        sock.sendall(ours)
        theirs, proof = received(sock, _NONCE_BYTES), received(sock, _PROOF_BYTES)
        if not hmac.compare_digest(proof, _proof(caller.secret, b"answers", ours, theirs)):
            raise Stranger(f"who answers at {host}:{port} is no Worker of this engine")
        sock.sendall(_proof(caller.secret, b"calls", ours, theirs))
        undo.pop_all()
    return sock


def answer(sock: socket.socket, member: Membership) -> tuple[WorkerId, Purpose]:
    """Return who calls, and what for; blocks for some seconds at most.

    Raises:
        OSError: the connection broke, or the other end said nothing.
        Stranger: who calls does not know the secret.
    """
    sock.settimeout(_PATIENCE_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    ours, theirs = member.nonce(), received(sock, _NONCE_BYTES + _CALLER.size)
    sock.sendall(ours + _proof(member.secret, b"answers", theirs, ours))
    if not hmac.compare_digest(received(sock, _PROOF_BYTES), _proof(member.secret, b"calls", theirs, ours)):
        raise Stranger("who calls is no Worker of this engine")
    worker, purpose = _CALLER.unpack(theirs[_NONCE_BYTES:])
    with contextlib.suppress(ValueError):
        return WorkerId(worker), Purpose(purpose)
    raise Stranger(f"Worker {worker} calls for something that is not known here")


def received(sock: socket.socket, nbytes: int) -> bytes:
    """Return so many bytes from a blocking socket. `ConnectionError` where it ends before."""
    found = bytearray(nbytes)
    receive_into(sock, memoryview(found))
    return bytes(found)


def receive_into(sock: socket.socket, view: memoryview) -> None:
    """Fill a view from a blocking socket. `ConnectionError` where it ends before."""
    at = 0
    while at < len(view):
        count = sock.recv_into(view[at : at + _PIECE_BYTES])
        if not count:
            raise ConnectionError(f"the other end closed it {len(view) - at} bytes too early")
        at += count


def _proof(secret: bytes, role: bytes, caller: bytes, answerer: bytes) -> bytes:
    return hmac.digest(secret, role + caller + answerer, "sha256")
