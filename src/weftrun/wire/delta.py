"""Differences between two states of a memory: what travels when a call moves to another host and back.

A delta says how long the memory is now, and which runs of bytes are others than before; bytes past the end of the
older state count as zero. The runs are compressed where that makes them shorter.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

import msgspec

Bytes = bytes | bytearray | memoryview

_BLOCK: Final = 65_536
_PAGE: Final = 1_024
_GRAIN: Final = 32
_LEVEL: Final = 1


class DeltaRefused(ValueError):
    """What came is no delta, or not one of this memory."""


class _Delta(msgspec.Struct, frozen=True, array_like=True):
    """A delta on the wire.

    Attributes:
        before: length of the older state, in bytes.
        after: length of the newer one.
        runs: pairs of how many bytes are the same, and how many follow that are not.
        nbytes: of all changed bytes.
        data: they, one run after the other.
        packed: whether `data` is compressed.
    """

    before: int
    after: int
    runs: tuple[int, ...] = ()
    nbytes: int = 0
    data: bytes = b""
    packed: bool = False


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Delta)


def delta(before: Bytes, after: Bytes) -> bytes:
    """Return what makes `after` of `before`; a few bytes where they are equal."""
    old, new = memoryview(before).cast("B"), memoryview(after).cast("B")
    runs: list[int] = []
    pieces: list[memoryview] = []
    end = 0
    for start, stop in _changed(old, new):
        runs += (start - end, stop - start)
        pieces.append(new[start:stop])
        end = stop
    data = b"".join(pieces)
    packed = zlib.compress(data, _LEVEL)
    is_packed = len(packed) < len(data)
    made = _Delta(len(old), len(new), tuple(runs), len(data), packed if is_packed else data, is_packed)
    return _encoder.encode(made)


def apply(what: bytes, before: Bytes, *, bytes_max: int = 1 << 32) -> bytearray:
    """Return the newer state.

    Raises:
        DeltaRefused: see `changes`.
    """
    size, runs = changes(what, len(before), bytes_max=bytes_max)
    after = bytearray(before[:size])
    after.extend(bytes(size - len(after)))
    for start, data in runs:
        after[start : start + len(data)] = data
    return after


def changes(what: bytes, before: int, *, bytes_max: int = 1 << 32) -> tuple[int, list[tuple[int, memoryview]]]:
    """Return how long the newer state is, and where which bytes are to be written.

    Args:
        what: a delta.
        before: length of the state that it is to be applied to.
        bytes_max: of the newer state.

    Raises:
        DeltaRefused: it is no delta, it is of a state of another length, it writes outside, or it is too large.
    """
    try:
        said = _decoder.decode(what)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise DeltaRefused(f"This is no memory delta: {error}") from None
    if said.before != before:
        raise DeltaRefused(f"The memory delta is of {said.before} bytes, and the memory has {before}.")
    if not 0 <= said.after <= bytes_max or not 0 <= said.nbytes <= said.after:
        raise DeltaRefused(f"The memory delta makes {said.after} bytes, and at most {bytes_max} are allowed.")
    data = memoryview(_unpacked(said))
    found: list[tuple[int, memoryview]] = []
    end, taken = 0, 0
    for same, other in zip(said.runs[::2], said.runs[1::2], strict=True):
        start = end + same
        end = start + other
        if same < 0 or other < 0 or end > said.after or taken + other > len(data):
            raise DeltaRefused("The memory delta writes outside of the memory.")
        found.append((start, data[taken : taken + other]))
        taken += other
    if taken != len(data):
        raise DeltaRefused("The memory delta has bytes that belong nowhere.")
    return said.after, found


def _unpacked(said: _Delta) -> bytes:
    if len(said.runs) % 2:
        raise DeltaRefused("The memory delta is cut off.")
    if not said.packed:
        return said.data
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(said.data, said.nbytes + 1)
    except zlib.error as error:
        raise DeltaRefused(f"The memory delta is damaged: {error}") from None
    if len(data) != said.nbytes or not unpacker.eof:
        raise DeltaRefused("The memory delta is damaged: it has another length than it says.")
    return data


def _changed(old: memoryview, new: memoryview) -> Iterator[tuple[int, int]]:
    """Yield ranges that cover all bytes of `new` that are others in `old`, in order, apart by a grain at least."""
    start = stop = -1
    for lo, hi in _grains(old, new):
        if lo == stop:
            stop = hi
            continue
        if stop >= 0:
            yield start, stop
        start, stop = lo, hi
    if stop >= 0:
        yield start, stop


def _grains(old: memoryview, new: memoryview) -> Iterator[tuple[int, int]]:
    zeros = memoryview(bytes(_BLOCK))
    for block in range(0, len(new), _BLOCK):
        theirs = new[block : block + _BLOCK]
        ours = old[block : block + _BLOCK]
        if len(ours) < len(theirs):
            # Only at the end of the older state is a block made by copying.
            ours = memoryview(bytes(ours) + bytes(len(theirs) - len(ours))) if len(ours) else zeros[: len(theirs)]
        if bytes(ours) == bytes(theirs):
            continue
        for page in range(0, len(theirs), _PAGE):
            mine, others = bytes(ours[page : page + _PAGE]), bytes(theirs[page : page + _PAGE])
            if mine == others:
                continue
            for grain in range(0, len(others), _GRAIN):
                stop = min(grain + _GRAIN, len(others))
                if mine[grain:stop] != others[grain:stop]:
                    at = block + page
                    yield at + grain, at + stop
