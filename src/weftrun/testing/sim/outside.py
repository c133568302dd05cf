"""What scripted Sandboxes share: the world around them, and how they speak to it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from weftrun.model.errors import UsageError
from weftrun.model.ids import ObjectId
from weftrun.model.limits import Limits
from weftrun.model.messages import FromSandbox
from weftrun.model.policy import FunctionSpec, Kind
from weftrun.model.values import Data, Inline, Object
from weftrun.sdk.codec import Encoded
from weftrun.sdk.function import Function, find
from weftrun.testing.sim.chance import Chance
from weftrun.testing.sim.faults import Crash, Fault, Faults
from weftrun.testing.sim.ledger import Ledger
from weftrun.testing.sim.loop import Delays, SimLoop

NEVER_MISSING = frozenset({"weftrun.testing.sim.scripted:quiet", "weftrun.testing.sim.scripted:draw"})
"""Functions that code which does not fit has all the same, so that it may go on for a while."""

Pieces = list[bytes | memoryview]


class ByName(dict[str, Function[..., Any]]):
    """Functions by name; those that were not handed in are imported."""

    def __missing__(self, name: str) -> Function[..., Any]:
        """Find a Function of the author's."""
        return find(name)


class Died(BaseException):
    """The simulated Sandbox ends here: no author's code may catch it."""


@dataclass(frozen=True)
class Pace:
    """How long things take in Sandboxes: bounds in seconds of virtual time."""

    start_s: Delays = (0.002, 0.005)
    hop_s: Delays = (0.00001, 0.0001)
    body_s: Delays = (0.00002, 0.002)


@dataclass
class Hold:
    """Until when bodies may be entered in the Sandboxes of one engine, how often it was fenced, and what it has let."""

    until: float = math.inf
    fences: int = 0
    let: int = 0
    withdrawn: int = 0

    def is_let(self, batch: int) -> bool | None:
        """Say whether a prepared Batch may be entered; None where that is not decided yet."""
        if self.withdrawn == batch:
            return False
        return True if self.let >= batch else None


@dataclass(frozen=True)
class Outside:
    """The world as Sandboxes see it.

    Attributes:
        engine: number of the process that these Sandboxes belong to.
        functions: what can be entered, by name.
        chance: draws delays; `nonces` draws what tells two entries apart.
        is_unfit: whether the code there does not fit: bodies call something else first, and Functions are missing.
    """

    engine: int
    loop: SimLoop
    functions: Mapping[str, Function[..., Any]]
    ledger: Ledger
    faults: Faults
    chance: Chance
    nonces: Chance
    pace: Pace
    limits: Limits
    is_unfit: bool = False
    hold: Hold = field(default_factory=Hold)

    def check_lease(self, fences: int) -> None:
        """End the Sandbox that is to enter a body after the Lease of its engine, or after a fence it did not know."""
        if self.loop.now() >= self.hold.until or fences != self.hold.fences:
            raise Died("the Lease of its engine is over")

    def check_code(self, function: FunctionSpec) -> None:
        """Raise what finding a Function raises where it is missing."""
        if self.is_unfit and function.kind is not Kind.WATCHING and function.name not in NEVER_MISSING:
            raise UsageError(f"No Function is called {function.name!r} here.")

    def point(self, name: str) -> None:
        """Pass a point at which a Sandbox, or the engine under it, may be planned to end."""
        fault = self.faults.at(name)
        if fault is Fault.DIE:
            raise Died(f"planned at {name}")
        if fault is Fault.CRASH_BEFORE:
            raise Crash(name)

    def body_s(self) -> float:
        """Draw how long an entry lasts, in seconds."""
        return self.chance.between(*self.pace.body_s)


class Letter:
    """A message on its way, with the bytes of its Objects: they get engine numbers when it is told, not before."""

    __slots__ = ("message", "objects")

    def __init__(self, message: FromSandbox, objects: list[Pieces]) -> None:
        self.message = message
        self.objects = objects

    def told(self, publish: Callable[[Pieces], Object]) -> FromSandbox:
        """Return the message with the engine's numbers in it."""
        if not self.objects:
            return self.message
        numbers = {ObjectId(-(k + 1)): publish(pieces).oid for k, pieces in enumerate(self.objects)}
        message: FromSandbox = renumbered(self.message, numbers)
        return message


class Voice:
    """What one Sandbox says: values become bytes, inline or beside the message, and messages go in order."""

    def __init__(self, limits: Limits, tell: Callable[[Letter], None]) -> None:
        self._limits = limits
        self._tell = tell
        self._pending: list[Pieces] = []

    def data(self, encoded: Encoded) -> Data:
        """Return what a message names for these bytes."""
        if encoded.nbytes <= self._limits.inline_bytes_max:
            return Inline(encoded.tobytes())
        self._pending.append([encoded.tobytes()])
        return Object(ObjectId(-len(self._pending)), encoded.nbytes)

    def cut(self) -> list[Pieces]:
        """Return the bytes of the values so far; the next ones belong to another message."""
        objects, self._pending = self._pending, []
        return objects

    def say(self, message: FromSandbox, objects: list[Pieces] | None = None) -> None:
        """Send a message with the bytes that it names: those of the values since the last `cut`, if not given."""
        objects = self.cut() if objects is None else objects
        again = msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=FromSandbox)
        self._tell(Letter(again, objects))


def renumbered(value: Any, numbers: Mapping[ObjectId, ObjectId]) -> Any:
    """Return a message with every Object in it renumbered."""
    if type(value) is Object:
        return Object(numbers[value.oid], value.nbytes)
    if isinstance(value, tuple):
        return tuple(renumbered(item, numbers) for item in value)
    if isinstance(value, msgspec.Struct):
        fields = {name: renumbered(getattr(value, name), numbers) for name in value.__struct_fields__}
        return type(value)(**fields)
    return value


def reader(objects: Mapping[ObjectId, memoryview]) -> Callable[[Data], bytes | memoryview]:
    """Return how a Sandbox reads the data of a message that came with these Objects."""

    def read(data: Data) -> bytes | memoryview:
        if isinstance(data, Inline):
            return data.data
        if isinstance(data, Object):
            return objects[data.oid]
        raise TypeError("a Sandbox is never sent a blob by name")

    return read
