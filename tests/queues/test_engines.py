"""Queues in real engines: limits over all of them, whatever dies; delay, deduplication, back-pressure."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import assert_closed
from tests.engine.conftest import until
from tests.queues.work import begun, gated, lines, most_at_once, patient, size, work

import weftrun
from weftrun.assembly import open_engine
from weftrun.model.errors import PolicyError, QueueFull, RunCancelled, RunConflict, RunNotFound, UsageError
from weftrun.sdk.handles import Engine


@pytest.fixture(scope="module")
def module_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('queues') / 'journal.db'}"


@pytest.fixture(scope="module")
def shared_engine(module_url: str) -> Iterator[Engine]:
    """One engine for the tests that need no other; each has queues of its own."""
    with open_engine(module_url, sandboxes=3) as engine:
        yield engine


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "gate"


def test_two_engines_keep_the_limits_together(tmp_path: Path, ledger: Path) -> None:
    """Over all keys and for each one; every Run begins once, and keys take turns."""
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    queue = weftrun.queue("both", concurrency=3, per_key=2)
    with open_engine(url, sandboxes=3) as first, open_engine(url, sandboxes=3) as second:
        runs = [
            engine.start(work.options(queue=queue, key=key, id=f"{key}{n}"), str(ledger), f"{key}{n}", key)
            for n in range(6)
            for engine, key in ((first, "a"), (second, "b"), (first, "c"))
        ]
        assert [run.result(timeout_s=60) for run in runs] == [str(run.id) for run in runs]
        known = second.queue("both")
        until(lambda: (known.waiting, known.under_way) == (0, 0))
    assert sorted(begun(ledger)) == sorted(str(run.id) for run in runs)
    most, of_a_key = most_at_once(ledger)
    assert (most <= 3, of_a_key <= 2) == (True, True), (most, of_a_key)
    assert_closed(url)


KILLED = """
import sys, time, weftrun
with weftrun.open(sys.argv[1], sandboxes=2) as engine:
    time.sleep(60)
