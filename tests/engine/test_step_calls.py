"""How many calls of Python functions a Step costs the loop. A count says the same on every machine; a time does not."""

from __future__ import annotations

import statistics
import sys
import threading
from pathlib import Path
from types import FrameType

import pytest
from bench import programs

import weftrun
from weftrun.adapters.process.sandboxes import ProcessSandboxes
from weftrun.machines.worker import WorkerMachine
from weftrun.model.messages import Batch
from weftrun.runtime.worker_driver import WorkerDriver

STEPS = 60
SPOKE, SEND = WorkerDriver.sandbox_spoke.__code__, ProcessSandboxes.send.__code__
CAME = WorkerMachine.prepared_came.__code__
DECIDES = tuple(str(Path(weftrun.__file__).parent / package) for package in ("machines", "model", "runtime"))


class Counter:
    """Counts calls in the loop's thread from when a Sandbox spoke until something is sent; adapters are left out.

    What is sent beside the commit that it waits for is asked for after that.
    """

    def __init__(self) -> None:
        self.counts: list[int] = []
        self._count: int | None = None

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        if event != "call":
            return
        code = frame.f_code
        if code is SPOKE and self._count is None:
            self._count = 0
        elif self._count is not None and (code is CAME or (code is SEND and not is_prepared(frame))):
            self.counts.append(self._count)
            self._count = None
        if self._count is not None and code.co_filename.startswith(DECIDES):
            self._count += 1


def is_prepared(frame: FrameType) -> bool:
    message = frame.f_locals["message"]
    return isinstance(message, Batch) and message.is_prepared


def set_profile(engine: weftrun.Engine, counter: Counter | None) -> None:
    done = threading.Event()

    def do() -> None:
        sys.setprofile(counter)
        done.set()

    engine._core._loop.call_from_thread(do)
    done.wait()


@pytest.mark.parametrize(
    ("program", "most", "messages"),
    [
        pytest.param(programs.auto_chain, 57, 1, id="no commit between"),
        pytest.param(programs.default_chain, 100, 1, id="a commit between"),
        pytest.param(programs.awaiting, 109, 2, id="by an async body"),
    ],
)
def test_a_step_costs_few_calls(engine: weftrun.Engine, program: object, most: int, messages: int) -> None:
    """Of a chain: from the outcome of one Step until the next one is sent, with all messages between them."""
    engine.run(program, 2)  # what is done once, is done
    counter = Counter()
    set_profile(engine, counter)
    try:
        engine.run(program, STEPS)
    finally:
        set_profile(engine, None)
    chain = counter.counts[messages:]
    assert len(chain) >= messages * (STEPS - 1)
    by_step = [sum(chain[at : at + messages]) for at in range(0, len(chain) - messages, messages)]
    assert statistics.median_low(by_step) <= most
