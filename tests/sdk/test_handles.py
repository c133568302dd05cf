"""Engine and Run against a core in this thread: what is checked, encoded and raised on the author's side."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable
from typing import Any

import numpy as np
import pytest
from msgspec import Struct
from tests.sdk.authors import add, body_of, countdown, diamond, fail

import weftrun
from weftrun import Engine, UsageError, workflow
from weftrun.model.ids import ObjectId, RunId, RunUid, StepId
from weftrun.model.outcomes import Failure, Reason, Status
from weftrun.model.policy import Bundle, FunctionSpec
from weftrun.model.queues import QueueOptions
from weftrun.model.values import Data, Inline, Object, Payload, Tree
from weftrun.sdk.codec import decode, encode
from weftrun.sdk.failure import failure_of
from weftrun.sdk.function import find


class Ended(Struct):
    status: Status
    answer: Tree | None = None
    failure: Failure | None = None


class Ticket:
    def __init__(self, id: RunId) -> None:
        self.id = id
        self.uid = RunUid("u")
        self.joined = False
        self.compared = True
        self.begun_otherwise = ""
        self.ended_before: float | None = None
        self.end: Ended | None = None


class Core:
    """Runs at once, in the caller's thread."""

    inline_bytes_max = 1_000
    journal = "sqlite:////j.db"
    state = "open"

    def __init__(self) -> None:
        self.tickets: dict[RunId, Ticket] = {}
        self.starts: list[tuple[FunctionSpec, Bundle, Payload, str, bool]] = []
        self.objects: list[bytes] = []
        self.cancelled: list[RunId] = []
        self.closed: list[float] = []
        self.awaited: list[RunId] = []

    def expect(self, function: FunctionSpec, expected: object) -> None:
        """Plan nothing."""

    def start(
        self,
        id: RunId | None,
        function: FunctionSpec,
        bundle: Bundle,
        args: Payload,
        digest: str,
        also: tuple[str, ...],
        *,
        wait_start: bool,
        durable: bool,
        asked: QueueOptions | None,
    ) -> Ticket:
        assert asked is None, "no test puts a Run into a queue here"
        assert durable or (id is None and not wait_start), "a Run without records is not waited for, nor named"
        self.starts.append((function, bundle, args, digest, wait_start))
        ticket = Ticket(id or RunId(f"drawn-{len(self.starts)}"))
        if ticket.id in self.tickets:
            self.tickets[ticket.id].joined = True
            return self.tickets[ticket.id]
        positional, named = decode(self.read(args.data))
        try:
            value = find(function.name).callable(*positional, **named)
            ticket.end = Ended("succeeded", Tree(self.publish(encode(value, what="it").pieces)))
        except ValueError as error:
            ticket.end = Ended(
                "failed", None, failure_of(error, origin=StepId("root"), attempt=1, attempts=1, bytes_max=9_999)
            )
        self.tickets[ticket.id] = ticket
        return ticket

    def publish(self, pieces: list[bytes | memoryview]) -> Data:
        self.objects.append(b"".join(pieces))
        return Object(ObjectId(len(self.objects) - 1), len(self.objects[-1]))

    def read(self, data: Data) -> bytes:
        if isinstance(data, Inline):
            return data.data
        assert isinstance(data, Object)
        return self.objects[data.oid]

    def wait(self, ticket: Ticket, timeout_s: float | None) -> Ended:
        if timeout_s == 0.001:
            raise TimeoutError
        assert ticket.end is not None
        return ticket.end

    def future(self, ticket: Ticket) -> Awaitable[None]:
        return asyncio.sleep(0)

    async def started(self, ticket: Ticket) -> None:
        self.awaited.append(ticket.id)

    def find(self, id: RunId) -> Ticket:
        return self.tickets[id]

    def status(self, ticket: Ticket) -> tuple[Status, str | None]:
        return ("running", "disk") if ticket.end is None else (ticket.end.status, None)

    def steps(self, ticket: Ticket) -> list[Any]:
        return [ticket.id]

    def logs(self, ticket: Ticket) -> list[Any]:
        return [ticket.id]

    def runs(self, limit: int, before: int | None) -> list[Any]:
        return list(self.tickets)[:limit]

    def cancel(self, ticket: Ticket, *, force: bool) -> None:
        assert not force
        self.cancelled.append(ticket.id)

    def close(self, *, drain_s: float) -> None:
        self.closed.append(drain_s)


@pytest.fixture
def core() -> Core:
    return Core()


def test_start_run_and_result(core: Core) -> None:
    with Engine(core) as engine:
        run = engine.start(add.options(id="r-1"), 1, y=5)
        assert (run.id, run.status, run.waiting_for, run.result(timeout_s=1)) == ("r-1", "succeeded", None, 6)
        assert engine.run(add, 2) == 3
        assert not run.joined
        assert engine.start(add.options(id="r-1"), 1, y=5).joined
        assert [start[4] for start in core.starts] == [True, False, True]
        assert repr(engine.get("r-1")) == "<Run r-1: succeeded, in sqlite:////j.db>"
        assert engine.list(limit=1) == ["r-1"]
        assert run.steps() == run.logs() == ["r-1"]
        run.cancel()
    assert core.cancelled == ["r-1"]
    assert core.closed == [5.0]


