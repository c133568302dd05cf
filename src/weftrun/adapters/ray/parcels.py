"""What travels between an engine and an actor: messages, with the bytes of Objects instead of their descriptors.

Ray serialises buffers out of band, so the bytes are copied once into its store, and mapped from there.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from weftrun.wire.channel import Channel
from weftrun.wire.memfd import map_private, sealed

_In = TypeVar("_In")


class Piece:
    """The bytes of one Object."""

    __slots__ = ("view",)

    def __init__(self, view: Any) -> None:
        self.view = view

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return Piece, (pickle.PickleBuffer(self.view),)


class MessageParcel(NamedTuple):
    """Messages in their order, encoded, each with its Objects."""

    messages: list[tuple[bytes, list[Piece]]]


def packed(received: Sequence[tuple[msgspec.Struct, Sequence[int]]]) -> MessageParcel:
    """Return a parcel of messages; their descriptors are closed, and the bytes stay mapped as long as the parcel."""
    return MessageParcel([(msgspec.msgpack.encode(message), _pieces(descriptors)) for message, descriptors in received])


def _pieces(descriptors: Sequence[int]) -> list[Piece]:
    pieces = []
    for descriptor in descriptors:
        nbytes = os.fstat(descriptor).st_size
        pieces.append(Piece(map_private(descriptor, nbytes) if nbytes else b""))
        os.close(descriptor)
    return pieces


def deliver(parcel: MessageParcel, channel: Channel[Any], decode: msgspec.msgpack.Decoder[Any]) -> None:
    """Send the messages of a parcel over a blocking channel, with new descriptors for their Objects."""
    for message, pieces in parcel.messages:
        descriptors = [sealed([memoryview(piece.view)])[0] for piece in pieces]
        try:
            channel.send(decode.decode(message), descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
