"""Values that remember where they came from, so that a broken promise shows in what somebody read.

A scripted Function `weave`s its inputs: its value carries what it read and a fresh nonce of its own. Two entries of
one Step therefore give different values, and whoever reads both, or one that is lost later, can be caught.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields, is_dataclass

from weftrun.testing.sim.chance import Chance

Lineage = frozenset[tuple[str, int]]
"""Which nonce was read of which Step: all nondeterministic values that something rests on."""

NOTHING: Lineage = frozenset()


@dataclass(frozen=True)
class Value:
    """What a scripted Function gives.

    Attributes:
        step: the Step whose value it is.
        seen: all it rests on, its own nonce included where it drew one.
        filler: bytes that make it large.
    """

    step: str
    seen: Lineage
    filler: bytes = b""

    @property
    def coin(self) -> int:
        """Something to branch on: it changes with every nonce that was read, but not with the time (`@`)."""
        return sum(nonce for step, nonce in self.seen if "@" not in step) % 1_000_003


class Planned(Exception):
    """A scripted Function fails; its only argument is the lineage of the failure."""


@dataclass
class Stage:
    """What a scripted Function that is being entered can use.

    Attributes:
        step: the Step that runs.
        attempt: its Attempt, from 1.
        nonces: gives a number that no other entry gets.
        takes_s: how long the entry lasts, in seconds of virtual time; a Function may set it.
    """

    step: str
    attempt: int
    nonces: Chance
    takes_s: float


_STAGE: ContextVar[Stage] = ContextVar("stage")


@contextmanager
def entered(stage: Stage) -> Iterator[None]:
    """Let Functions called inside find their stage."""
    token = _STAGE.set(stage)
    try:
        yield
    finally:
        _STAGE.reset(token)


def stage() -> Stage:
    """Return what the running scripted Function can use."""
    return _STAGE.get()


def weave(*inputs: object, filler_bytes: int = 0) -> Value:
    """Return a nondeterministic value that rests on `inputs`."""
    now = stage()
    return Value(now.step, lineage(inputs) | {(now.step, now.nonces.bits())}, bytes(filler_bytes))


def plait(*inputs: object, filler_bytes: int = 0) -> Value:
    """Return a deterministic value that rests on `inputs`."""
    return Value(stage().step, lineage(inputs), bytes(filler_bytes))


def fail(*inputs: object) -> Planned:
    """Return the failure, with a nonce, of a Step that rests on `inputs`."""
    now = stage()
    return Planned(lineage(inputs) | {(now.step, now.nonces.bits())})


def lineage(value: object) -> Lineage:
    """Return all that a value rests on, wherever in it that stands."""
    seen: set[tuple[str, int]] = set()
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, Value):
            seen |= item.seen
        elif isinstance(item, Planned):
            seen |= item.args[0]
        elif isinstance(item, dict):
            stack.extend(item.values())
        elif isinstance(item, list | tuple | set):
            stack.extend(item)
        elif is_dataclass(item) and not isinstance(item, type):
            stack.extend(getattr(item, field.name) for field in fields(item))
    return frozenset(seen)
