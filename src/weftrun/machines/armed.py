"""What a Worker starts by itself: Steps that were armed, when what they take has succeeded, here or elsewhere (W3).

What they take from elsewhere is handed over by the Worker that made it, which was told to (`Feed`). The owner hears of
each outcome from the Worker that had it, and takes those of armed Steps behind what set them off (`machines.homes`).
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from weftrun.model.commands import Arm, Armed, Feed, Invoke
from weftrun.model.events import AttemptsEnded
from weftrun.model.ids import WorkerId
from weftrun.model.messages import Invocation
from weftrun.model.policy import FunctionSpec
from weftrun.model.values import Data, Tree

HERE = WorkerId(0)
"""The source of a value that is made at this Worker."""

Source = tuple[int, WorkerId]
"""A Step, and the Worker that hands over its value."""


class _Waiting:
    """An armed Step: the holes of its arguments so far, and whose values are missing."""

    __slots__ = ("function", "holes", "invocation", "missing", "takes")

    def __init__(self, function: FunctionSpec, armed: Armed) -> None:
        self.function = function
        self.invocation = armed.invocation
        self.takes = armed.takes
        self.holes = list(armed.invocation.args.holes)
        self.missing = {(taken.step, taken.source) for taken in armed.takes}


class _Run(Struct, eq=False):
    """What is armed of one Run.

    Attributes:
        waiting: armed Steps that have not started.
        readers: which of them wait for a value.
        started: Steps, with their Attempts, that were started here without an `Invoke`.
        feeds: to which Workers the values of Steps of this one are handed.
        early: values that came from other Workers before a Step was armed that takes them.
    """

    waiting: dict[int, _Waiting] = {}
    readers: dict[Source, list[int]] = {}
    started: set[tuple[int, int]] = set()
    feeds: dict[int, list[WorkerId]] = {}
    early: dict[Source, Data] = {}


class ArmedMachine:
    """Decides what a Worker starts by itself, and what it hands to other Workers.

    Attributes:
        runs: numbers of the Runs of which Steps are, or were, armed; others need not be asked about.
    """

    def __init__(self) -> None:
        self.runs: dict[int, _Run] = {}

    def arm(self, run: int, command: Arm) -> list[Invoke]:
        """Take Steps that wait for values; return those that can be started, for all of it had come before."""
        here = self.runs.setdefault(run, _Run())
        started: list[Invoke] = []
        for armed in command.armed:
            step = armed.invocation.step
            waiting = here.waiting[step] = _Waiting(command.function, armed)
            for source in sorted(waiting.missing):
                here.readers.setdefault(source, []).append(step)
            for source in sorted(waiting.missing & here.early.keys()):
                started += _filled(here, step, source, here.early[source])
        return started

    def feed(self, run: int, command: Feed) -> None:
        """Remember to whom values are to be handed."""
        here = self.runs.setdefault(run, _Run())
        for step, worker in command.readers:
            here.feeds.setdefault(step, []).append(worker)

    def fed_with(self, run: int, step: int) -> list[WorkerId]:
        """Return the Workers to which the value of a Step is to be handed, now that it is there."""
        here = self.runs.get(run)
        return here.feeds.pop(step, []) if here is not None else []

    def readers_of(self, run: int, step: int, source: WorkerId = HERE) -> list[int]:
        """Return the armed Steps that wait for a value."""
        here = self.runs.get(run)
        if here is None:
            return []
        return [reader for reader in here.readers.get((step, source), ()) if reader in here.waiting]

    def came(self, run: int, step: int, source: WorkerId, value: Data) -> list[Invoke]:
        """Another Worker has handed over a value of a Run that is open here; return what is to be started with it."""
        here = self.runs.setdefault(run, _Run())
        if (step, source) not in here.readers:
            here.early[step, source] = value
        return _given(here, (step, source), value)

    def ended(self, run: int, event: AttemptsEnded) -> list[Invoke]:
        """Take outcomes of this Worker; return what is to be started because of them."""
        here = self.runs.get(run)
        if here is None:
            return []
        started: list[Invoke] = []
        for ended in event.ended:
            if ended.value is not None and not ended.undoes:
                started += _given(here, (ended.step, HERE), ended.value)
        return started

    def invoked(self, run: int, command: Invoke) -> Invoke | None:
        """Take an `Invoke` of the owner: return what of it is to be done, for what was started here is under way."""
        here = self.runs.get(run)
        if here is None:
            return command
        for invocation in command.invocations:
            here.waiting.pop(invocation.step, None)
        fresh = tuple(i for i in command.invocations if (i.step, i.attempt) not in here.started)
        return replace(command, invocations=fresh) if fresh else None

    def dropped(self, run: int, steps: tuple[int, ...]) -> None:
        """Nobody wants these Steps any more."""
        here = self.runs.get(run)
        for step in steps if here is not None else ():
            here.waiting.pop(step, None)  # type: ignore[union-attr]

    def closed(self, run: int) -> None:
        """The Run is over, or given up."""
        self.runs.pop(run, None)


def _given(here: _Run, source: Source, value: Data) -> list[Invoke]:
    """A value is there: return what is to be started with it."""
    return [invoke for step in here.readers.pop(source, ()) for invoke in _filled(here, step, source, value)]


def _filled(here: _Run, step: int, source: Source, value: Data) -> list[Invoke]:
    """Put a value where an armed Step takes it; return its Invocation if it is complete now."""
    waiting = here.waiting.get(step)
    if waiting is None:
        return []
    for taken in waiting.takes:
        if (taken.step, taken.source) == source:
            waiting.holes[taken.hole] = Tree(value, path=taken.path)
    waiting.missing.discard(source)
    if waiting.missing:
        return []
    del here.waiting[step]
    invocation: Invocation = waiting.invocation
    here.started.add((step, invocation.attempt))
    args = replace(invocation.args, holes=tuple(waiting.holes))
    return [Invoke(waiting.function, (replace(invocation, args=args),))]
