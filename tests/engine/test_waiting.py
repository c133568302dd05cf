"""Runs that only wait are suspended: they are nobody's, cost nothing, and come back when they are due (O1)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest
from msgspec.structs import replace
from tests.conftest import assert_closed
from tests.engine import waits as w
from tests.engine.conftest import until

import weftrun
from weftrun.adapters.sqlite.reading import SqliteReader
from weftrun.assembly import open_engine
from weftrun.machines import lease
from weftrun.model.errors import RunCancelled
from weftrun.model.limits import DEFAULT_LIMITS
from weftrun.ports.journal import RunInfo

LONG_S = 3600.0
SOON = replace(DEFAULT_LIMITS, wait_in_memory_s=0.05)
"""What waits is suspended at once; the delays of these tests are a little longer."""


@contextmanager
def opened(url: str, recover: str = "all") -> Iterator[weftrun.Engine]:
    with open_engine(url, recover=recover, sandboxes=2, limits=SOON) as engine:
        yield engine
    assert_closed(url)


def infos(url: str) -> dict[str, RunInfo]:
    reader = SqliteReader(Path(url.removeprefix("sqlite:///")))
    try:
        return {info.id: info for info in reader.runs()}
    finally:
        reader.close()


def is_suspended(url: str, *ids: str) -> bool:
    found = infos(url)
    return all(id in found and not found[id].owner and found[id].due_at > 1 for id in ids)


def owned(engine: weftrun.Engine) -> int:
    return len(engine._core._opening.runs.by_id)


def entered(ledger: Path) -> list[str]:
    return ledger.read_text().split() if ledger.exists() else []


def test_a_run_that_waits_is_suspended_and_comes_back(url: str, tmp_path: Path) -> None:
    """Whoever waits for its answer gets it; no take-over is counted, and the story tells it."""
    ledger = tmp_path / "ledger"
    with opened(url) as engine:
        run = engine.start(w.tries.options(id="a", retries=weftrun.Retry(3, delay_s=1.0, jitter=0)), str(ledger), 2)
        until(lambda: is_suspended(url, "a"))
        assert owned(engine) == 0
        assert run.status == "running"
        assert run.result(60) == "done at 2"
        assert entered(ledger) == ["1", "2"]
    info = infos(url)["a"]
    assert (info.epoch, info.takeovers, info.owner, info.due_at) == (2, 0, "", 0.0)


@pytest.mark.parametrize("workflow", [w.wires, w.watches], ids=["def", "async"])
def test_a_workflow_is_suspended_with_its_body(url: str, tmp_path: Path, workflow: object) -> None:
    """What it has done is on record and is not done again; an async body is replayed."""
    ledger = tmp_path / "ledger"
    with opened(url) as engine:
        run = engine.start(workflow.options(id="a"), str(ledger))
        until(lambda: is_suspended(url, "a"))
        assert run.result(60) == "before, done at 2, after"
    assert entered(ledger) == ["before", "1", "2", "after"]


def test_cancelled_while_it_waits_it_ends_at_once(url: str, tmp_path: Path) -> None:
    """By its handle, or by another process through the inbox."""
    with opened(url) as engine:
        for id in ("own", "other"):
            engine.start(w.later.options(id=id), str(tmp_path / id), LONG_S)
        until(lambda: is_suspended(url, "own", "other"))
        own, other = engine.get("own"), engine.get("other")
        own.cancel()
        with opened(url, recover="none") as beside:
            beside.get("other").cancel()
            for run in (own, other):
                with pytest.raises(RunCancelled):
                    run.result(60)
    assert entered(tmp_path / "own") == entered(tmp_path / "other") == ["1"]


def test_its_id_is_taken_while_it_waits(url: str, tmp_path: Path) -> None:
    """A second start joins it, and is no reason to load it."""
    with opened(url) as engine:
        first = engine.start(w.later.options(id="a"), str(tmp_path / "a"), LONG_S)
        until(lambda: is_suspended(url, "a"))
        again = engine.start(w.later.options(id="a"), str(tmp_path / "a"), LONG_S)
        assert again.joined
        assert owned(engine) == 0
        with pytest.raises(TimeoutError):
            again.result(0.2)
        first.cancel()
        with pytest.raises(RunCancelled):
            again.result(60)


def test_who_takes_over_nothing_lets_nothing_go(url: str, tmp_path: Path) -> None:
    """Nobody would take it again."""
    with opened(url, recover="none") as engine:
        run = engine.start(
            w.tries.options(id="a", retries=weftrun.Retry(3, delay_s=0.5, jitter=0)), str(tmp_path / "a"), 2
        )
        assert run.result(60) == "done at 2"
    assert infos(url)["a"].epoch == 1


MANY = 1_000

LEAVES = """
import sys
from tests.engine import waits as w
from tests.engine.test_waiting import LONG_S, MANY, is_suspended, opened, owned
from tests.engine.conftest import until
url, ledger = sys.argv[1:]
with opened(url) as engine:
    for _ in range(MANY):
        engine.start(w.later, ledger, LONG_S)
    until(lambda: owned(engine) == 0 and engine._core._committer.idle)
    print("waits", flush=True)
    sys.stdin.read()
"""


@pytest.mark.sweep
def test_many_that_wait_cost_no_writes_and_no_memory_of_the_next_engine(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their engine is killed, too: what waits is nobody's, so there is nothing to take over."""
    monkeypatch.setattr(lease, "_LOOK_ALONE_S", 0.1)  # looks are counted
    file = url.removeprefix("sqlite:///")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", LEAVES, url, str(tmp_path / "ledger")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waits\n"
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    with opened(url) as engine:
        seen = apsw.Connection(file, flags=apsw.SQLITE_OPEN_READONLY)
        looks = Looks(engine)
        # Who was killed is declared dead once, which is a write.
        until(lambda: not seen.execute("SELECT 1 FROM session WHERE pid = ?", (process.pid,)).fetchall())
        until(lambda: looks.count > 1 and engine._core._committer.idle)
        version = seen.pragma("data_version")
        count = looks.count
        until(lambda: looks.count > count + 1)
        assert seen.pragma("data_version") == version, "somebody wrote into the Journal"
        assert owned(engine) == 0
        assert looks.free == 0
        ((waiting,),) = seen.execute("SELECT count(*) FROM run WHERE due_at > 1 AND owner IS NULL").fetchall()
        assert waiting == MANY
        seen.close()


class Looks:
    """Counts an engine's looks at its Journal, and the free Runs that it was shown."""

    def __init__(self, engine: weftrun.Engine) -> None:
        self.count = 0
        self.free = 0
        inner = engine._core
        seen = inner.seen

        def count(shown: object) -> None:
            self.count += 1
            self.free += len(shown.free)
            seen(shown)

        inner.seen = count
