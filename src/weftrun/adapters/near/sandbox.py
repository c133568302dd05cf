"""A Sandbox at the storage role in which Python Functions run: one interpreter, which has given up all but its key."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from typing import Final

from weftrun.adapters.near.key import KeyOfCall
from weftrun.model.beside import (
    BesideAsks,
    BesideEnter,
    BesideLoad,
    BesideLoaded,
    FromBeside,
    KeyTold,
    PythonAnswer,
    PythonCall,
    PythonCode,
)
from weftrun.model.limits import DEFAULT_LIMITS
from weftrun.model.near import NearFailed, NearRefused
from weftrun.ports.buckets import BucketsRefused
from weftrun.wire.channel import Channel
from weftrun.wire.frames import ChannelBroken
from weftrun.wire.memfd import sealed
from weftrun.wire.program import guest_command

_INLINE_BYTES: Final = 65_536
_END_S: Final = 5.0
_KEPT: Final = ("PATH", "LANG", "LC_ALL", "TZ")
"""Variables that a Sandbox has; others may be secrets of the storage role."""


class NotLoaded(Exception):
    """The code can't be imported there; the text says why."""


class BesideSandbox:
    """A process that has imported code, and calls functions of it, one after the other."""

    def __init__(self, code: PythonCode, module: str) -> None:
        """Start it, in a thread that lives as long as it may: it ends with that.

        Raises:
            NotLoaded: the code can't be imported, or this host can't make such a Sandbox.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                guest_command("weftrun.guest.beside", str(theirs.fileno()), str(os.getpid()), options=()),
                cwd="/", env={name: os.environ[name] for name in _KEPT if name in os.environ},
                pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        self._channel: Channel[FromBeside] = Channel(ours, FromBeside, frame_bytes_max=DEFAULT_LIMITS.frame_bytes_max)
        self.is_alive = True
        told: FromBeside | NearFailed
        try:
            self._until = time.monotonic() + DEFAULT_LIMITS.sandbox_start_s
            self._channel.send(BesideLoad(code, module))
            told = self._answer()
        except TimeoutError:
            told = NearFailed(f"it took longer than {DEFAULT_LIMITS.sandbox_start_s:g} s")
        if not isinstance(told, BesideLoaded) or told.why_not:
            self.close()
            raise NotLoaded(told.why_not if isinstance(told, BesideLoaded) else str(getattr(told, "error", told)))

    def call(self, told: PythonCall, key: KeyOfCall) -> PythonAnswer:
        """Call a function, and do for it what it asks for of its key."""
        self._until = time.monotonic() + told.time_s
        try:
            self._channel.send(BesideEnter(told))
            while isinstance(answer := self._answer(), BesideAsks):
                self._tell(answer, key)
        except TimeoutError:
            self.close()
            return NearFailed(f"it took longer than {told.time_s:g} s")
        if isinstance(answer, BesideLoaded):
            self.close()
            return NearFailed("its Sandbox gave an answer that is none")
        return answer

    def _answer(self) -> FromBeside | NearFailed:
        """Wait for the next message.

        Raises:
            TimeoutError: the time is over.
        """
        while True:
            left_s = self._until - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            self._channel.socket.settimeout(left_s)
            try:
                received = self._channel.receive()
            except ChannelBroken as error:
                self.close()
                return NearFailed(f"its Sandbox broke the rules: {error}")
            if received is None:
                self.close()
                return NearFailed(f"its Sandbox ended {_ending(self._process.returncode)}")
            for message, descriptors in received:
                for descriptor in descriptors:
                    os.close(descriptor)
                return message

    def _tell(self, asked: BesideAsks, key: KeyOfCall) -> None:
        """Answer what a function asks of its key; a value that is not small goes as memory."""
        try:
            told, data = _used(asked, key)
        except (ConnectionError, BucketsRefused, ValueError, OSError) as error:
            told, data = KeyTold(-1, failed=str(error), again=isinstance(error, ConnectionError)), None
        self._channel.socket.settimeout(max(0.001, self._until - time.monotonic()))
        if data is None or len(data) <= _INLINE_BYTES:
            self._channel.send(KeyTold(told.nbytes, bytes(data or b""), told.failed, told.again))
            return
        descriptor, _ = sealed([data])
        try:
            self._channel.send(told, (descriptor,))
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """End it. Idempotent."""
        self.is_alive = False
        self._process.kill()
        self._channel.close()
        self._process.wait(_END_S)


def _used(asked: BesideAsks, key: KeyOfCall) -> tuple[KeyTold, memoryview | None]:
    match asked.verb:
        case "stat":
            return KeyTold(key.nbytes()), None
        case "read":
            data = key.read(max(0, asked.offset), asked.nbytes)
            return (KeyTold(-1), None) if data is None else (KeyTold(len(data)), data)
        case "write":
            key.write(asked.data)
            return KeyTold(len(asked.data)), None
        case _:
            raise ValueError(f"There is no verb {asked.verb[:40]!r} of a key.")


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        return f"by signal {-code} ({signal.Signals(-code).name})"
    return f"with exit code {code}"


def refused_to_load(why: str) -> NearRefused:
    """Return the answer to a call whose code can't be imported."""
    return NearRefused(f"its code can't be imported there: {why}", for_good=True)
