"""The end of another process is told at once, and of each once."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator

import pytest

from weftrun.adapters.system.loop import UvLoop
from weftrun.adapters.system.processes import ProcessWatch

WAIT_S = 30.0


@pytest.fixture
def loop() -> Iterator[UvLoop]:
    loop = UvLoop()
    loop.start()
    yield loop
    loop.stop()


def on(loop: UvLoop, work: Callable[[], None]) -> None:
    done = threading.Event()
    loop.call_from_thread(lambda: (work(), done.set())[0])
    assert done.wait(WAIT_S)


def test_a_process_that_is_killed_is_reported_and_one_that_is_released_is_not(loop: UvLoop) -> None:
    watch, ended, told = ProcessWatch(loop), threading.Event(), list[str]()

    def end(name: str) -> Callable[[], None]:
        def came() -> None:
            told.append(name)
            ended.set()

        return came

    with subprocess.Popen(["sleep", "60"]) as first, subprocess.Popen(["sleep", "60"]) as second:
        gone = 2**22 + 1  # no process has such a number
        on(loop, lambda: watch.watch([first.pid, gone, os.getpid()], end("first")))
        on(loop, lambda: watch.watch([second.pid], end("second")))
        first.kill()
        first.wait()
        assert not told
        second.kill()
        assert ended.wait(WAIT_S)
        on(loop, lambda: watch.watch([second.pid], end("again")))
    assert told == ["second"]
    on(loop, lambda: None)
    loop.stop()
    watch.close()
    watch.close()
