"""Engines and bodies killed at chosen moments: what was durable stands and is not entered again, the rest runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.conftest import assert_closed
from tests.engine import faulty as f
from tests.engine.leftovers import descendants, lives, nothing_left, wait_until, warm  # noqa: F401
from tests.sweeping import swept

import weftrun
from weftrun.assembly import open_reader
from weftrun.model.records import Chunked, Graphed, ItemsSettled, Record, Settled

ENGINE = """
import json, os, sys, threading, time, weftrun
from tests.engine import faulty as f
url, name, order, words = sys.argv[1:]

def obey():
    while not os.path.exists(order):
        time.sleep(0.002)
    os.kill(os.getpid(), 9)

threading.Thread(target=obey, daemon=True).start()
with weftrun.open(url, sandboxes=2) as engine:
    run = engine.start(getattr(f, name).options(id="victim"), *json.loads(words))
    print("started", flush=True)
    try:
        print(json.dumps(run.result()), flush=True)
    except weftrun.StepFailed as error:
        print(error, flush=True)
"""

Spawn = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def order(tmp_path: Path) -> Path:
    """The file at which the engine's process kills itself."""
    return tmp_path / "order"


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


@pytest.fixture
def spawn(url: str, order: Path) -> Iterator[Spawn]:
    """Start Run `victim` of a workflow of `faulty` in an engine of its own process."""
    started: list[subprocess.Popen[str]] = []

    def start(name: str, *args: object) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", ENGINE, url, name, str(order), json.dumps(args)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def kill(process: subprocess.Popen[str]) -> None:
    """Kill an engine, and wait until all that it had started has ended with it."""
    below = descendants(process.pid)
    assert below
    process.kill()
    process.wait()
    wait_until(lambda: not any(map(lives, below)), "nothing outlives a killed engine")


def entries(ledger: Path) -> Counter[str]:
    """Return how often each Step or item was entered."""
    return Counter(line.split()[0] for line in ledger.read_text().splitlines()) if ledger.exists() else Counter()


def records(url: str) -> list[Record]:
    """Return the durable records of the Run, none where it is not there yet."""
    if not Path(url.removeprefix("sqlite:///")).exists():
        return []
    try:
        reader = open_reader(url)
    except weftrun.JournalError:
        return []
    try:
        info = reader.find("victim")
        return [record for row in reader.load(info.uid) for record in row.records] if info is not None else []
    finally:
        reader.close()


def durable(url: str) -> set[str]:
    """Return the Steps and items whose outcome is recorded."""
    found: set[str] = set()
    for record in records(url):
        if isinstance(record, Settled):
            found |= {outcome.step for outcome in record.outcomes}
        elif isinstance(record, ItemsSettled):
            found |= {f"{record.step}.{i}" for lo, hi, _ in record.values for i in range(lo, hi)}
    return found


