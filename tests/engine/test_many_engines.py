"""Several engines on one Journal: they share it, wait for each other, and take over what a dead one owned."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.conftest import assert_closed
from tests.engine import programs as p
from tests.engine.conftest import until
from tests.engine.striking import freeze

import weftrun
from weftrun.assembly import open_reader
from weftrun.model.records import Row

WAIT_S = 60.0

ENGINE = """
import sys
import weftrun
from tests.engine import programs as p
url, ttl_s, id, *args = sys.argv[1:]
with weftrun.open(url, sandboxes=2, lease_ttl_s=float(ttl_s), recover="all") as engine:
    if id:
        engine.start(p.counts.options(id=id), int(args[0]), float(args[1]), args[2])
    print("open", flush=True)
    print(engine.get(id).result(60) if id else sys.stdin.read(), flush=True)
"""


class Process:
    """An engine in a process of its own. With an id it starts that Run and prints its result."""

    def __init__(self, url: str, ttl_s: float = 10.0, *run: object) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", ENGINE, url, str(ttl_s), *(map(str, run or ("",)))]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self.line() == "open"

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self) -> None:
        """Let an engine without a Run close in good order."""
        self.process.communicate(timeout=WAIT_S)

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


Start = Callable[..., Process]


@pytest.fixture
def process(url: str) -> Iterator[Start]:
    made: list[Process] = []

    def start(*args: object) -> Process:
        made.append(Process(url, *args))
        return made[-1]

    yield start
    for one in made:
        one.close()
    assert_closed(url)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


def entries(ledger: Path) -> list[str]:
    """Return the Steps that were entered, in order."""
    return [line.split()[0] for line in ledger.read_text().splitlines()] if ledger.exists() else []


def is_free(ledger: Path) -> bool:
    """Say whether no body runs that shares a lock of the ledger."""
    with ledger.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def rows_of(url: str, id: str) -> list[Row]:
    reader = open_reader(url)
    try:
        info = reader.find(id)
        assert info is not None
        return reader.load(info.uid)
    finally:
        reader.close()


def test_two_engines_run_beside_each_other(engine: weftrun.Engine, url: str) -> None:
    with weftrun.open(url, sandboxes=1) as other:
        runs = [one.start(p.inc, n) for n in range(10) for one in (engine, other)]
        assert [run.result(WAIT_S) for run in runs] == [n + 1 for n in range(10) for _ in range(2)]
        assert {run.id for run in runs} == {view.id for view in other.list()}


def test_whoever_asks_waits_for_the_run_of_another_engine(engine: weftrun.Engine, url: str, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    run = engine.start(p.waits.options(id="one"), str(gate))
    with weftrun.open(url, sandboxes=1) as other:
        found = other.get("one")
        joined = other.start(p.waits.options(id="one"), str(gate))
        assert (found.status, joined.joined) == ("running", True)
        with pytest.raises(weftrun.RunConflict):
            other.start(p.waits.options(id="one"), "elsewhere")
        gate.touch()
        assert [run.result(WAIT_S), found.result(WAIT_S), joined.result(WAIT_S)] == ["open"] * 3
    assert [row.epoch for row in rows_of(url, "one")] == [1, 1]


def test_a_cancel_reaches_the_engine_that_owns_the_run(engine: weftrun.Engine, url: str, tmp_path: Path) -> None:
    run = engine.start(p.waits.options(id="one"), str(tmp_path / "never"))
    with weftrun.open(url, sandboxes=1) as other:
        found = other.get("one")
        found.cancel()
        for handle in (found, run):
            with pytest.raises(weftrun.RunCancelled):
                handle.result(WAIT_S)


def test_what_a_killed_engine_owned_goes_on_in_another(
    engine: weftrun.Engine, url: str, process: Start, ledger: Path
) -> None:
    first = process(10.0, "one", 20, 0.05, ledger)
    until(lambda: len(entries(ledger)) >= 5)
    run = engine.get("one")
    first.signal(signal.SIGKILL)
    assert run.result(WAIT_S) == sum(range(20))
    assert [n for n in Counter(entries(ledger)).values() if n > 1] in ([], [2])
    epochs = [row.epoch for row in rows_of(url, "one")]
    assert epochs == sorted(epochs) and set(epochs) == {1, 2}


def test_a_frozen_engine_loses_its_runs_and_nothing_of_its_own_lands_when_it_wakes(
    url: str, process: Start, ledger: Path
) -> None:
    frozen = process(2.0, "one", 30, 0.05, ledger)
    until(lambda: len(entries(ledger)) >= 5)
    with weftrun.open(url, sandboxes=1) as other:
        run = other.get("one")
        freeze(frozen.process, url)
        until(lambda: rows_of(url, "one")[-1].epoch == 2)
        frozen.signal(signal.SIGCONT)
        assert run.result(WAIT_S) == sum(range(30))
        assert frozen.line() == str(sum(range(30)))
    epochs = [row.epoch for row in rows_of(url, "one")]
    assert epochs == sorted(epochs) and set(epochs) == {1, 2}
    assert max(Counter(entries(ledger)).values()) <= 2


def test_a_frozen_engines_bodies_are_ended(url: str, process: Start, ledger: Path) -> None:
    """Its zygote does it: nobody else can, and another engine may run them by then."""
    frozen = process(2.0, "one", 1, 600.0, ledger)
    until(lambda: len(entries(ledger)) >= 1)
    frozen.signal(signal.SIGSTOP)
    until(lambda: is_free(ledger))
    frozen.signal(signal.SIGKILL)
    with weftrun.open(url, sandboxes=1) as engine:
        engine.get("one").cancel()


def test_a_closed_engine_hands_over(engine: weftrun.Engine, url: str, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with weftrun.open(url, sandboxes=1, recover="none") as first:
        first.start(p.waits.options(id="one"), str(gate))
        first.close(drain_s=0)
    gate.touch()
    assert engine.get("one").result(WAIT_S) == "open"
    assert len({row.epoch for row in rows_of(url, "one")}) == 2


@pytest.mark.sweep
def test_a_rolling_restart_under_load(url: str, process: Start, ledger: Path) -> None:
    engines = [process() for _ in range(3)]
    with weftrun.open(url, sandboxes=1) as engine:
        runs = [engine.start(p.counts.options(id=f"run-{n}"), 6, 0.02, str(ledger)) for n in range(12)]
        engine.close(drain_s=0)
    for number, old in enumerate(engines):
        time.sleep(0.5)
        old.end() if number % 2 else old.signal(signal.SIGKILL)
        process()
    with weftrun.open(url, sandboxes=1, recover="none") as engine:
        assert [engine.get(run.id).result(WAIT_S) for run in runs] == [sum(range(6))] * 12
    for run in runs:
        epochs = [row.epoch for row in rows_of(url, run.id)]
        assert epochs == sorted(epochs)


@pytest.mark.parametrize("ttl_s", [0.0, -1.0, 0.1, float("nan"), float("inf")])
def test_a_lease_that_can_not_be_held(url: str, ttl_s: float) -> None:
    with pytest.raises(weftrun.UsageError, match="lease_ttl_s"):
        weftrun.open(url, lease_ttl_s=ttl_s)
