"""What a Worker starts by itself: Steps that were armed, when what they take has succeeded here (W3).

The owner hears of every outcome, before what it has set off. So it finds each armed Step ready when its outcome comes.
"""

from __future__ import annotations

from msgspec.structs import replace

from weftrun.model.commands import Arm, Armed, Invoke
from weftrun.model.events import AttemptsEnded
from weftrun.model.messages import Invocation
from weftrun.model.policy import FunctionSpec
from weftrun.model.values import Data, Tree


class _Waiting:
    """An armed Step: the holes of its arguments so far, and how many are empty."""

    __slots__ = ("function", "holes", "invocation", "left", "takes")

    def __init__(self, function: FunctionSpec, armed: Armed) -> None:
        self.function = function
        self.invocation = armed.invocation
        self.takes = armed.takes
        self.holes = list(armed.invocation.args.holes)
        self.left = len({taken.step for taken in armed.takes})


class _Run:
    """What is armed of one Run, and who waits for which Step; Steps that were started here without an `Invoke`."""

    __slots__ = ("readers", "started", "waiting")

    def __init__(self) -> None:
        self.waiting: dict[int, _Waiting] = {}
        self.readers: dict[int, list[int]] = {}
        self.started: set[tuple[int, int]] = set()


class ArmedMachine:
    """Decides what a Worker starts by itself.

    Attributes:
        runs: numbers of the Runs of which Steps are, or were, armed; others need not be asked about.
    """

    def __init__(self) -> None:
        self.runs: dict[int, _Run] = {}

    def arm(self, run: int, command: Arm) -> None:
        """Take Steps that wait for others of this Worker."""
        here = self.runs.setdefault(run, _Run())
        for armed in command.armed:
            step = armed.invocation.step
            here.waiting[step] = _Waiting(command.function, armed)
            for producer in {taken.step for taken in armed.takes}:
                here.readers.setdefault(producer, []).append(step)

    def takes_value_of(self, run: int, step: int) -> bool:
        """Say whether an armed Step waits for the value of this one."""
        here = self.runs.get(run)
        return here is not None and step in here.readers

    def ended(self, run: int, event: AttemptsEnded) -> list[Invoke]:
        """Take outcomes of this Worker; return what is to be started because of them."""
        here = self.runs.get(run)
        if here is None:
            return []
        started: list[Invoke] = []
        for ended in event.ended:
            if ended.value is not None and not ended.undoes:
                for step in here.readers.pop(ended.step, ()):
                    invocation = _fill(here, step, ended.step, ended.value)
                    if invocation is not None:
                        here.started.add((step, invocation.attempt))
                        started.append(Invoke(here.waiting.pop(step).function, (invocation,)))
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


def _fill(here: _Run, step: int, producer: int, value: Data) -> Invocation | None:
    """Put a value where an armed Step takes it; return the Invocation if it is complete now."""
    waiting = here.waiting.get(step)
    if waiting is None:
        return None
    for taken in waiting.takes:
        if taken.step == producer:
            waiting.holes[taken.hole] = Tree(value, path=taken.path)
    waiting.left -= 1
    if waiting.left:
        return None
    return replace(waiting.invocation, args=replace(waiting.invocation.args, holes=tuple(waiting.holes)))
