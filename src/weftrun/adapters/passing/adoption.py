"""Objects in a guest's message: negative numbers become Objects of this engine, or the guest has broken its word.

A guest may name inline bytes and the descriptors it sent along; never an engine's number and never a blob, or it
could read what it was not handed.
"""

from __future__ import annotations

import os
from typing import TypeVar

from weftrun.model.ids import ObjectId
from weftrun.model.values import Blob, Data, Object
from weftrun.model.visiting import change_data, rides_along
from weftrun.ports.objects import Objects
from weftrun.wire.frames import ChannelBroken

T = TypeVar("T")


def adopted(value: T, descriptors: tuple[int, ...], objects: Objects) -> T:
    """Return what a guest said with engine numbers, each new Object with one holder.

    All descriptors are used up. Raises `ChannelBroken` for what names something that did not come with it, and the
    store's `UsageError`.
    """
    if not descriptors and rides_along(value):
        return value
    adoption = _Adoption(descriptors, objects)
    try:
        return change_data(value, adoption.take)
    except BaseException:
        adoption.undo()
        raise
    finally:
        adoption.close_rest()


class _Adoption:
    """The descriptors of one message, and what has become of them."""

    def __init__(self, descriptors: tuple[int, ...], objects: Objects) -> None:
        self._objects = objects
        self._left = dict(enumerate(descriptors))
        self._made: list[ObjectId] = []

    def take(self, data: Object | Blob) -> Data:
        """Return what stands for data of a guest's in this engine."""
        if isinstance(data, Blob):
            raise ChannelBroken("It named a blob, which no Sandbox can know.")
        return self._adopt(data)

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
