"""Runs that grow while they run: deep ones, each body calling the next, and wide ones."""

from __future__ import annotations

from weftrun.sdk.function import workflow
from weftrun.testing.sim.faults import Fault, Faults
from weftrun.testing.sim.scripted import draw, quiet
from weftrun.testing.sim.values import Value

_NAME = "tests.sim.expansions:"


@workflow(name=_NAME + "goes_on")
def goes_on(levels: int, value: Value) -> Value:
    """Ends with the call of the next: what it settles as is what that settles as (B3)."""
    if levels == 1:
        return draw(value)
    return goes_on(levels - 1, draw(value))


@workflow(name=_NAME + "deep")
def deep(levels: int) -> Value:
    return goes_on(levels, draw())


@workflow(name=_NAME + "nested")
async def nested(levels: int, value: Value) -> Value:
    """Waits for the next, and does something with what it answers."""
    drawn = await draw.step(value)
    if levels == 1:
        return drawn
    below = await nested.step(levels - 1, drawn)
    return await quiet.step(below)


@workflow(name=_NAME + "deep_watched")
async def deep_watched(levels: int) -> Value:
    return await nested.step(levels, await draw.step())


@workflow(name=_NAME + "wide")
def wide(width: int) -> Value:
    """So many Steps of their own, known at once only when their body has run."""
    first = quiet()
    return draw(*[quiet(first) for _ in range(width)])


@workflow(name=_NAME + "wide_map")
def wide_map(width: int) -> Value:
    """A map, whose items are known when its body has run."""
    return draw(quiet.map(range(width)))


class EveryWrite(Faults):
    """Kills the engine at every `every`-th append: after it, and before the next one, which is then made again.

    So with 1 each write of a Run is met by two deaths, one before it has happened and one behind it.
    """

    def __init__(self, every: int) -> None:
        super().__init__()
        self._every = every
        self._writes = 0

    def at(self, name: str) -> Fault | None:
        """Count a point, and say what goes wrong there."""
        super().at(name)
        if self.off or name != "journal.append":
            return None
        self._writes += 1
        if self._writes % self._every:
            return None
        fault = (Fault.CRASH_BEFORE, Fault.CRASH_AFTER)[self._writes // self._every % 2]
        self.happened.append((len(self.points) - 1, name, fault))
        return fault
