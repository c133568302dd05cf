"""Objects in a guest's message: negative numbers become Objects of this engine, or the guest has broken its word.

A guest may name inline bytes and the descriptors it sent along; never an engine's number and never a blob, or it
could read what it was not handed.
"""

from __future__ import annotations

import os
from typing import TypeVar

from weftrun.model.ids import ObjectId
from weftrun.model.messages import (
    BodyCalled,
    Dropped,
    FromSandbox,
    ItemOutcomes,
    Outcomes,
    Put,
    Ready,
    TransactionBegin,
    TransactionLeft,
    TransactionStatement,
)
from weftrun.model.values import Blob, Data, Inline, Object
from weftrun.model.visiting import change_data
from weftrun.ports.objects import Objects
from weftrun.wire.frames import ChannelBroken

T = TypeVar("T")

_WITHOUT_VALUES = frozenset({Ready, Dropped, TransactionBegin, TransactionStatement, TransactionLeft})


def adopted(message: FromSandbox, descriptors: tuple[int, ...], objects: Objects) -> FromSandbox:
    """Return the message of a guest with engine numbers, each new Object with one holder.

    All descriptors are used up. Raises `ChannelBroken` for a message that names what did not come with it, and the
    store's `UsageError`.
    """
    if not descriptors and _is_plain(message):
        return message
    return adopted_value(message, descriptors, objects)


def adopted_value(value: T, descriptors: tuple[int, ...], objects: Objects) -> T:
    """Do the same for any value with data in it."""
    adoption = _Adoption(descriptors, objects)
    try:
        return change_data(value, adoption.take)
    except BaseException:
        adoption.undo()
        raise
    finally:
        adoption.close_rest()


def _is_plain(message: FromSandbox) -> bool:
    """Say, fast, whether all values are inline; False where it takes a closer look."""
    if isinstance(message, Outcomes):
        return all(type(outcome.value) is Inline for outcome in message.outcomes)
    if isinstance(message, ItemOutcomes):
        return not message.failures and all(type(data) is Inline for _, _, data in message.values)
    if isinstance(message, BodyCalled):
        calls, chunks = message.calls, message.chunks
        return all(type(call.args.data) is Inline for call in calls) and all(
            type(chunk.items.data) is Inline for chunk in chunks
        )
    if isinstance(message, Put):
        return type(message.value) is Inline
    return type(message) in _WITHOUT_VALUES


class _Adoption:
    """The descriptors of one message, and what has become of them."""

    def __init__(self, descriptors: tuple[int, ...], objects: Objects) -> None:
        self._objects = objects
        self._left = dict(enumerate(descriptors))
        self._made: list[ObjectId] = []

    def take(self, data: Data) -> Data:
        """Return what stands for data of a guest's in this engine."""
        if isinstance(data, Object):
            return self._adopt(data)
        if isinstance(data, Blob):
            raise ChannelBroken("It named a blob, which no Sandbox can know.")
        return data

    def _adopt(self, value: Object) -> Object:
        descriptor = self._left.pop(-value.oid - 1, None)
        if descriptor is None:
            raise ChannelBroken(f"It named Object {value.oid}, for which no descriptor came with the message.")
        made = self._objects.adopt(descriptor, value.nbytes)
        self._made.append(made.oid)
        return made

    def undo(self) -> None:
        """Release what was adopted, since the message is refused."""
        for oid in self._made:
            self._objects.release(oid)

    def close_rest(self) -> None:
        """Close what the message did not name."""
        for descriptor in self._left.values():
            os.close(descriptor)
        self._left.clear()
