"""The contract of the port Worker, for Workers with real Sandboxes, wherever they are."""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest

from weftrun.model.commands import Arm, Armed, Invoke, Revoke, Taken
from weftrun.model.events import AttemptsEnded
from weftrun.model.hosts import KnownBatches
from weftrun.model.ids import RunId, RunUid, SandboxId, StepId
from weftrun.model.messages import Asking, Invocation
from weftrun.model.policy import Bundle
from weftrun.model.values import Data, Inline, Object, Tree
from weftrun.model.work import AttemptAt, BatchSent, Came, Running, Said, WorkEvent
from weftrun.ports.objects import Objects
from weftrun.ports.worker import Worker
from weftrun.sdk.codec import decode, encode, hole
from weftrun.sdk.function import Function
from weftrun.testing.contracts import working

WAIT_S = 60.0
_LOOK_S = 0.005
RUN = 1
_EMPTY = Tree(None)
T = TypeVar("T")


class OnLoop(NamedTuple):
    """A Worker, how to do something in its loop's thread, and the store of its engine."""

    worker: Worker
    do: Callable[[Callable[[], None]], None]
    objects: Objects


def _poll(holds: Callable[[], object], what: str) -> None:
    """Wait, bounded, for something that nobody tells of."""
    pause = threading.Event()
    for _ in range(int(WAIT_S / _LOOK_S)):
        if holds():
            return
        pause.wait(_LOOK_S)
    raise AssertionError(f"it did not come true: {what}")


class Heard:
    """What a Worker has told (port WorkerEvents); it waits, bounded, for what is still to come."""

    def __init__(self) -> None:
        self.ended: list[tuple[int, int, Data | None]] = []
        self.runs: set[int] = set()
        self.batches: list[BatchSent] = []
        self._changed = threading.Condition()

    def until(self, holds: Callable[[], bool], what: str) -> None:
        """Return when something holds; fail the test if that takes too long."""
        with self._changed:
            assert self._changed.wait_for(holds, WAIT_S), f"it did not come true: {what}"

    def _note(self, change: Callable[[], object]) -> None:
        with self._changed:
            change()
            self._changed.notify_all()

    def told(self, run: int, event: WorkEvent) -> None:
        """Note outcomes of Attempts."""
        assert isinstance(event, AttemptsEnded)
        self._note(lambda: self.ended.extend((ended.step, ended.attempt, ended.value) for ended in event.ended))
        self.runs.add(run)

    def printed(self, said: Said) -> None:
        """Nothing here prints."""

    def batch_sent(self, sent: BatchSent, go: Callable[[], None]) -> None:
        """Note a Batch."""
        go()
        self._note(lambda: self.batches.append(sent))

    def came(self, came: Came) -> None:
        """How Objects come is not asked for here."""

    def running(self, rows: Sequence[Running]) -> None:
        """What runs for long is not asked for here."""

    def asked(self, attempt: AttemptAt, message: Asking) -> None:
        """Nothing here has a transaction."""

    def sandbox_ended(self, sandbox: SandboxId) -> None:
        """Sandboxes may end at any time."""

    def rested(self) -> None:
        """Let whoever waits look again."""
        self._note(lambda: None)

    def gone(self, why: str, known: KnownBatches) -> None:  # noqa: ARG002
        """Fail: nobody ends this Worker."""
        raise AssertionError(why)


def invocation(step: int, *args: object, attempt: int = 1) -> Invocation:
    """Return an Invocation with these arguments."""
    data = Inline(encode((args, {}), what="the arguments").tobytes())
    return Invocation(0, step, StepId(f"step[{step}]"), attempt, Tree(data))


class _Hole:
    """Stands where a value is still to come, as a Ref does."""

    def __reduce__(self) -> tuple[Callable[[int], object], tuple[int]]:
        return hole, (0,)


def taking(step: int, producer: int, *args: object) -> Armed:
    """Return an armed Step whose first argument is the value of another one."""
    data = Inline(encode(((_Hole(), *args), {}), what="the arguments").tobytes())
    return Armed(Invocation(0, step, StepId(f"step[{step}]"), 1, Tree(data, (_EMPTY,))), (Taken(0, producer, ()),))


