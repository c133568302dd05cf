"""Text that may be endless, kept bounded: its beginning, its end, and a note for the middle."""

from __future__ import annotations


class BoundedText:
    """Keeps the first and the last half of `bytes_max` bytes of what is added."""

    __slots__ = ("_half", "_head", "_tail", "_total")

    def __init__(self, bytes_max: int) -> None:
        """Keep nothing yet."""
        self._half = bytes_max // 2
        self._head = bytearray()
        self._tail = bytearray()
        self._total = 0

    def __bool__(self) -> bool:
        """Say whether anything was added."""
        return self._total > 0

    def add(self, data: bytes | memoryview) -> None:
        """Add bytes of UTF-8."""
        self._total += len(data)
        room = self._half - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        self._tail += data[-self._half :]
        if len(self._tail) > 2 * self._half:
            del self._tail[: -self._half]

    def shown(self) -> str:
        """Return what is kept."""
        tail = self._tail[-self._half :]
        left_out = self._total - len(self._head) - len(tail)
        if left_out:
            return f"{_decoded(self._head)}\n… {left_out} bytes left out …\n{_decoded(tail)}"
        return _decoded(self._head + tail)

    def take(self) -> str:
        """Return what is kept, and begin anew."""
        text = self.shown()
        self._head.clear()
        self._tail.clear()
        self._total = 0
        return text


def _decoded(data: bytes | bytearray) -> str:
    return data.decode("utf-8", "replace")
