"""What a body made: calls, and the items of maps, in the order of making.

These are both the messages in which a guest tells them and the records in which the Journal keeps them.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from weftrun.model.values import Payload


class Call(Struct, frozen=True, gc=False, array_like=True):
    """One call of a Function by a body.

    Attributes:
        function: position in the body's table of Functions.
        n: how many calls of the same label this body had made before.
        args: encoded `(args, kwargs)`; for a map only what is the same for all items, `((), kwargs)`.
        after: numbers of calls that must have succeeded first, though no value of theirs is read.
        is_map: whether `Chunk`s follow.
        digest: of the arguments where a canonical encoding exists (N2), else empty; only async bodies compute it.
    """

    function: int
    n: int
    args: Payload
    after: tuple[int, ...] = ()
    is_map: bool = False
    digest: str = ""


class SignalType(Struct, frozen=True, gc=False, array_like=True):
    """Of which type a body awaits a signal. It is told to people only, and compared with nothing.

    Attributes:
        signal: name of the signal.
        schema: JSON Schema of the type, as JSON.
    """

    signal: str
    schema: str


class Chunk(Struct, frozen=True, gc=False, array_like=True):
    """Consecutive items of a map's input, encoded together as one list of argument tuples.

    Attributes:
        call: number of the map's call in its body.
        lo: index of the first item.
        count: how many items; 0 only in the last chunk.
        items: the encoded list. A chunk with Refs in it holds one item only, so that items start one by one.
        last: no chunk follows.
    """

    call: int
    lo: int
    count: int
    items: Payload
    last: bool = False


class BodyPast(Struct, frozen=True, gc=False, array_like=True):
    """What a body that is entered must know of what is on record.

    Attributes:
        seed: uid of the Run whose numbers it draws by `weftrun.random()`; empty for those of its own Run.
        calls: how many of its first calls are known: on record, or handed to a Worker.
        patches: which of them note that it takes new code, by number, with the name of the patch.
    """

    seed: str = ""
    calls: int = 0
    patches: tuple[tuple[int, str], ...] = ()


NO_PAST: Final = BodyPast()
"""Of a body of which nothing is on record."""
