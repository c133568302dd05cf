"""Queues, as authors write and hold them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from msgspec.structs import replace

from weftrun.model.errors import PolicyError, UsageError
from weftrun.model.queues import (
    PRIORITIES,
    RATE_MAX,
    KeptQueue,
    QueueCounts,
    QueueEntry,
    QueueLimits,
    QueueOptions,
    Rate,
)
from weftrun.sdk.inspection import preview

T = TypeVar("T")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_TEXT_MAX = 200
_LIMIT_MAX = 2**31 - 1
_SECONDS_MAX = 1e9
_PLACING = ("queue", "key", "priority", "delay_s", "deduplicate")


class Queue:
    """A queue, as a program declares it. Made by `weftrun.queue`.

    Attributes:
        name: of the queue in the Journal.
        limits: what it is limited to.
    """

    __slots__ = ("limits", "name")

    def __init__(self, name: str, limits: QueueLimits) -> None:
        """Declare a queue. Authors write `weftrun.queue(...)` instead."""
        self.name = name
        self.limits = limits

    def __repr__(self) -> str:
        return f"<Queue {self.name}>"


def queue(
    name: str,
    *,
    concurrency: int | None = None,
    per_key: int | None = None,
    rate: tuple[int, float] | None = None,
    length_max: int | None = None,
) -> Queue:
    """Declare a queue: `engine.start(send.options(queue=weftrun.queue("emails", concurrency=10)), "ann")`.

    It is made in the Journal, or gets these limits, when a Run is first put into it by an engine. What an operator has
    set by `weftrun queue set` since stands until a program declares other limits than it did before. All limits are
    counted over all engines of the Journal.

    Args:
        name: letters, digits, `_`, `.` and `-`, 100 at most.
        concurrency: Runs that may be under way at once; None for any number.
        per_key: the same for the Runs of one key.
        rate: `(50, 1.0)`: at most 50 Runs begin within any 1.0 seconds.
        length_max: Runs that may wait; a start over it raises `QueueFull`.

    Raises:
        UsageError: a value can't be.
    """
    changes = {"concurrency": concurrency, "per_key": per_key, "rate": rate, "length_max": length_max}
    return Queue(check_queue_name(name), limits_of(changes))


def check_queue_name(name: object) -> str:
    """Return the name of a queue; `UsageError` where it is none."""
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise UsageError(
            f"{preview(name, 120)} can't be the name of a queue: give letters, digits, `_`, `.` and `-`, 100 of them "
            "at most."
        )
    return name


def limits_of(changes: Mapping[str, Any]) -> QueueLimits:
    """Return limits as they are kept.

    Raises:
        UsageError: one is no number that it can be.
    """
    found: dict[str, Any] = {}
    for name, value in changes.items():
        if value is None:
            found[name] = None
        elif name == "rate":
            found[name] = _rate(value)
        elif type(value) is not int or not 1 <= value <= _LIMIT_MAX:
            raise UsageError(
                f"{name}={preview(value, 40)} is no limit of a queue: give a whole number from 1 to {_LIMIT_MAX:,}."
            )
        else:
            found[name] = value
    return QueueLimits(**found)


def _rate(value: Any) -> Rate:
    wrong = UsageError(
        f"rate={preview(value, 60)} is no rate: give (50, 1.0) for at most 50 Runs in any 1.0 seconds; {RATE_MAX:,} "
        "Runs and 86,400 seconds at most."
    )
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise wrong
    starts, per_s = value
    if type(starts) is not int or not 1 <= starts <= RATE_MAX:
        raise wrong
    if type(per_s) not in (int, float) or not 0.001 <= per_s <= 86_400:
        raise wrong
    return Rate(starts, float(per_s))


def placed(policy: Mapping[str, Any], before: QueueOptions | None, label: str, where: str) -> QueueOptions | None:
    """Return where `.options(...)` places the Runs of a Function.

    Raises:
        PolicyError: a value can't be, or there is no queue that it could be said of.
    """
    given = {key: policy[key] for key in _PLACING if key in policy}
    if not given:
        return before

    def refuse(key: str, wanted: str) -> PolicyError:
        return PolicyError(f"{label} ({where}): `{key}={preview(given[key], 60)}` is not {wanted}.")

    asked = before
    if "queue" in given:
        named = given["queue"]
        if isinstance(named, Queue):
            name, limits = named.name, named.limits
        elif isinstance(named, str) and _NAME.fullmatch(named):
            name, limits = named, None
        else:
            raise refuse("queue", "the name of a queue, or what weftrun.queue(...) gives")
        asked = QueueOptions(
            replace(before.entry, queue=name) if before is not None else QueueEntry(name), limits=limits
        )
    if asked is None:
        raise PolicyError(f"{label} ({where}): `{next(iter(given))}` is of a Run in a queue: say `queue=...` with it.")
    return _with(asked, given, refuse)


def _with(asked: QueueOptions, given: Mapping[str, Any], refuse: Callable[[str, str], PolicyError]) -> QueueOptions:
    entry = asked.entry
    for key in ("key", "deduplicate"):
        if key in given:
            value = given[key]
            if not isinstance(value, str) or not value.isprintable() or len(value.encode()) > _TEXT_MAX:
                raise refuse(key, f"a printable text of {_TEXT_MAX} bytes at most")
            entry = replace(entry, **{key: value})
    if "priority" in given:
        if type(given["priority"]) is not int or not 0 <= given["priority"] < PRIORITIES:
            raise refuse("priority", f"a whole number from 0 (first) to {PRIORITIES - 1} (last)")
        entry = replace(entry, priority=given["priority"])
    delay_s = given.get("delay_s", asked.delay_s)
    if type(delay_s) not in (int, float) or not 0 <= delay_s <= _SECONDS_MAX:
        raise refuse("delay_s", "a number of seconds, 0 or more")
    return replace(asked, entry=entry, delay_s=float(delay_s))


class QueueBook(Protocol):
    """What can be done with the queues of a Journal."""

    def declare(self, name: str, limits: QueueLimits) -> KeptQueue:
        """Say, as a program, what a queue is limited to."""

    def set(self, name: str, changes: Mapping[str, object], *, makes: bool = False) -> KeptQueue:
        """Set some limits of a queue, as an operator; `makes` says whether it is made where there is none."""

    def pause(self, name: str, *, paused: bool) -> KeptQueue:
        """Let nothing leave a queue, or let it go on."""

    def purge(self, name: str) -> int:
        """Cancel all Runs that wait in a queue."""

    def get(self, name: str) -> QueueCounts:
        """Return a queue, with what is in it."""


class QueueCore(Protocol):
    """What an engine must do for these handles."""

    def on_queues(self, work: Callable[[Any], T]) -> T:
        """Return what `work` makes of the queues of the Journal."""


class KnownQueue:
    """A queue of a Journal. Made by `engine.queue`.

    Attributes:
        name: of the queue.
    """

    __slots__ = ("_core", "name")

    def __init__(self, core: QueueCore, asked: str | Queue) -> None:
        """Stand for a queue, declaring it where limits are given with it."""
        self._core = core
        self.name = asked.name if isinstance(asked, Queue) else check_queue_name(asked)
        if isinstance(asked, Queue):
            limits = asked.limits
            self._on(lambda book: book.declare(self.name, limits))
        else:
            self._counts()

    @property
    def waiting(self) -> int:
        """How many Runs wait in it, those that are delayed among them."""
        counts = self._counts()
        return counts.waiting + counts.delayed

    @property
    def under_way(self) -> int:
        """How many of its Runs are under way: they have left it, and have not ended."""
        return self._counts().under_way

    @property
    def limits(self) -> QueueLimits:
        """What it is limited to now."""
        return self._counts().queue.limits

    @property
    def is_paused(self) -> bool:
        """Whether nothing leaves it until it is resumed."""
        return self._counts().queue.is_paused

    def set(self, **limits: Any) -> None:
        """Set some of `concurrency`, `per_key`, `rate` and `length_max`; None takes a limit away.

        Nothing that is under way is ended: over a lower limit nothing begins until there are fewer.
        """
        checked = limits_of(limits)
        self._on(lambda book: book.set(self.name, {name: getattr(checked, name) for name in limits}))

    def pause(self) -> None:
        """Let nothing leave it until it is resumed; what is under way goes on."""
        self._on(lambda book: book.pause(self.name, paused=True))

    def resume(self) -> None:
        """Let it go on."""
        self._on(lambda book: book.pause(self.name, paused=False))

    def purge(self) -> int:
        """Cancel all Runs that wait in it, and return how many."""
        return self._on(lambda book: book.purge(self.name))

    def _counts(self) -> QueueCounts:
        return self._on(lambda book: book.get(self.name))

    def _on(self, work: Callable[[QueueBook], T]) -> T:
        return self._core.on_queues(work)

    def __repr__(self) -> str:
        return f"<Queue {self.name}>"
