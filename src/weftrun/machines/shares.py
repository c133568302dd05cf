"""What one Worker has of what a Run wants done, and what of that is lost when the Worker is gone (W9).

Lost is what a Sandbox was given. All else was entered nowhere, and goes to another Worker as it is. Where it is not
known what a Sandbox was given, a body that may be repeated goes to another Worker all the same, some few times.
"""

from __future__ import annotations

from msgspec import Struct

from weftrun.machines.ranges import Ranges, count, within, without
from weftrun.machines.retry import must_know
from weftrun.model.commands import InvokeItems
from weftrun.model.hosts import KnownBatches
from weftrun.model.ids import WorkerId
from weftrun.model.messages import Invocation
from weftrun.model.policy import FunctionSpec

DOUBTS_MAX = 3
"""Workers that may die, one after the other, with an Attempt that they may have handed on, before it counts as lost: a
body that ends its host before anybody hears of it would do so for ever."""


class Invoked(Struct, eq=False):
    """An Invocation that a Worker has.

    Attributes:
        home: the Worker.
        doubts: how many Workers before it may have handed it to a Sandbox.
    """

    home: WorkerId
    function: FunctionSpec
    invocation: Invocation
    doubts: int = 0


class Share(Struct, eq=False):
    """The items of one chunk of a map that a Worker has.

    Attributes:
        home: the Worker.
        left: those that it has not told of; `handed` are those of them that a Sandbox was given.
        doubts: how many Workers before it may have handed them to a Sandbox.
    """

    home: WorkerId
    command: InvokeItems
    left: Ranges
    handed: Ranges = []
    doubts: int = 0

    def hand(self, ranges: Ranges) -> None:
        """A Sandbox gets those of these items that are in the share."""
        self.handed += within(self.left, ranges)

    def tell(self, ranges: Ranges) -> int:
        """The Worker has told of items; return how many of them are in the share."""
        first, last = self.command.ranges[0][0], self.command.ranges[-1][1]
        ranges = [(lo, hi) for lo, hi in ranges if lo < last and hi > first]
        if not ranges:
            return 0
        before = count(self.left)
        self.left = without(self.left, ranges)
        self.handed = without(self.handed, ranges)
        return before - count(self.left)

    def parted(self, known: KnownBatches) -> tuple[Ranges, Ranges]:
        """The Worker is gone: return the items that are lost, and those that go to another Worker."""
        if not goes_on(self.command.function, known, self.doubts):
            return self.left, []
        return self.handed, without(self.left, self.handed)


def goes_on(function: FunctionSpec, known: KnownBatches, doubts: int) -> bool:
    """Say whether an Attempt of which a Worker that is gone did not tell that a Sandbox got it goes to another one."""
    return is_known(function, known) or (not must_know(function) and doubts < DOUBTS_MAX)


def is_known(function: FunctionSpec, known: KnownBatches) -> bool:
    """Say whether a Worker that is gone has told of each Attempt of a Function that it had handed to a Sandbox."""
    return known is KnownBatches.ALL or (known is KnownBatches.ASKED and must_know(function))
