"""What a Worker has said of Batches and not written to its socket yet: memory that it shares with its engine (W9).

A Worker notes a Batch here before the Batch goes to a Sandbox, and writes all that it says once a turn, after that: the
Sandbox need not wait for the write. When the Worker dies in between, its engine finds here what the socket lacks.
"""

from __future__ import annotations

import mmap
import os
import struct
from typing import Final

import msgspec

from weftrun.model.work import BatchSent

_BYTES: Final = 64 * 1024
_USED: Final = struct.Struct("=Q")
_LENGTH: Final = struct.Struct("=I")


class SaidPage:
    """The mapped memory; one process notes and clears, the other reads when that one is gone."""

    __slots__ = ("_at", "_decoder", "_encoder", "_memory")

    def __init__(self, descriptor: int) -> None:
        """Map the memory behind `descriptor`, which may be closed then."""
        self._memory = mmap.mmap(descriptor, _BYTES)
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(BatchSent)
        self._at = _USED.size

    @staticmethod
    def make() -> int:
        """Return a descriptor of memory in which nothing is noted."""
        descriptor = os.memfd_create("weftrun-said", os.MFD_CLOEXEC)
        os.ftruncate(descriptor, _BYTES)
        return descriptor

    @property
    def is_clear(self) -> bool:
        """Whether nothing is noted that was not cleared."""
        return self._at == _USED.size

    def note(self, sent: BatchSent) -> bool:
        """Note a Batch; False where there is no room."""
        said = self._encoder.encode(sent)
        start = self._at + _LENGTH.size
        end = start + len(said)
        if end > _BYTES:
            return False
        _LENGTH.pack_into(self._memory, self._at, len(said))
        self._memory[start:end] = said
        _USED.pack_into(self._memory, 0, end)  # last: what is noted in part was not sent
        self._at = end
        return True

    def clear(self) -> None:
        """Forget all: the socket has it."""
        self._at = _USED.size
        _USED.pack_into(self._memory, 0, 0)

    def noted(self) -> list[BatchSent]:
        """Return what was noted and not cleared, by a process that is gone. Raises `msgspec.MsgspecError`."""
        (used,) = _USED.unpack_from(self._memory, 0)
        at, found = _USED.size, []
        while at < min(used, _BYTES):
            (length,) = _LENGTH.unpack_from(self._memory, at)
            at += _LENGTH.size + length
            found.append(self._decoder.decode(self._memory[at - length : at]))
        return found

    def close(self) -> None:
        """Unmap it. Idempotent."""
        self._memory.close()