def test_what_a_start_tells(core: Core) -> None:
    engine = Engine(core)
    engine.start(add, 1)
    engine.start(add.options(id="x", retries=2), 1, y=2)
    engine.start(add.options(id="y"), 1, y=2)
    plain, named, other = core.starts
    assert plain[0] == add.spec
    assert plain[1].module == "tests.sdk.authors"
    assert plain[3] == "", "arguments of a Run without an id are never compared"
    assert named[0].retry == weftrun.Retry(2)
    assert len(named[3]) == 64
    assert named[3] == other[3]


def test_large_arguments_become_objects(core: Core) -> None:
    engine = Engine(core)
    assert engine.run(add, np.zeros(1_000), 1).shape == (1_000,)
    assert isinstance(core.starts[0][2].data, Object)


def test_errors_are_the_author_s(core: Core) -> None:
    run = Engine(core).start(fail.options(id="bad"), "no")
    with pytest.raises(ValueError, match="no") as caught:
        run.result()
    assert caught.value.__notes__[0] == "in root of run bad"
    assert run.status == "failed"
    with pytest.raises(TimeoutError):
        run.result(timeout_s=0.001)


def test_awaiting_a_run(core: Core) -> None:
    run = Engine(core).start(add, 3)

    async def outside() -> int:
        return await run

    assert asyncio.run(outside()) == 4


def test_starting_without_blocking(core: Core) -> None:
    engine = Engine(core)

    async def outside() -> list[int]:
        first = await engine.astart(add.options(id="r-1"), 3)
        second = await engine.astart(add.options(durable=False), 4)
        return [await first, await second]

    assert asyncio.run(outside()) == [4, 5]
    assert core.awaited == ["r-1"], "a Run without records has no start to wait for"
    assert [start[4] for start in core.starts] == [False, False]


def test_what_is_shown_of_a_run_that_has_not_ended(core: Core) -> None:
    engine = Engine(core)
    run = engine.start(add.options(id="r-1"), 3)
    core.tickets[run.id].end = None
    assert repr(run) == "<Run r-1: running, waiting for disk, in sqlite:////j.db>"
    core.state = "closed"
    assert repr(run) == "<Run r-1: running when its engine was closed, in sqlite:////j.db>"
    assert repr(engine) == "<Engine on sqlite:////j.db, closed>"


def test_a_run_without_an_answer(core: Core) -> None:
    run = Engine(core).start(add, 3)
    core.tickets[run.id].end = Ended("cancelled", None, Failure(Reason.CANCELLED, "", "It was cancelled."))
    with pytest.raises(weftrun.RunCancelled, match=r"It was cancelled\."):
        run.result()


@pytest.mark.parametrize("id", ["", "x" * 257, "é" * 129, "a\nb", 5])
def test_ids_that_can_not_be(core: Core, id: Any) -> None:
    with pytest.raises(UsageError, match="can't be the id of a Run: it takes 1 to 256 bytes of printable text"):
        Engine(core).start(add.options(id=id), 1)


def test_misuse_of_start(core: Core) -> None:
    engine = Engine(core)
    with pytest.raises(UsageError, match="is not a Function: decorate it with"):
        engine.start(len, [])
    with pytest.raises(TypeError, match=r"add\(\): missing a required argument: 'x'\."):
        engine.start(add)
    with pytest.raises(weftrun.NotSerializable, match=r"Argument x of add is a lock") as caught:
        engine.start(add, threading.Lock())
    cause = caught.value.__cause__
    assert isinstance(cause, TypeError), "pickle's own error"
    assert cause.__context__ is None, "and nothing is said twice"
    assert not core.starts

    @workflow
    def wiring() -> Any:
        with pytest.raises(UsageError, match=r"add\.options\(after=\.\.\.\) orders a call in a workflow"):
            engine.start(add.options(after=[add(1)]), 1)
        with pytest.raises(UsageError, match="can't be stored or sent away"):
            engine.start(add, add(1))

    turn = body_of(wiring)[0].enter()
    assert not hasattr(turn, "error"), turn.error


def test_workflows_are_started_by_their_name(core: Core) -> None:
    engine = Engine(core)
    engine.start(diamond, 1)
    assert [spec.name for spec, *_ in core.starts] == ["tests.sdk.authors:diamond"]
    assert countdown.spec.name == "tests.sdk.authors:countdown"


def test_an_interrupted_program_says_what_it_waits_for(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(KeyboardInterrupt), Engine(Core()):
        raise KeyboardInterrupt
    assert [record.getMessage() for record in caplog.records] == [
        "Interrupted: what runs has 5 s to end; Runs that are open go on when their Journal is opened again."
    ]
    caplog.clear()
    with pytest.raises(ValueError), Engine(Core()):  # noqa: PT011
        raise ValueError
    assert not caplog.records