"""


def test_places_of_a_killed_engine_go_on_with_its_runs(tmp_path: Path, ledger: Path, gate: Path) -> None:
    """While it is dead and nobody has them they are counted; who takes the Runs over ends them, and the rest begins."""
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    queue = weftrun.queue("killed", concurrency=2)
    with open_engine(url, sandboxes=1, recover="none") as starter:
        for n in range(5):
            starter.start(gated.options(queue=queue, id=f"r{n}"), str(ledger), f"r{n}", str(gate))
        known = starter.queue("killed")
        assert (known.waiting, known.under_way) == (5, 0), "who does not take over Runs takes none out of queues"
        child = subprocess.Popen([sys.executable, "-c", KILLED, url], start_new_session=True)
        until(lambda: len(begun(ledger)) == 2)
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        assert (known.waiting, known.under_way) == (3, 2)
        with open_engine(url, sandboxes=2) as other:
            until(lambda: len(begun(ledger)) == 4)
            assert (known.waiting, known.under_way) == (3, 2)
            gate.touch()
            assert [other.get(f"r{n}").result(timeout_s=60) for n in range(5)] == [f"r{n}" for n in range(5)]
    assert [begun(ledger).count(f"r{n}") for n in range(5)] == [2, 2, 1, 1, 1]
    assert most_at_once(ledger)[0] == 2
    assert_closed(url)


def test_a_limit_lowered_under_what_runs(shared_engine: Engine, ledger: Path, gate: Path) -> None:
    """Nothing is ended, and none begins until there are fewer."""
    queue = weftrun.queue("lowered", concurrency=2)
    runs = [
        shared_engine.start(gated.options(queue=queue), str(ledger), f"r{n}", str(gate) + ("1" if n else ""))
        for n in range(3)
    ]
    until(lambda: len(begun(ledger)) == 2)
    known = shared_engine.queue("lowered")
    known.set(concurrency=1)
    Path(str(gate)).touch()
    assert runs[0].result(timeout_s=60) == "r0"
    until(lambda: known.under_way == 1)
    assert (known.waiting, begun(ledger)) == (1, ["r0", "r1"])
    shared_engine.start(work.options(queue="lowered"), str(ledger), "r3")
    Path(str(gate) + "1").touch()
    assert [run.result(timeout_s=60) for run in runs] == ["r0", "r1", "r2"]
    assert shared_engine.queue(queue).limits.concurrency == 1, "what an operator has set stands"


def test_priority_pause_and_purge(shared_engine: Engine, ledger: Path) -> None:
    """What is paused waits; what goes on does so by priority; what is purged is cancelled and never begun."""
    known = shared_engine.queue(weftrun.queue("paused", concurrency=1))
    known.pause()
    named = {
        name: shared_engine.start(work.options(queue="paused", priority=priority), str(ledger), name)
        for name, priority in (("last", 9), ("usual", 5), ("first", 0))
    }
    assert known.is_paused
    assert named["usual"].status == "pending"
    assert named["usual"].waiting_for == "queue paused"
    known.resume()
    for run in named.values():
        run.result(timeout_s=60)
    assert begun(ledger) == ["first", "usual", "last"]
    known.pause()
    run = shared_engine.start(work.options(queue="paused", delay_s=1_000), str(ledger), "never")
    other = shared_engine.start(work.options(queue="paused"), str(ledger), "never")
    assert known.purge() == 2
    for each in (run, other):
        with pytest.raises(RunCancelled):
            each.result(timeout_s=60)
    assert begun(ledger) == ["first", "usual", "last"]


def test_a_full_queue_tells_its_starter(shared_engine: Engine, ledger: Path) -> None:
    """With how many wait; once there is room it takes Runs again."""
    known = shared_engine.queue(weftrun.queue("short", length_max=2))
    known.pause()
    for n in range(2):
        shared_engine.start(work.options(queue="short"), str(ledger), f"r{n}")
    with pytest.raises(QueueFull, match="The queue short has 2 Runs that wait") as caught:
        shared_engine.start(work.options(queue="short", id="third"), str(ledger), "third")
    assert caught.value.length == 2
    with pytest.raises(RunNotFound):
        shared_engine.get("third")
    known.resume()
    until(lambda: known.waiting == 0)
    assert shared_engine.run(work.options(queue="short", id="third"), str(ledger), "third") == "third"


def test_one_run_at_a_time_for_a_word(shared_engine: Engine, ledger: Path, gate: Path) -> None:
    """While it waits and while it is under way, a start joins it; once it has ended, the next one is another Run."""
    once = {"queue": weftrun.queue("once"), "deduplicate": "sync"}
    first = shared_engine.start(gated.options(**once), str(ledger), "sync", str(gate))
    second = shared_engine.start(gated.options(**once, id="named"), str(ledger), "sync", str(gate))
    until(lambda: begun(ledger) == ["sync"])
    third = shared_engine.start(gated.options(**once), str(ledger), "other", str(gate))
    assert (first.id, first.joined) == (second.id, False) == (third.id, False)
    assert (second.joined, third.joined) == (True, True)
    with pytest.raises(RunConflict, match="under deduplicate='sync' the Run"):
        shared_engine.start(work.options(**once), str(ledger), "sync")
    gate.touch()
    assert [run.result(timeout_s=60) for run in (first, second, third)] == ["sync"] * 3
    again = shared_engine.start(gated.options(**once), str(ledger), "again", str(gate))
    assert again.id != first.id
    assert again.result(timeout_s=60) == "again"


def test_the_same_id_is_the_same_run(shared_engine: Engine, ledger: Path) -> None:
    """Whether it waits, or has ended; and its arguments are compared."""
    known = shared_engine.queue(weftrun.queue("same"))
    known.pause()
    chosen = work.options(queue="same", id="one")
    first = shared_engine.start(chosen, str(ledger), "one")
    assert not first.joined
    assert shared_engine.start(chosen, str(ledger), "one").joined
    with pytest.raises(RunConflict, match="with other arguments"):
        shared_engine.start(chosen, str(ledger), "two")
    known.resume()
    assert shared_engine.start(chosen, str(ledger), "one").result(timeout_s=60) == "one"
    assert begun(ledger) == ["one"]


def test_a_delayed_run_and_a_rate(shared_engine: Engine, ledger: Path) -> None:
    """Neither needs anybody to look: both have a time at which they go on."""
    run = shared_engine.start(work.options(queue=weftrun.queue("later"), delay_s=0.3), str(ledger), "later")
    assert shared_engine.queue("later").waiting == 1
    assert run.result(timeout_s=60) == "later"
    rate = weftrun.queue("rate", rate=(2, 0.2))
    runs = [shared_engine.start(work.options(queue=rate), str(ledger), f"r{n}") for n in range(5)]
    assert [run.result(timeout_s=60) for run in runs] == [f"r{n}" for n in range(5)]


def test_a_signal_and_a_cancel_reach_a_run_that_waits(shared_engine: Engine, ledger: Path) -> None:
    """The signal is taken once it has begun; a cancelled one never begins."""
    known = shared_engine.queue(weftrun.queue("told"))
    known.pause()
    told = shared_engine.start(patient.options(queue="told"), str(ledger), "told")
    gone = shared_engine.start(patient.options(queue="told"), str(ledger), "gone")
    told.signal("go", "on")
    gone.cancel()
    with pytest.raises(RunCancelled):
        gone.result(timeout_s=60)
    assert lines(ledger) == []
    known.resume()
    assert told.result(timeout_s=60) == "on"
    assert begun(ledger) == begun(ledger)[:1] * len(begun(ledger)), "only the one that was not cancelled"


def test_large_arguments_wait_as_blobs(shared_engine: Engine) -> None:
    """They are durable before the Run is in its queue, whoever takes it out."""
    data = b"x" * 300_000
    runs = [shared_engine.start(size.options(queue=weftrun.queue("large")), data) for _ in range(3)]
    assert [run.result(timeout_s=60) for run in runs] == [300_000] * 3


def test_starts_beside_a_loop(shared_engine: Engine, ledger: Path) -> None:
    async def beside() -> str:
        run = await shared_engine.astart(work.options(queue=weftrun.queue("loop")), str(ledger), "beside")
        return await run

    assert asyncio.run(beside()) == "beside"


def test_what_means_nothing_is_told(shared_engine: Engine, ledger: Path) -> None:
    for says, given in (
        ("is not the name of a queue", {"queue": "no spaces"}),
        ("say `queue=...` with it", {"priority": 1}),
        ("from 0 \\(first\\) to 9", {"queue": "a", "priority": 10}),
        ("a printable text", {"queue": "a", "key": "\n"}),
        ("a number of seconds", {"queue": "a", "delay_s": -1}),
        ("exclude each other", {"queue": "a", "durable": False}),
    ):
        with pytest.raises(PolicyError, match=says):
            work.options(**given)  # type: ignore[arg-type]
    for says, limits in (
        ("concurrency=0 is no limit", {"concurrency": 0}),
        ("is no rate", {"rate": 5}),
        ("is no rate", {"rate": (0, 1.0)}),
    ):
        with pytest.raises(UsageError, match=says):
            weftrun.queue("a", **limits)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="can't be the name of a queue"):
        weftrun.queue("no/slash")
    with pytest.raises(UsageError, match="There is no queue 'unknown' in this Journal"):
        shared_engine.start(work.options(queue="unknown"), str(ledger), "never")
    with pytest.raises(RunNotFound, match="No queue has the name 'unknown'"):
        shared_engine.queue("unknown")
    with pytest.raises(PolicyError, match="it is of one Run"):
        weftrun.function(queue="a")(len)  # type: ignore[call-overload]
