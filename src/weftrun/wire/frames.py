"""Cutting a stream of bytes into frames, without a socket.

A frame is a header (length of the body, number of descriptors that came with it) and a body. A frame with an empty
body only carries descriptors for the next frame that has one. Decoding bodies must not enter here.
"""

from __future__ import annotations

import mmap
import struct
from collections import deque
from typing import Final

from weftrun.model.errors import InternalError

HEADER: Final = struct.Struct("<IH")
DESCRIPTORS_MAX: Final = 64
"""Descriptors that travel with one frame."""

_BUFFER_BYTES: Final = 128 * 1024


class ChannelBroken(InternalError):
    """The other end sent what no frame can be, or descriptors were lost on the way: the channel is unusable."""


class FrameTooLarge(ChannelBroken):
    """A message is over `frame_bytes_max`. Nothing of it was sent, and the channel goes on.

    Attributes:
        frame_bytes: how large its frame would be.
    """

    def __init__(self, text: str, frame_bytes: int) -> None:
        """Say it in `text`."""
        super().__init__(text)
        self.frame_bytes = frame_bytes


class FrameInbox:
    """Collects arriving bytes in one buffer and hands out whole frames.

    Bytes are received into `space()` and announced by `arrived()`; the buffer grows for a large frame and shrinks
    again afterwards, so that a receive never allocates.
    """

    __slots__ = ("_descriptors", "_end", "_frame_bytes_max", "_owed", "_start", "_view")

    def __init__(self, *, frame_bytes_max: int) -> None:
        """Make an empty inbox that refuses frames with a body of more than `frame_bytes_max` bytes."""
        self._frame_bytes_max = frame_bytes_max
        self._view = _memory(_BUFFER_BYTES)
        self._start = 0
        self._end = 0
        self._descriptors: deque[int] = deque()
        self._owed = 0

    def space(self) -> memoryview:
        """Return where the next bytes belong; never empty."""
        return self._view[self._end :]

    def add_descriptors(self, descriptors: list[int]) -> None:
        """Take descriptors that came with the bytes announced next."""
        self._descriptors.extend(descriptors)

    def arrived(self, nbytes: int) -> list[tuple[memoryview, tuple[int, ...]]]:
        """Take `nbytes` more bytes, and return the frames that are complete now, in order.

        The bodies are views of the buffer and hold until the next call of `settle`, which must follow. Raises
        `ChannelBroken` for a frame over the limit, or one that announces descriptors that did not come.
        """
        self._end += nbytes
        start, end, view = self._start, self._end, self._view
        frames: list[tuple[memoryview, tuple[int, ...]]] = []
        while end - start >= HEADER.size:
            body_bytes, count = HEADER.unpack_from(view, start)
            if body_bytes > self._frame_bytes_max:
                raise ChannelBroken(
                    f"A frame of {body_bytes} bytes came; the limit frame_bytes_max is {self._frame_bytes_max}."
                )
            body_start = start + HEADER.size
            if end - body_start < body_bytes:
                break
            start = body_start + body_bytes
            self._owed += count
            if body_bytes:
                frames.append((view[body_start:start], self._take() if self._owed else ()))
        self._start = start
        return frames

    def settle(self) -> None:
        """Make room for the next bytes, after the bodies have been read."""
        rest = self._end - self._start
        if rest == 0:
            self._start = self._end = 0
            if len(self._view) > _BUFFER_BYTES:
                self._move(_BUFFER_BYTES)
            return
        wanted = HEADER.size
        if rest >= HEADER.size:
            wanted += HEADER.unpack_from(self._view, self._start)[0]
        if self._start + max(wanted, rest + 1) > len(self._view):
            self._move(max(wanted, _BUFFER_BYTES))

    def close(self) -> list[int]:
        """Return the descriptors that nobody took, for closing."""
        left = list(self._descriptors)
        self._descriptors.clear()
        return left

    def _take(self) -> tuple[int, ...]:
        if self._owed > len(self._descriptors):
            raise ChannelBroken(f"A frame came with {len(self._descriptors)} of its {self._owed} descriptors.")
        taken = tuple(self._descriptors.popleft() for _ in range(self._owed))
        self._owed = 0
        return taken

    def _move(self, capacity: int) -> None:
        rest = self._end - self._start
        if capacity == len(self._view):
            self._view[:rest] = bytes(self._view[self._start : self._end])
        else:
            view = _memory(capacity)
            view[:rest] = self._view[self._start : self._end]
            self._view = view
        self._start, self._end = 0, rest


def _memory(nbytes: int) -> memoryview:
    """Return zeroed memory whose pages cost nothing until they are touched; most frames need few of them."""
    return memoryview(mmap.mmap(-1, nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
