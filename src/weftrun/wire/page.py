"""The Sandbox page: a few words, a text and a stack that a Sandbox writes and its engine reads, without a message.

It tells what a Sandbox is running, and what that body has printed, also when the Sandbox can't speak any more. Its
memfd can't be resized by the guest (a shrunk page would kill the engine that reads it); its content is untrusted.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import signal
import struct
from typing import Final

_WORDS: Final = struct.Struct("<qqqd")
_BATCH, _INDEX, _ENTERED, _ENTERED_AT, _PRINTED, _PIPED = range(6)
_TEXT_AT: Final = 64
_READS_MAX: Final = 16
STACK_BYTES: Final = 8 * 1024
"""Room for the stack that a Sandbox writes when it is asked where it is."""
STACK_SIGNAL: Final = signal.SIGRTMIN + 5
"""By this a Sandbox is asked: a signal reaches also what holds the interpreter, and nobody uses this one."""

Snapshot = tuple[int, int, bool, float]
"""Number of the Batch, index in it, whether that body runs, and when it was entered (seconds since the epoch)."""


def page_bytes(text_bytes_max: int) -> int:
    """Return the size of a page that keeps `text_bytes_max` bytes of text."""
    return stack_at(text_bytes_max) + STACK_BYTES


def stack_at(text_bytes_max: int) -> int:
    """Return where in a page the stack stands."""
    return _TEXT_AT + text_bytes_max


def make_page(text_bytes_max: int) -> int:
    """Make a page and return its descriptor; its size is sealed."""
    descriptor = os.memfd_create("weftrun-page", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, page_bytes(text_bytes_max))
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return descriptor


class Page:
    """A mapped page. The guest's serve loop writes its words through `words` and `times` for speed.

    Attributes:
        words: 64-bit integers: batch (or body), index (or turn), entered (0 or 1), unused, bytes printed so far, and
            whether the pipe of descriptors 1 and 2 held anything when the last message was sent (0 or 1).
        times: the same memory as floats; place 3 is the time of entry.
    """

    BATCH, INDEX, ENTERED, ENTERED_AT, PRINTED, PIPED = _BATCH, _INDEX, _ENTERED, _ENTERED_AT, _PRINTED, _PIPED

    __slots__ = ("_head_bytes", "_memory", "_stack_at", "_tail_bytes", "times", "words")

    def __init__(self, descriptor: int, text_bytes_max: int, *, writable: bool) -> None:
        """Map the page behind `descriptor`, which may be closed afterwards."""
        prot = mmap.PROT_READ | mmap.PROT_WRITE if writable else mmap.PROT_READ
        self._memory = mmap.mmap(descriptor, page_bytes(text_bytes_max), flags=mmap.MAP_SHARED, prot=prot)
        view = memoryview(self._memory)[:_TEXT_AT]
        self.words = view.cast("q")
        self.times = view.cast("d")
        self._head_bytes = text_bytes_max // 2
        self._tail_bytes = text_bytes_max - self._head_bytes
        self._stack_at = stack_at(text_bytes_max)

    def write_text(self, data: bytes | memoryview) -> None:
        """Add text: the first half of the region is kept as it is, the second half always holds the latest."""
        head, tail, memory = self._head_bytes, self._tail_bytes, self._memory
        printed: int = self.words[_PRINTED]
        total = printed + len(data)
        if printed < head:
            now = data[: head - printed]
            memory[_TEXT_AT + printed : _TEXT_AT + printed + len(now)] = bytes(now)
            data = data[len(now) :]
        if data:
            data = data[-tail:]
            at = (total - len(data) - head) % tail
            first = data[: tail - at]
            base = _TEXT_AT + head
            memory[base + at : base + at + len(first)] = bytes(first)
            memory[base : base + len(data) - len(first)] = bytes(data[len(first) :])
        self.words[_PRINTED] = total

    def text(self) -> str:
        """Return what was printed; where it was more than the region holds, a note stands for the middle."""
        head, tail, memory = self._head_bytes, self._tail_bytes, self._memory
        printed = max(0, self.words[_PRINTED])
        kept = bytes(memory[_TEXT_AT : _TEXT_AT + min(printed, head)])
        rest = printed - head
        if rest <= 0:
            return kept.decode("utf-8", "replace")
        ring = bytes(memory[_TEXT_AT + head : _TEXT_AT + head + min(rest, tail)])
        if rest <= tail:
            return (kept + ring).decode("utf-8", "replace")
        at = rest % tail
        latest = ring[at:] + ring[:at]
        note = f"\n… {rest - tail} bytes left out …\n"
        return kept.decode("utf-8", "replace") + note + latest.decode("utf-8", "replace")

    def snapshot(self) -> Snapshot:
        """Return what the Sandbox is running, from two readings that agree, since it may write meanwhile."""
        last = _WORDS.unpack_from(self._memory)
        for _ in range(_READS_MAX):
            again = _WORDS.unpack_from(self._memory)
            if again == last:
                break
            last = again
        batch, index, entered, entered_at = last
        return batch, index, bool(entered), entered_at

    def stack(self) -> str:
        """Return the stack that the Sandbox has written when it was asked where it is; empty where it has not."""
        return bytes(self._memory[self._stack_at :]).split(b"\0", 1)[0].decode("utf-8", "replace")

    def close(self) -> None:
        """Unmap the page."""
        self.words.release()
        self.times.release()
        self._memory.close()
