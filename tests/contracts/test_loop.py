"""The real loop keeps the contract, and what it promises beyond it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from weftrun.adapters.system.entropy import SystemEntropy
from weftrun.adapters.system.loop import UvLoop
from weftrun.model.errors import EngineClosed
from weftrun.testing.contracts.loop import LoopContract, Meeting


class TestUvLoop(LoopContract):
    @pytest.fixture
    def loop(self) -> Iterator[UvLoop]:
        loop = UvLoop()
        loop.start()
        yield loop
        loop.stop()

    def test_descriptors(self, loop: UvLoop) -> None:
        read, write = os.pipe()
        got: list[bytes] = []
        meeting = Meeting()

        def readable() -> None:
            got.append(os.read(read, 10))
            loop.remove_reader(read)
            meeting.come()

        self.inside(loop, lambda: loop.add_reader(read, readable))
        os.write(write, b"x")
        meeting.wait()
        assert got == [b"x"]
        os.close(read)
        os.close(write)

    def test_a_loop_that_stays_awake_sees_what_comes_and_sleeps_when_that_is_taken_back(self, loop: UvLoop) -> None:
        read, write = os.pipe()
        meeting = Meeting()
        self.inside(loop, lambda: loop.add_reader(read, lambda: (loop.remove_reader(read), meeting.come())))
        began = self.used_s(loop)
        self.inside(loop, lambda: loop.stay_awake(60.0))
        while self.used_s(loop) - began < 0.05:
            time.sleep(0.01)  # it does not: its thread uses the processor
        os.write(write, b"x")
        meeting.wait()
        self.inside(loop, lambda: loop.stay_awake(0.0))
        began = self.used_s(loop)
        time.sleep(0.5)
        assert self.used_s(loop) - began < 0.1
        os.close(read)
        os.close(write)

    def used_s(self, loop: UvLoop) -> float:
        used: list[float] = []
        self.inside(loop, lambda: used.append(time.thread_time()))
        return used[0]


def test_an_error_of_a_callback_is_told_and_the_next_one_still_called() -> None:
    told: list[BaseException] = []
    loop = UvLoop(told.append)
    loop.start()
    meeting = Meeting()
    loop.call_from_thread(lambda: 1 / 0)
    loop.call_from_thread(meeting.come)
    meeting.wait()
    loop.stop()
    assert [type(error) for error in told] == [ZeroDivisionError]


def test_an_error_of_offloaded_work_is_told_and_its_lane_goes_on() -> None:
    told: list[BaseException] = []
    loop = UvLoop(told.append)
    loop.start()
    meeting = Meeting()
    loop.offload(lambda: 1 / 0, lambda: None, lane="a")
    loop.offload(lambda: None, meeting.come, lane="a")
    meeting.wait()
    loop.stop()
    assert [type(error) for error in told] == [ZeroDivisionError]


def test_stop_finishes_lanes_and_what_is_ready_and_ends_every_thread() -> None:
    before = threading.active_count()
    loop = UvLoop()
    loop.start()
    seen: list[str] = []
    for number in range(100):
        loop.offload(lambda: None, lambda number=number: seen.append(f"done {number}"), lane="a")
    loop.stop()
    loop.stop()
    assert seen == [f"done {number}" for number in range(100)]
    assert threading.active_count() == before
    with pytest.raises(EngineClosed):
        loop.call_from_thread(lambda: None)


def test_a_loop_that_never_started_can_be_stopped() -> None:
    UvLoop().stop()


def test_a_program_that_forgets_to_stop_ends() -> None:
    program = "from weftrun.adapters.system.loop import UvLoop; l = UvLoop(); l.start(); l.offload(int, int, lane='a')"
    done = subprocess.run([sys.executable, "-c", program], timeout=20, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_entropy_draws_uids_and_jitter() -> None:
    entropy = SystemEntropy()
    uids = {entropy.uid() for _ in range(1_000)}
    assert len(uids) == 1_000
    assert all(len(uid) == 32 and int(uid, 16) >= 0 for uid in uids)
    assert all(0 <= entropy.jitter("retry") <= 1 for _ in range(1_000))
