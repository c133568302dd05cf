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
_BATCH, _INDEX, _ENTERED, _ENTERED_AT, _PRINTED, _PIPED, _SLOTS = range(7)
_TEXT_AT: Final = 64
_READS_MAX: Final = 16
SLOTS_MAX: Final = 256
"""Attempts that one Sandbox can be in at once. A page has room for all: what nobody writes to takes no memory."""
STACK_BYTES: Final = 8 * 1024
"""Room for the stack that a Sandbox writes when it is asked where it is."""
STACK_SIGNAL: Final = signal.SIGRTMIN + 5
"""By this a Sandbox is asked: a signal reaches also what holds the interpreter, and nobody uses this one."""

Snapshot = tuple[int, int, bool, float]
"""Number of the Batch, index in it, whether that body runs, and when it was entered (seconds since the epoch)."""


def page_bytes(text_bytes_max: int) -> int:
    """Return the size of a page that keeps `text_bytes_max` bytes of text for each Attempt."""
    return _slot_at(text_bytes_max, SLOTS_MAX)


def _slot_at(text_bytes_max: int, number: int) -> int:
    """Return where slot `number` stands, counted from 0: behind the stack, each at a multiple of 64."""
    text_bytes = -(-text_bytes_max // _TEXT_AT) * _TEXT_AT
    first = -(-(stack_at(text_bytes_max) + STACK_BYTES) // _TEXT_AT) * _TEXT_AT
    return first + number * (_TEXT_AT + text_bytes)


def stack_at(text_bytes_max: int) -> int:
    """Return where in a page the stack stands."""
    return _TEXT_AT + text_bytes_max


def make_page(text_bytes_max: int) -> int:
    """Make a page and return its descriptor; its size is sealed."""
    descriptor = os.memfd_create("weftrun-page", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, page_bytes(text_bytes_max))
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return descriptor


class Slot:
    """What one Attempt says of itself: words, and text.

    Attributes:
        words: 64-bit integers: batch (or body), index (or turn), entered (0 or 1), unused, bytes printed so far; and of
            the page itself whether the pipe of descriptors 1 and 2 held anything when the last message was sent (0 or
            1), and how many slots were ever used.
        times: the same memory as floats; place 3 is the time of entry.
    """

    BATCH, INDEX, ENTERED, ENTERED_AT, PRINTED, PIPED = _BATCH, _INDEX, _ENTERED, _ENTERED_AT, _PRINTED, _PIPED

    __slots__ = ("_at", "_head_bytes", "_memory", "_tail_bytes", "_text_at", "times", "words")

    def __init__(self, memory: mmap.mmap, at: int, text_bytes_max: int) -> None:
        """Stand at byte `at` of a mapped page."""
        self._memory = memory
        self._at = at
        self._text_at = at + _TEXT_AT
        with memoryview(memory) as whole, whole[at : at + _TEXT_AT] as view:
            self.words = view.cast("q")
            self.times = view.cast("d")
        self._head_bytes = text_bytes_max // 2
        self._tail_bytes = text_bytes_max - self._head_bytes

    def enter(self, batch: int, index: int, at: float) -> None:
        """Say that the Attempt at `index` of a Batch is entered at this time, and has printed nothing yet."""
        words = self.words
        words[_ENTERED] = 0
        words[_BATCH], words[_INDEX], words[_PRINTED] = batch, index, 0
        self.times[_ENTERED_AT] = at
        words[_ENTERED] = 1

    def leave(self) -> None:
        """Say that what was entered has been told of."""
        self.words[_ENTERED] = 0

    def write_text(self, data: bytes | memoryview) -> None:
        """Add text: the first half of the region is kept as it is, the second half always holds the latest."""
        head, tail, memory, start = self._head_bytes, self._tail_bytes, self._memory, self._text_at
        printed: int = self.words[_PRINTED]
        total = printed + len(data)
        if printed < head:
            now = data[: head - printed]
            memory[start + printed : start + printed + len(now)] = bytes(now)
            data = data[len(now) :]
        if data:
            data = data[-tail:]
            at = (total - len(data) - head) % tail
            first = data[: tail - at]
            base = start + head
            memory[base + at : base + at + len(first)] = bytes(first)
            memory[base : base + len(data) - len(first)] = bytes(data[len(first) :])
        self.words[_PRINTED] = total

    def text(self) -> str:
        """Return what was printed; where it was more than the region holds, a note stands for the middle."""
        head, tail, memory, start = self._head_bytes, self._tail_bytes, self._memory, self._text_at
        printed = max(0, self.words[_PRINTED])
        kept = bytes(memory[start : start + min(printed, head)])
        rest = printed - head
        if rest <= 0:
            return kept.decode("utf-8", "replace")
        ring = bytes(memory[start + head : start + head + min(rest, tail)])
        if rest <= tail:
            return (kept + ring).decode("utf-8", "replace")
        at = rest % tail
        latest = ring[at:] + ring[:at]
        note = f"\n… {rest - tail} bytes left out …\n"
        return kept.decode("utf-8", "replace") + note + latest.decode("utf-8", "replace")

    def snapshot(self) -> Snapshot:
        """Return what is running, from two readings that agree, since it may write meanwhile."""
        last = _WORDS.unpack_from(self._memory, self._at)
        for _ in range(_READS_MAX):
            again = _WORDS.unpack_from(self._memory, self._at)
            if again == last:
                break
            last = again
        batch, index, entered, entered_at = last
        return batch, index, bool(entered), entered_at

    def close(self) -> None:
        """Let go of the memory."""
        self.words.release()
        self.times.release()


class Page(Slot):
    """A mapped page: the slot of a Sandbox that runs one Attempt after the other, a stack, and more slots.

    The guest's serve loop writes the words through `words` and `times` for speed.
    """

    __slots__ = ("_more", "_stack_at", "_text_bytes_max")

    def __init__(self, descriptor: int, text_bytes_max: int, *, writable: bool) -> None:
        """Map the page behind `descriptor`, which may be closed afterwards."""
        prot = mmap.PROT_READ | mmap.PROT_WRITE if writable else mmap.PROT_READ
        memory = mmap.mmap(descriptor, page_bytes(text_bytes_max), flags=mmap.MAP_SHARED, prot=prot)
        super().__init__(memory, 0, text_bytes_max)
        self._stack_at = stack_at(text_bytes_max)
        self._text_bytes_max = text_bytes_max
        self._more: list[Slot] = []

    def slot(self, number: int) -> Slot:
        """Return slot `number` of those for Attempts at once, from 0, and count it among those that are used."""
        while len(self._more) <= number:
            at = _slot_at(self._text_bytes_max, len(self._more))
            self._more.append(Slot(self._memory, at, self._text_bytes_max))
        return self._more[number]

    def use_slots(self, count: int) -> None:
        """Say that so many slots are to be looked at."""
        self.words[_SLOTS] = max(self.words[_SLOTS], count)

    def slots(self) -> list[Slot]:
        """Return the slots that are to be looked at."""
        return [self.slot(number) for number in range(min(max(0, self.words[_SLOTS]), SLOTS_MAX))]

    def stack(self) -> str:
        """Return the stack that the Sandbox has written when it was asked where it is; empty where it has not."""
        return (
            bytes(self._memory[self._stack_at : self._stack_at + STACK_BYTES])
            .split(b"\0", 1)[0]
            .decode("utf-8", "replace")
        )

    def close(self) -> None:
        """Unmap the page."""
        for slot in self._more:
            slot.close()
        super().close()
        self._memory.close()
