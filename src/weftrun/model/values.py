"""Values as the engine sees them: opaque bytes, somewhere.

The bytes of a value are made and read by `sdk.codec` only; here they are `Data`: inline, an Object of this engine, or
a blob beside the Journal. A `Payload` is data with holes: where the author's value held a Ref, the encoding holds the
Ref's position in `refs`. A `Tree` is a Payload with its holes filled, ready for a reader.
"""

from __future__ import annotations

from msgspec import Struct

from weftrun.model.ids import ObjectId

Scalar = bool | int | float | str | bytes | None
"""What a transaction hands to a database and gets from it. Integers have 64 bits and a sign."""


class Inline(Struct, frozen=True, gc=False, array_like=True, tag=0):
    """Encoded bytes that ride along."""

    data: bytes


class Object(Struct, frozen=True, gc=False, array_like=True, tag=1):
    """Encoded bytes in memory that this engine holds (a sealed memfd or a file)."""

    oid: ObjectId
    nbytes: int


class Blob(Struct, frozen=True, gc=False, array_like=True, tag=2):
    """Encoded bytes in a file beside the Journal, named by its SHA-256: the durable form of an Object."""

    sha256: str
    nbytes: int


Data = Inline | Object | Blob


def size_of(data: Data) -> int:
    """Return how many bytes there are, encoded."""
    return len(data.data) if isinstance(data, Inline) else data.nbytes


Key = int | str | tuple[int, int]
"""A subscript that is followed inside a value; a pair is the slice of a list."""


class RefTo(Struct, frozen=True, gc=False, array_like=True):
    """A hole: the value, or a part of it, of the `call`-th call that the same body made.

    Attributes:
        call: number of the call in its body, from 0, over all Functions.
        path: subscripts to follow inside the value; the first one of a map's Ref is the item, or the items.
    """

    call: int
    path: tuple[Key, ...] = ()


class Payload(Struct, frozen=True, gc=False, array_like=True):
    """Encoded bytes and the Refs that stand in them, by position."""

    data: Data
    refs: tuple[RefTo, ...] = ()


class Part(Struct, frozen=True, gc=False, array_like=True):
    """Results of a contiguous range `[lo, hi)` of a map's items, encoded together as one list."""

    lo: int
    hi: int
    data: Data


class Tree(Struct, frozen=True, gc=False, array_like=True):
    """A value ready to be read: either `data` with `holes` filled, or a list made of `parts` one after the other.

    Attributes:
        data: encoded bytes; None where `parts` are meant.
        holes: what stands at each persistent position of `data`.
        parts: ranges of a map's results, ascending and without a gap.
        path: subscripts to follow once the value is decoded.
    """

    data: Data | None
    holes: tuple[Tree, ...] = ()
    parts: tuple[Part, ...] = ()
    path: tuple[Key, ...] = ()