class WorkerContract:
    """Subclasses give the fixture `there`: a Worker of one Sandbox that nobody listens to yet, closed afterwards."""

    @pytest.fixture
    def there(self) -> OnLoop:
        """Return the Worker under test."""
        raise NotImplementedError

    @pytest.fixture
    def heard(self, there: OnLoop) -> Heard:
        """Listen, and open a Run."""
        heard = Heard()
        bundle = Bundle(working.__name__, path=tuple(sys.path), started=str(Path.cwd()))

        def begin() -> None:
            there.worker.listen(heard)
            there.worker.open_run(RUN, RunId("run"), RunUid("0" * 32), bundle)

        there.do(begin)
        return heard

    def invoke(self, there: OnLoop, function: Function[..., Any], *invocations: Invocation) -> None:
        """Give work."""
        there.do(lambda: there.worker.work(RUN, Invoke(function.spec, invocations)))

    def values(self, there: OnLoop, heard: Heard, count: int) -> dict[int, object]:
        """Wait for so many outcomes and return their values by Step; each is told once."""
        heard.until(lambda: len(heard.ended) >= count, f"{count} outcomes")
        found: dict[int, object] = {}
        for step, _, data in heard.ended:
            assert step not in found, "an outcome was told twice"
            if isinstance(data, Object):
                found[step] = decode(bytes(there.objects.view(data.oid)))
                there.do(lambda oid=data.oid: there.objects.release(oid))  # type: ignore[misc]
            elif isinstance(data, Inline):
                found[step] = decode(data.data)
        return found

    def quiet(self, there: OnLoop, heard: Heard) -> None:
        """Wait until nothing runs."""
        heard.until(lambda: there.worker.quiet, "the Worker is quiet")

    # ------------------------------------------------------------------ the contract

    def test_each_outcome_is_told_once(self, there: OnLoop, heard: Heard) -> None:
        """Of a few Invocations that are given together, and one after them."""
        self.invoke(there, working.add, *(invocation(step, step, 1) for step in range(5)))
        self.invoke(there, working.add, invocation(5, 5, 1))
        assert self.values(there, heard, 6) == {step: step + 1 for step in range(6)}
        assert heard.runs == {RUN}
        assert sum(batch.size for batch in heard.batches) == 6
        self.quiet(there, heard)

    def test_objects_go_both_ways(self, there: OnLoop, heard: Heard) -> None:
        """A large result has one holder, whoever hears of it; a large argument stays the giver's."""
        large = encode(((b"ab" * 100_000, 2), {}), what="the arguments")
        given: list[Object] = []
        there.do(lambda: given.append(there.objects.publish(large.pieces)))
        call = Invocation(0, 1, StepId("step[1]"), 1, Tree(given[0]))
        self.invoke(there, working.repeat, call)
        assert self.values(there, heard, 1) == {1: b"ab" * 200_000}
        self.quiet(there, heard)

        def release() -> None:
            there.worker.release([given[0].oid])
            there.objects.release(given[0].oid)

        there.do(release)
        there.do(lambda: there.worker.close_run(RUN))
        self._until_nothing_is_held(there)

    def _until_nothing_is_held(self, there: OnLoop) -> None:
        _poll(lambda: not there.objects.stats()["objects"], "no Object is held")

    def test_what_is_revoked_ends(self, there: OnLoop, heard: Heard, tmp_path: Path) -> None:
        """What waits is dropped, what runs is ended, and the rest goes on."""
        never = str(tmp_path / "never")
        self.invoke(there, working.wait_for, invocation(1, never), invocation(2, never))
        self._until_there(tmp_path / "never.entered")
        there.do(lambda: there.worker.work(RUN, Revoke((1, 2))))
        self.quiet(there, heard)
        before = len(heard.ended)
        self.invoke(there, working.add, invocation(3, 1, 1))
        heard.until(lambda: len(heard.ended) > before, "the next outcome")
        assert [step for step, _, value in heard.ended if value is not None] == [3]

    def _until_there(self, path: Path) -> None:
        _poll(path.exists, f"{path.name} is there")

    def test_a_run_that_is_left_leaves_nothing(self, there: OnLoop, heard: Heard, tmp_path: Path) -> None:
        """Nothing of it runs on, and nothing of it is told."""
        self.invoke(there, working.wait_for, *(invocation(step, str(tmp_path / "never")) for step in range(3)))
        self._until_there(tmp_path / "never.entered")
        there.do(lambda: there.worker.leave_run(RUN))
        self.quiet(there, heard)
        assert not [value for _, _, value in heard.ended if value is not None]

    def test_nothing_is_entered_after_the_hold(self, there: OnLoop, heard: Heard, tmp_path: Path) -> None:
        """It waits until it is told again that it may (O3)."""
        (tmp_path / "go").touch()
        there.do(lambda: there.worker.hold_until(0.0))
        self.invoke(there, working.wait_for, invocation(1, str(tmp_path / "go")))
        assert not (tmp_path / "go.entered").exists()
        there.do(lambda: there.worker.hold_until(math.inf))
        assert self.values(there, heard, 1) == {1: str(tmp_path / "go")}

    def test_what_was_armed_starts_by_itself(self, there: OnLoop, heard: Heard) -> None:
        """A chain needs one `Invoke`; an `Invoke` of what has started changes nothing."""

        def arm() -> None:
            there.worker.work(RUN, Arm(working.add.spec, (taking(2, 1, 10), taking(3, 2, 100))))
            there.worker.work(RUN, Invoke(working.add.spec, (invocation(1, 1, 1),)))

        there.do(arm)
        assert self.values(there, heard, 3) == {1: 2, 2: 12, 3: 112}
        assert [step for step, _, _ in heard.ended] == [1, 2, 3], "causes before what they set off"
        self.invoke(there, working.add, invocation(3, 0, 0))
        self.quiet(there, heard)
        assert len(heard.ended) == 3

    def test_what_was_armed_takes_large_values(self, there: OnLoop, heard: Heard) -> None:
        """The Worker keeps what an armed Step takes until it has run, though the engine has it by then."""

        def arm() -> None:
            there.worker.work(RUN, Arm(working.size.spec, (taking(2, 1),)))
            there.worker.work(RUN, Invoke(working.repeat.spec, (invocation(1, b"ab", 100_000),)))

        there.do(arm)
        assert self.values(there, heard, 2) == {1: b"ab" * 100_000, 2: 200_000}
        there.do(lambda: there.worker.close_run(RUN))
        self._until_nothing_is_held(there)

    def test_a_drained_worker_starts_nothing(self, there: OnLoop, heard: Heard, tmp_path: Path) -> None:
        """What runs may end."""
        go = tmp_path / "go"
        self.invoke(there, working.wait_for, invocation(1, str(go)))
        self._until_there(tmp_path / "go.entered")
        there.do(there.worker.drain)
        self.invoke(there, working.add, invocation(2, 1, 1))
        go.touch()
        assert self.values(there, heard, 1) == {1: str(go)}
