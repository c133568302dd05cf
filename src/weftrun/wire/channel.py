"""A socket that carries messages and descriptors, blocking or not.

Nothing here waits for readiness or knows a loop: whoever owns a channel calls `receive` and `flush` when it may.
"""

from __future__ import annotations

import array
import contextlib
import errno
import functools
import os
import socket
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, Generic, TypeVar

import msgspec

from weftrun.wire.frames import DESCRIPTORS_MAX, HEADER, ChannelBroken, FrameInbox, FrameTooLarge

_In = TypeVar("_In")
_ANCILLARY_BYTES: Final = socket.CMSG_SPACE(DESCRIPTORS_MAX * array.array("i").itemsize)
_NO_HEADER: Final = bytes(HEADER.size)
_TRUNCATED: Final = int(socket.MSG_CTRUNC)
_CLOSE_ON_EXEC: Final = int(socket.MSG_CMSG_CLOEXEC)
_GONE: Final = frozenset(
    {errno.EPIPE, errno.ECONNRESET, errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ECONNABORTED}
)
"""How a dead end answers; all but the first two come of networks only."""


@functools.cache
def decoder_of(receives: Any) -> Any:
    """Return the decoder of a type; making one takes milliseconds, so that a zygote makes it before it forks."""
    return msgspec.msgpack.Decoder(receives)


def unix_socket(descriptor: int) -> socket.socket:
    """Return the socket behind a descriptor of ours, without asking the kernel what it is."""
    return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, descriptor)


class Channel(Generic[_In]):
    """One end of an AF_UNIX stream socket; it decodes what comes as `_In` and encodes whatever is sent.

    Descriptors handed to `queue` must stay open until `flush` has returned True; the channel never closes them.
    Received descriptors belong to whoever gets the message.
    """

    __slots__ = ("_decoder", "_encoder", "_frame_bytes_max", "_inbox", "_marks", "_out", "_sent", "socket")

    def __init__(self, sock: socket.socket, receives: Any, *, frame_bytes_max: int) -> None:
        """Speak over `sock` (whose blocking mode is kept), expecting messages of the type or union `receives`."""
        self.socket = sock
        self._decoder: msgspec.msgpack.Decoder[_In] = decoder_of(receives)
        self._encoder = msgspec.msgpack.Encoder()
        self._frame_bytes_max = frame_bytes_max
        self._inbox = FrameInbox(frame_bytes_max=frame_bytes_max)
        self._out = bytearray()
        self._sent = 0
        self._marks: deque[tuple[int, tuple[int, ...]]] = deque()

    def queue(self, message: msgspec.Struct, descriptors: Sequence[int] = ()) -> None:
        """Add a message to what is to be sent.

        Raises `FrameTooLarge` for one over `frame_bytes_max`, and what the encoder raises for text that is none (a
        lone surrogate) or a number that is too large; then nothing of it is sent.
        """
        before, marks = len(self._out), len(self._marks)
        try:
            self._queue(message, descriptors)
        except BaseException:
            del self._out[before:]
            while len(self._marks) > marks:
                self._marks.pop()
            raise

    def _queue(self, message: msgspec.Struct, descriptors: Sequence[int]) -> None:
        out, first = self._out, 0
        while len(descriptors) - first > DESCRIPTORS_MAX:
            self._marks.append((len(out), tuple(descriptors[first : first + DESCRIPTORS_MAX])))
            out += HEADER.pack(0, DESCRIPTORS_MAX)
            first += DESCRIPTORS_MAX
        start = len(out)
        out += _NO_HEADER
        self._encoder.encode_into(message, out, -1)
        body_bytes = len(out) - start - HEADER.size
        if body_bytes > self._frame_bytes_max:
            raise FrameTooLarge(
                f"A {type(message).__name__} of {body_bytes} bytes can't be sent; "
                f"the limit frame_bytes_max is {self._frame_bytes_max}.",
                body_bytes,
            )
        HEADER.pack_into(out, start, body_bytes, len(descriptors) - first)
        if descriptors:
            self._marks.append((start, tuple(descriptors[first:])))

    def flush(self) -> bool:
        """Send what is queued; False where a non-blocking socket is full. What a dead end won't take is dropped."""
        out = self._out
        try:
            if not self._marks and not self._sent:
                self._sent = self.socket.send(out)
            while self._sent < len(out):
                self._sent += self._send_some(memoryview(out)[self._sent :])
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _GONE:
                raise
            self._marks.clear()
        del out[:]
        self._sent = 0
        return True

    def _send_some(self, rest: memoryview) -> int:
        with rest:
            if not self._marks:
                return self.socket.send(rest)
            at, descriptors = self._marks[0]
            if at > self._sent:
                return self.socket.send(rest[: at - self._sent])
            end = self._marks[1][0] - at if len(self._marks) > 1 else len(rest)
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
            sent = self.socket.sendmsg([rest[:end]], ancillary)
            self._marks.popleft()
            return sent

    def send(self, message: msgspec.Struct, descriptors: Sequence[int] = ()) -> bool:
        """Queue and flush."""
        self.queue(message, descriptors)
        return self.flush()

    def receive(self) -> list[tuple[_In, tuple[int, ...]]] | None:
        """Receive once; return the messages that are complete now with their descriptors, or None at the end.

        A non-blocking socket raises `BlockingIOError` where nothing is there. Raises `ChannelBroken` for what is no
        message, and where the kernel could not hand over descriptors.
        """
        inbox = self._inbox
        try:
            nbytes, ancillary, flags, _ = self.socket.recvmsg_into([inbox.space()], _ANCILLARY_BYTES, _CLOSE_ON_EXEC)
        except OSError as error:
            if error.errno not in _GONE:
                raise
            return None
        if ancillary:
            inbox.add_descriptors(_descriptors_in(ancillary))
        if flags & _TRUNCATED:
            raise ChannelBroken("Descriptors were lost on the way: this process has too many open files.")
        if not nbytes:
            return None
        decode = self._decoder.decode
        try:
            messages = [(decode(body), descriptors) for body, descriptors in inbox.arrived(nbytes)]
        except msgspec.MsgspecError as error:
            raise ChannelBroken(f"What came is no message: {error}") from error
        inbox.settle()
        return messages

    def close(self) -> None:
        """Close the socket and the descriptors that nobody took. Idempotent."""
        for descriptor in self._inbox.close():
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self.socket.close()


def _descriptors_in(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    found = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return found.tolist()