@pytest.mark.sweep
def test_kill_in_a_big_map_runs_only_items_again_that_had_no_record(
    spawn: Spawn, url: str, tmp_path: Path, ledger: Path
) -> None:
    n, go = 20_000, tmp_path / "go"
    process = spawn("big_map", n, str(ledger), str(go))
    wait_until(lambda: len(durable(url)) > n // 4, "a part of the items is durable")
    kill(process)
    recorded, before = durable(url), entries(ledger)
    assert n // 4 < len(recorded) < n
    assert recorded <= set(before)
    go.touch()
    with weftrun.open(url, sandboxes=2) as engine:
        assert engine.get("victim").result(60) == sum(i * i for i in range(n))
    again = entries(ledger) - before
    assert not recorded & set(again)
    assert set(entries(ledger)) == {f"square_or_wait[0].{i}" for i in range(n)}
    # What had run without a record is at most what the two Sandboxes had been given.
    assert sum(again.values()) == n - len(recorded)
    assert_closed(url)


def test_kill_while_an_iterator_is_read_begins_the_map_afresh(
    spawn: Spawn, url: str, tmp_path: Path, ledger: Path
) -> None:
    n, half, go = 30_000, tmp_path / "half", tmp_path / "go"
    process = spawn("slow_input", n, str(half), str(go), str(ledger))
    wait_until(half.exists, "half of the input was read")
    wait_until(lambda: any(isinstance(record, Chunked) for record in records(url)), "a chunk is durable")
    kill(process)
    found = records(url)
    assert not any(isinstance(record, Chunked) and record.chunk.last for record in found)
    assert not any(isinstance(record, Graphed | ItemsSettled) for record in found)
    assert not entries(ledger), "an item was entered before the map's last chunk was recorded (B1)"
    go.touch()
    with weftrun.open(url, sandboxes=2) as engine:
        assert engine.get("victim").result(60) == sum(i * i for i in range(n))
    assert entries(ledger) == Counter({f"square[0].{i}": 1 for i in range(n)})
    assert_closed(url)


def test_a_sandbox_that_dies_in_its_iterator_begins_the_map_afresh(
    engine: weftrun.Engine, tmp_path: Path, ledger: Path
) -> None:
    n = 20_000
    run = engine.start(f.dies_in_its_input, n, str(tmp_path / "once"), str(ledger))
    assert run.result(60) == sum(i * i for i in range(n))
    assert entries(ledger) == Counter({f"square[0].{i}": 1 for i in range(n)})


def test_a_failure_that_a_body_caught_is_the_same_after_a_crash(
    spawn: Spawn, url: str, tmp_path: Path, ledger: Path
) -> None:
    go = tmp_path / "go"
    process = spawn("catches_then_waits", str(ledger), str(go))
    wait_until(lambda: {"fails_once_entered[0]", "plus[0]"} <= durable(url), "the failure is durable")
    kill(process)
    go.touch()
    with weftrun.open(url, sandboxes=2) as engine:
        assert engine.get("victim").result(60) == ["as it always does", 2, 2]
    assert entries(ledger) == Counter({"fails_once_entered[0]": 1, "plus[0]": 1, "seen[0]": 1})
    assert_closed(url)


def test_a_failure_that_was_caught_before_its_record_was_durable_is_met_again(
    spawn: Spawn, url: str, tmp_path: Path, ledger: Path, order: Path
) -> None:
    """Whatever instant the crash falls into, the body sees one failure, and nothing durable is entered again."""
    process = spawn("catches_then_waits", str(ledger), str(tmp_path / "go"))
    wait_until(lambda: entries(ledger)["fails_once_entered[0]"], "the Function was entered")
    kill(process)
    recorded = durable(url)
    (tmp_path / "go").touch()
    with weftrun.open(url, sandboxes=2) as engine:
        assert engine.get("victim").result(60) == ["as it always does", 2, 2]
    entered = entries(ledger)
    assert entered["fails_once_entered[0]"] == (1 if "fails_once_entered[0]" in recorded else 2)
    assert entered["seen[0]"] == 1
    assert_closed(url)


def test_a_step_that_ends_its_engine_does_not_do_so_for_ever(spawn: Spawn, url: str, ledger: Path, order: Path) -> None:
    """After five take-overs without a new record the Run is parked as failed, and the engine lives."""
    for _ in range(10):
        order.unlink(missing_ok=True)
        process = spawn("ends_its_engine", str(ledger), str(order))
        out, _ = process.communicate(timeout=60)
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL
    else:
        pytest.fail("it went on ending its engine")
    assert "something in it ends its engine" in out
    assert len(ledger.read_text().splitlines()) <= 6
    with weftrun.open(url, sandboxes=1) as engine:
        assert engine.get("victim").status == "failed"
        assert engine.run(f.inc, 1) == 2
    assert_closed(url)


def flipped(content: bytes) -> bytes:
    return content[:1000] + bytes([content[1000] ^ 1]) + content[1001:]


@pytest.mark.parametrize(
    ("spoilt", "sentence"), [(None, ", which a record names, is missing"), swept(flipped, " is damaged")]
)
def test_an_open_run_whose_bytes_are_gone_stays_as_it_is(
    spawn: Spawn,
    url: str,
    tmp_path: Path,
    ledger: Path,
    spoilt: Callable[[bytes], bytes] | None,
    sentence: str,
) -> None:
    go = tmp_path / "go"
    process = spawn("keeps_large_then_waits", 300_000, str(ledger), str(go))
    wait_until(lambda: "big[0]" in durable(url), "the large value is durable")
    kill(process)
    (blob,) = (tmp_path / "journal.db.d/blobs").iterdir()
    content = blob.read_bytes()
    blob.unlink()
    if spoilt is not None:
        blob.write_bytes(spoilt(content))
    with weftrun.open(url, sandboxes=2) as engine:
        with pytest.raises(weftrun.JournalCorrupt, match=blob.name + sentence):
            engine.get("victim").result(60)
        assert engine.run(f.inc, 1) == 2
    blob.write_bytes(content)
    go.touch()
    with weftrun.open(url, sandboxes=2) as engine:
        assert engine.get("victim").result(60) == 300_000
    assert entries(ledger) == Counter({"big[0]": 1, "length[0]": 1})
    assert_closed(url)
