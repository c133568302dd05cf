"""The Workers of an engine, as those who look on see them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from weftrun.machines.placement import Planner
from weftrun.model.hosts import WorkerAbout
from weftrun.model.ids import WorkerId
from weftrun.ports.trace import WorkerRow
from weftrun.runtime.worker_group import WorkerGroup


class Turns:
    """A loop whose time is set, and whose slow work is done at once."""

    def __init__(self) -> None:
        self.at = 1000.0
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def now(self) -> float:
        return self.at

    def call_at(self, at: float, callback: Callable[[], None]) -> None:
        self.timers.append((at, callback))

    def offload(self, work: Callable[[], None], done: Callable[[], None], *, lane: str) -> None:
        work()
        done()

    def pass_s(self, seconds: float) -> None:
        self.at += seconds
        due = [timer for timer in self.timers if timer[0] <= self.at]
        self.timers = [timer for timer in self.timers if timer[0] > self.at]
        for _, callback in due:
            callback()


class There:
    """A Worker in another process: it takes whatever it is told, and tells of itself when the test says so."""

    heard_at: float | None = None
    about: WorkerAbout | None = None
    pinged = 0

    def ping(self) -> None:
        self.pinged += 1

    def __getattr__(self, name: str) -> Any:
        return lambda *given: None


class Shown:
    """The trace: what is shown of Workers."""

    rows: Sequence[WorkerRow] = ()

    def show_workers(self, engine: str, rows: Sequence[WorkerRow]) -> None:
        self.rows = rows


def test_a_worker_is_shown_as_soon_as_it_has_told_of_itself() -> None:
    """And not at the next look at all of them, which is a third of a Lease away; each is asked when it joins."""
    loop, shown = Turns(), Shown()
    group = WorkerGroup(cast(Any, loop), cast(Any, There()), Planner(), 3_000.0, 3_000.0, cast(Any, shown))
    workers = [There() for _ in range(3)]
    for number, there in enumerate(workers, 1):
        group.joined(WorkerId(number), cast(Any, there), 1)
    assert all(there.pinged for there in workers)
    loop.pass_s(1)
    assert [row.heard_at for row in shown.rows] == [0.0] * 3
    for number, there in enumerate(workers, 1):
        there.heard_at, there.about = loop.at, WorkerAbout("host", number, 1, 1, 1)
        loop.pass_s(1)
        assert [row.pid for row in shown.rows] == [1, 2, 3][:number] + [0] * (3 - number)
    assert len(loop.timers) == 1, "from now on they are shown at each look"
