"""Bodies of Workflows in a Sandbox, told step by step."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.process.rig import ARRAYS, HERE, WAIT_S, Rig, full_name, inline, until

from weftrun.adapters.process.whereabouts import authors_line
from weftrun.model.ids import RunId, RunUid, SandboxId, StepId
from weftrun.model.messages import BodyCalled, BodyDeliver, BodyDrop, BodyEnded, BodyStart
from weftrun.model.outcomes import Failure, Reason
from weftrun.model.policy import FunctionSpec, Kind
from weftrun.model.values import Object, RefTo


def start(rig: Rig, sandbox: SandboxId, body: int, name: str, kind: Kind, *args: Any) -> None:
    """Enter a Workflow of `sandboxed`."""
    spec = FunctionSpec(full_name(name), name, kind)
    message = BodyStart(body, spec, (RunId("r"), RunUid("u")), StepId(name), 1, inline((args, {})), 5.0)
    rig.on_loop(lambda: rig.sandboxes.send(sandbox, message))


def deliver(
    rig: Rig, sandbox: SandboxId, body: int, call: int, value: Any = None, failure: Failure | None = None
) -> None:
    """Hand an outcome to a body."""
    told = BodyDeliver(body, call, None if failure else inline(value), failure, 6.0)
    rig.on_loop(lambda: rig.sandboxes.send(sandbox, told))


def test_a_wiring_body_tells_its_calls_and_its_answer(rig: Rig) -> None:
    sandbox = rig.ready()
    start(rig, sandbox, 1, "wires", Kind.WIRING, 1)
    called = rig.hear("spoke")[2]
    assert isinstance(called, BodyCalled)
    assert [spec.label for spec in called.functions] == ["inc"]
    assert [(call.n, call.args.refs) for call in called.calls] == [(0, ()), (1, (RefTo(0),))]
    assert called.awaits == ()
    ended = rig.hear("spoke")[2]
    assert isinstance(ended, BodyEnded)
    assert ended.failure is None and ended.answer is not None and ended.answer.refs == (RefTo(1),)
    assert ended.text == "wiring\n"


def test_bodies_wait_side_by_side(rig: Rig) -> None:
    sandbox = rig.ready()
    for body in (1, 2):
        start(rig, sandbox, body, "watches", Kind.WATCHING, 10 * body)
        called = rig.hear("spoke")[2]
        assert (called.body, len(called.calls), called.awaits) == (body, 1, (0,))
    for body in (2, 1):
        deliver(rig, sandbox, body, 0, 10 * body + 1)
        assert rig.hear("spoke")[2].awaits == (1,)
        deliver(rig, sandbox, body, 1, 7)
        ended = rig.hear("spoke")[2]
        assert (ended.body, rig.read(ended.answer.data), ended.ran.preview) == (body, 7, "7")


def test_a_failure_reaches_the_body(rig: Rig) -> None:
    sandbox = rig.ready()
    start(rig, sandbox, 1, "watches", Kind.WATCHING, 1)
    assert rig.hear("spoke")[2].awaits == (0,)
    deliver(rig, sandbox, 1, 0, failure=Failure(Reason.RAISED, "ValueError", "no such thing", origin=StepId("inc[0]")))
    ended = rig.hear("spoke")[2]
    assert ended.answer is None and "no such thing" in ended.failure.message


def test_a_dropped_body_wants_nothing(rig: Rig) -> None:
    sandbox = rig.ready()
    start(rig, sandbox, 1, "watches", Kind.WATCHING, 1)
    rig.hear("spoke")
    rig.on_loop(lambda: rig.sandboxes.send(sandbox, BodyDrop(1)))
    deliver(rig, sandbox, 1, 0, 2)
    assert rig.call(sandbox, "inc", 1) == 2


def test_large_arguments_of_calls_are_objects(rig: Rig) -> None:
    sandbox = rig.ready(ARRAYS)
    start(rig, sandbox, 1, "arrays:hands_on", Kind.WIRING, 200_000)
    called = rig.hear("spoke")[2]
    data = called.calls[0].args.data
    assert isinstance(data, Object) and rig.read(data)[0][0].nbytes == 200_000
    assert rig.hear("spoke")[2].failure is None


def test_a_map_is_told_in_chunks(rig: Rig) -> None:
    sandbox = rig.ready()
    start(rig, sandbox, 1, "maps", Kind.WIRING, 100_000)
    counts: list[int] = []
    calls = 0
    while True:
        message = rig.hear("spoke")[2]
        if isinstance(message, BodyEnded):
            break
        calls += len(message.calls)
        counts += [chunk.count for chunk in message.chunks]
        last = [chunk.last for chunk in message.chunks]
    assert (calls, sum(counts), last[-1]) == (1, 100_000, True)
    assert message.failure is None


def enter_and_wait(rig: Rig, sandbox: SandboxId, name: str, path: Path) -> None:
    """Enter body 1, which does not come to an end by itself, and return when it runs."""
    start(rig, sandbox, 1, name, Kind.WIRING, str(path))
    assert until(path.with_suffix(".in").exists, WAIT_S)
    progress = rig.on_loop(lambda: rig.sandboxes.progress(sandbox))
    assert (progress.batch, progress.index, progress.entered) == (1, 1, True)


def test_a_body_that_was_taken_back_before_its_turn_is_not_entered(rig: Rig, tmp_path: Path) -> None:
    """What was said while another one ran is looked at first; its end is told all the same, for it was given a turn."""
    sandbox = rig.ready()
    go = tmp_path / "go"
    enter_and_wait(rig, sandbox, "wires_after", go)
    start(rig, sandbox, 2, "wires", Kind.WIRING, 1)
    start(rig, sandbox, 3, "wires", Kind.WIRING, 1)
    rig.on_loop(lambda: rig.sandboxes.send(sandbox, BodyDrop(2)))
    go.touch()
    told = []
    while len(told) < 3:
        message = rig.hear("spoke")[2]
        told += [message] if isinstance(message, BodyEnded) else []
    assert [(ended.body, ended.answer is None, ended.failure) for ended in told] == [
        (1, False, None),
        (2, True, None),
        (3, False, None),
    ]


@pytest.mark.parametrize("name", ["holds_the_interpreter", "wires_after"])
def test_a_sandbox_says_where_it_is_before_it_is_ended(rig: Rig, tmp_path: Path, name: str) -> None:
    sandbox = rig.ready()
    enter_and_wait(rig, sandbox, name, tmp_path / "never")
    rig.on_loop(lambda: rig.sandboxes.kill(sandbox, says_where=True))
    _, _, why, progress = rig.hear("gone")
    assert why == "killed by us"
    assert progress.where.startswith(f"{HERE / 'sandboxed.py'}:")
    assert progress.where.endswith((f" in {name}", " in sign")), "it has just told that it is there"


def test_a_sandbox_that_does_not_say_where_it_is_is_ended_all_the_same(rig: Rig, tmp_path: Path) -> None:
    sandbox = rig.ready()
    enter_and_wait(rig, sandbox, "hears_no_signal", tmp_path / "never")
    rig.on_loop(lambda: rig.sandboxes.kill(sandbox, says_where=True))
    _, _, why, progress = rig.hear("gone")
    assert (why, progress.where) == ("killed by us", "")


def test_the_host_says_how_long_a_sandbox_waited_for_a_processor(rig: Rig) -> None:
    """Everything shares one processor with a busy loop until it has waited, where the host says it at all."""
    if not Path("/proc/self/schedstat").exists():
        pytest.skip("this host does not say how long a process waited")
    every, one = os.sched_getaffinity(0), {min(os.sched_getaffinity(0))}
    threads = [int(task.name) for task in Path("/proc/self/task").iterdir()]
    for thread in threads:
        os.sched_setaffinity(thread, one)  # what is started from now on inherits it
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        sandbox = rig.ready()
        assert until(lambda: rig.on_loop(lambda: rig.sandboxes.progress(sandbox)).starved_s > 0, WAIT_S)
    finally:
        busy.kill()
        busy.wait()
        for thread in threads:
            os.sched_setaffinity(thread, every)


def test_the_line_is_the_authors() -> None:
    stack = """Stack (most recent call first):
  File "/usr/lib/python3.11/site-packages/pandas/core.py", line 3 in read
  File "<frozen importlib._bootstrap>", line 1 in _find
  File "/home of/app (1).py", line 31 in <lambda>
  File "/home of/app (1).py", line 7 in flow
"""
    assert authors_line(stack) == "/home of/app (1).py:31 in <lambda>"
    assert authors_line(stack.replace("/home of/app (1).py", "<frozen x>")).endswith("pandas/core.py:3 in read")
    assert authors_line("") == ""
