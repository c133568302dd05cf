"""The contract of the port Loop, for loops that run by real time in a thread of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

import pytest

from weftrun.ports.loop import Loop

WAIT_S = 10.0


class Meeting:
    """Waits, bounded, for something to be called in the loop."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def come(self) -> None:
        """Say that it was called."""
        self._event.set()

    def wait(self) -> None:
        """Return when it was called; fail the test if that takes too long."""
        assert self._event.wait(WAIT_S), "the loop did not call back"


class LoopContract:
    """Subclasses give the fixture `loop`: a started Loop, stopped afterwards."""

    @pytest.fixture
    def loop(self) -> Loop:
        """Return the loop under test."""
        raise NotImplementedError

    def inside(self, loop: Loop, work: Callable[[], object]) -> None:
        """Run `work` in the loop's thread and wait for it; its error is raised here."""
        errors: list[BaseException] = []
        meeting = Meeting()

        def run() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - carried to the thread of the test
                errors.append(error)
            meeting.come()

        loop.call_from_thread(run)
        meeting.wait()
        if errors:
            raise errors[0]

    def test_callbacks_come_in_order_and_in_one_thread(self, loop: Loop) -> None:
        """`call_soon` keeps order, also when a callback schedules another."""
        seen: list[int] = []
        threads: set[int] = set()
        meeting = Meeting()

        def note(number: int) -> Callable[[], None]:
            def callback() -> None:
                seen.append(number)
                threads.add(threading.get_ident())
                if number == 0:
                    loop.call_soon(note(3))
                if number == 3:
                    meeting.come()

            return callback

        def schedule() -> None:
            for number in range(3):
                loop.call_soon(note(number))
            assert seen == []

        self.inside(loop, schedule)
        meeting.wait()
        assert seen == [0, 1, 2, 3]
        assert len(threads) == 1
        assert threading.get_ident() not in threads

    def test_call_soon_gives_way_to_other_threads(self, loop: Loop) -> None:
        """A callback that schedules itself for ever doesn't shut out a thread."""
        going = [True]

        def again() -> None:
            if going[0]:
                loop.call_soon(again)

        self.inside(loop, again)
        self.inside(loop, lambda: going.__setitem__(0, False))

    def test_time_never_goes_back_and_timers_never_come_early(self, loop: Loop) -> None:
        """Timers come in the order of their times, none before its time."""
        times: list[float] = []
        came: list[tuple[float, float]] = []
        meeting = Meeting()

        def come(at: float) -> None:
            came.append((at, loop.now()))

        def schedule() -> None:
            start = loop.now()
            for delay_s in (0.02, 0.0, 0.0105, 0.005, -1.0, 0.0004):
                at = start + delay_s
                loop.call_at(at, partial(come, at))
            loop.call_at(start + 0.03, meeting.come)
            times.extend(loop.now() for _ in range(100))

        self.inside(loop, schedule)
        meeting.wait()
        assert times == sorted(times)
        assert len(came) == 6
        assert all(now >= at for at, now in came)
        late = [at for at, _ in came if at > times[0]]
        assert late == sorted(late)

    def test_a_cancelled_timer_is_not_called(self, loop: Loop) -> None:
        """`cancel` is idempotent and holds until the moment of calling."""
        called: list[str] = []
        meeting = Meeting()

        def schedule() -> None:
            at = loop.now() + 0.005
            handle = loop.call_at(at, lambda: called.append("cancelled"))
            handle.cancel()
            handle.cancel()
            loop.call_at(at, lambda: called.append("kept"))
            loop.call_at(at + 0.005, meeting.come)

        self.inside(loop, schedule)
        meeting.wait()
        assert called == ["kept"]

    def test_every_callback_of_many_threads_comes_in_their_order(self, loop: Loop) -> None:
        """Nothing is lost or doubled when threads race to wake the loop."""
        threads, each = 8, 2_000
        seen: list[tuple[int, int]] = []

        def post(thread: int) -> None:
            for number in range(each):
                loop.call_from_thread(partial(seen.append, (thread, number)))

        workers = [threading.Thread(target=post, args=(thread,)) for thread in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        self.inside(loop, lambda: None)
        assert len(seen) == threads * each
        for thread in range(threads):
            assert [number for who, number in seen if who == thread] == list(range(each))

    def test_work_of_a_lane_keeps_order_and_leaves_the_loop_free(self, loop: Loop) -> None:
        """Lanes run one work at a time each; the loop goes on meanwhile; `done` comes on the loop, in order."""
        open_gate = threading.Event()
        seen: list[str] = []
        meeting = Meeting()

        def schedule() -> None:
            loop.offload(lambda: self._held(open_gate, seen), lambda: seen.append("done 1"), lane="a")
            loop.offload(lambda: seen.append("work 2"), meeting.come, lane="a")
            loop.offload(lambda: seen.append("other lane"), open_gate.set, lane="b")

        self.inside(loop, schedule)
        meeting.wait()
        assert seen[:3] == ["other lane", "work 1", "work 2"] or seen == ["other lane", "work 1", "done 1", "work 2"]
        assert "done 1" in seen

    @staticmethod
    def _held(gate: threading.Event, seen: list[str]) -> None:
        assert gate.wait(WAIT_S)
        seen.append("work 1")

    def test_idle_is_false_while_something_waits(self, loop: Loop) -> None:
        """`idle` sees callbacks of this loop that are yet to be called."""
        seen: list[bool] = []
        meeting = Meeting()

        def first() -> None:
            seen.append(loop.idle())
            loop.call_soon(second)
            seen.append(loop.idle())

        def second() -> None:
            seen.append(loop.idle())
            meeting.come()

        self.inside(loop, lambda: loop.call_soon(first))
        meeting.wait()
        assert seen == [True, False, True]
