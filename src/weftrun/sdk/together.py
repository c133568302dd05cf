"""Several waits of one async body at once: `gather`, `race`, `as_settled`.

A branch is a Ref, a wait, or a coroutine of the author's. Each goes on when what it waits for settles; which of several
that is, is what the engine delivers first: the order in which they settled, which is on record, so that a replay goes
the same way (B2). There is no loop, and no two branches run at the same time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Generator, Iterable
from typing import Any, Generic, TypeVar, overload

from weftrun.model.errors import UsageError
from weftrun.sdk.either import Either
from weftrun.sdk.inspection import preview
from weftrun.sdk.place import here
from weftrun.sdk.ref import Ref

T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")
Waits = Generator[Any, Any, T]


class SettledBranch(Generic[T]):
    """A branch that has ended.

    Attributes:
        place: of the branch among those that were given, from 0.
    """

    __slots__ = ("_error", "_value", "place")

    def __init__(self, place: int, value: Any, error: Exception | None) -> None:
        """Tell how the branch at a place ended."""
        self.place = place
        self._value = value
        self._error = error

    def result(self) -> T:
        """Return its value, or raise its error."""
        if self._error is not None:
            raise self._error
        value: T = self._value
        return value

    @property
    def error(self) -> Exception | None:
        """What it raised; None where it returned."""
        return self._error

    def __repr__(self) -> str:
        return f"<SettledBranch {self.place}: {'raised' if self._error is not None else 'returned'}>"


class _Branch:
    """One awaitable, driven until it waits or ends."""

    __slots__ = ("_steps", "ended", "place", "waits")

    def __init__(self, place: int, steps: Any) -> None:
        self._steps = steps
        self.place = place
        self.waits: Any = None
        self.ended: SettledBranch[Any] | None = None

    def go_on(self, value: object = None, error: BaseException | None = None) -> None:
        """Resume it, and see what it waits for now."""
        try:
            self.waits = self._steps.send(value) if error is None else self._steps.throw(error)
        except StopIteration as stop:
            self.ended = SettledBranch(self.place, stop.value, None)
        except Exception as raised:  # noqa: BLE001  # the author's; told to whoever asks for the result
            self.ended = SettledBranch(self.place, None, raised)

    @property
    def refs(self) -> tuple[Ref[Any], ...]:
        """The Refs of which it waits for any; none where it waits for something else."""
        waits = self.waits
        if type(waits) is Either:
            return waits.refs
        return (waits,) if isinstance(waits, Ref) else ()

    def leave(self) -> None:
        """Close it; its `finally` runs, and may wait for nothing."""
        if self.ended is None:
            self._steps.close()


class _Branches:
    """The branches that were given, in their order."""

    def __init__(self, given: tuple[Any, ...], what: str) -> None:
        if here.recorder is None:
            raise UsageError(
                f"{what} was called outside of a workflow's body: only an `async def` workflow waits for Steps. In a "
                "Function, use what its program has (asyncio.gather)."
            )
        self._left = [_Branch(place, _steps_of(one, what)) for place, one in enumerate(given)]
        self._begun = False
        self._ended: list[SettledBranch[Any]] = []

    def __len__(self) -> int:
        """How many have not been given out."""
        return len(self._left) + len(self._ended)

    def next(self) -> Waits[SettledBranch[Any]]:
        """Wait until another branch has ended, and return it."""
        if not self._begun:
            self._begun = True
            for branch in self._left:
                branch.go_on()
            yield from self._sort_out()
        while not self._ended:
            number = yield Either(tuple(ref for branch in self._left for ref in branch.refs))
            for branch in self._left:
                if any(ref._number == number for ref in branch.refs):
                    yield from self._resume(branch, number)
            yield from self._sort_out()
        return self._ended.pop(0)

    def _resume(self, branch: _Branch, number: int) -> Waits[None]:
        if type(branch.waits) is Either:
            branch.go_on(number)
            return
        try:
            value = yield branch.waits  # it has settled: it is here at once
        except Exception as error:  # noqa: BLE001  # of a Step: its branch may handle it
            branch.go_on(error=error)
        else:
            branch.go_on(value)

    def _sort_out(self) -> Waits[None]:
        """Take out what has ended; what waits for what no body can wait for is told so."""
        for branch in self._left:
            while branch.ended is None and not branch.refs:
                try:
                    value = yield branch.waits
                except Exception as error:  # noqa: BLE001  # the sentence that says what may be awaited
                    branch.go_on(error=error)
                else:
                    branch.go_on(value)
        self._ended += [branch.ended for branch in self._left if branch.ended is not None]
        self._left = [branch for branch in self._left if branch.ended is None]

    def leave(self) -> None:
        """Close those that have not ended, the last one first."""
        left, self._left = self._left, []
        for branch in reversed(left):
            branch.leave()


def _steps_of(given: Any, what: str) -> Any:
    """Return what drives an awaitable."""
    kind = type(given)  # a Ref is not asked for the class of its value
    if not hasattr(kind, "__await__"):
        raise UsageError(
            f"{what} was given {preview(given, 200)}, which can't be awaited: give Refs (`f.step(...)`), waits, and "
            "calls of your own `async def` functions."
        )
    return given.__await__()


class _All:
    """What `gather` gives."""

    __slots__ = ("_branches", "_errors", "_given")

    def __init__(self, given: tuple[Any, ...], *, errors: bool) -> None:
        self._branches = _Branches(given, "weftrun.gather")
        self._given = len(given)
        self._errors = errors

    def __await__(self) -> Waits[tuple[Any, ...]]:
        ended: dict[int, SettledBranch[Any]] = {}
        try:
            while len(self._branches):
                settled = yield from self._branches.next()
                ended[settled.place] = settled
        finally:
            self._branches.leave()
        whole = [ended[place] for place in range(self._given)]
        if self._errors:
            return tuple(one.error if one.error is not None else one.result() for one in whole)
        return tuple(one.result() for one in whole)


class _First:
    """What `race` gives."""

    __slots__ = ("_branches",)

    def __init__(self, given: tuple[Any, ...]) -> None:
        if not given:
            raise UsageError("weftrun.race() was given nothing: nobody would ever win.")
        self._branches = _Branches(given, "weftrun.race")

    def __await__(self) -> Waits[tuple[int, Any]]:
        try:
            first = yield from self._branches.next()
        finally:
            self._branches.leave()
        return first.place, first.result()


class _Next:
    __slots__ = ("_branches",)

    def __init__(self, branches: _Branches) -> None:
        self._branches = branches

    def __await__(self) -> Waits[SettledBranch[Any]]:
        if not len(self._branches):
            raise StopAsyncIteration
        return (yield from self._branches.next())


class AsSettled(Generic[T]):
    """What `as_settled` gives: branches in the order in which they end."""

    def __init__(self, given: tuple[Any, ...]) -> None:
        """Give out these branches."""
        self._branches = _Branches(given, "weftrun.as_settled")

    def __aiter__(self) -> AsSettled[T]:
        return self

    def __anext__(self) -> Awaitable[SettledBranch[T]]:
        return _Next(self._branches)


@overload
def gather(one: Awaitable[T1], two: Awaitable[T2], /) -> Awaitable[tuple[T1, T2]]: ...
@overload
def gather(one: Awaitable[T1], two: Awaitable[T2], three: Awaitable[T3], /) -> Awaitable[tuple[T1, T2, T3]]: ...
@overload
def gather(
    one: Awaitable[T1], two: Awaitable[T2], three: Awaitable[T3], four: Awaitable[T4], /
) -> Awaitable[tuple[T1, T2, T3, T4]]: ...
@overload
def gather(*awaitables: Awaitable[T], return_exceptions: bool = ...) -> Awaitable[tuple[T, ...]]: ...
@overload
def gather(*awaitables: Awaitable[Any], return_exceptions: bool = ...) -> Awaitable[tuple[Any, ...]]: ...
def gather(*awaitables: Awaitable[Any], return_exceptions: bool = False) -> Awaitable[tuple[Any, ...]]:
    """Wait for all of these in an async workflow: `a, b = await weftrun.gather(f.step(1), branch(2))`.

    Coroutines go on side by side, each as soon as what it waits for has settled. All are waited for, also where one
    fails; then the error of the first of them, in the order in which they were given, is raised.

    Args:
        awaitables: Refs, waits, and calls of your own `async def` functions.
        return_exceptions: whether errors are returned in the place of values, and none is raised.

    Raises:
        UsageError: this is no body of an async workflow, or one can't be awaited.
    """
    return _All(awaitables, errors=return_exceptions)


def race(*awaitables: Awaitable[Any]) -> Awaitable[tuple[int, Any]]:
    """Wait for the first of these in an async workflow: `place, value = await weftrun.race(...)`.

    Returns the place of the one that ended first, from 0, and its value; or raises its error. Coroutines that lost are
    closed, and timers and signals are left. A Step can't be taken back: one that lost goes on, and the Run with it.

    Raises:
        UsageError: this is no body of an async workflow, nothing was given, or one can't be awaited.
    """
    return _First(awaitables)


def as_settled(awaitables: Iterable[Awaitable[T]], /) -> AsSettled[T]:
    """Go through these in the order in which they end: `async for done in weftrun.as_settled(refs): done.result()`.

    `done.place` tells which it is, from 0. A loop that is left leaves the others as they are.

    Raises:
        UsageError: this is no body of an async workflow, or one can't be awaited.
    """
    return AsSettled(tuple(awaitables))
