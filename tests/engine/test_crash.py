"""An engine that is killed: the next one goes on, and what was durable is not entered again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.conftest import assert_closed
from tests.engine import programs as p
from tests.engine.leftovers import descendants, lives, wait_until
from tests.sweeping import shared

import weftrun
from weftrun.assembly import open_reader
from weftrun.model.records import ItemsSettled, Settled
from weftrun.views.story import story

STARTER = """
import sys
import weftrun
from tests.engine import programs as p
with weftrun.open(sys.argv[1], sandboxes=2) as engine:
    engine.start(p.mixed.options(id="crash"), 12, sys.argv[2])
    print("started", flush=True)
    print(engine.get("crash").result(60))
"""


def start(url: str, ledger: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", STARTER, url, str(ledger)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "started"
    return process


def settled(url: str) -> set[str]:
    """Return the Steps and items whose outcome is durable."""
    reader = open_reader(url)
    try:
        found = set()
        info = reader.find("crash")
        assert info is not None
        for row in reader.load(info.uid):
            for record in row.records:
                if isinstance(record, Settled):
                    found |= {outcome.step for outcome in record.outcomes}
                elif isinstance(record, ItemsSettled):
                    found |= {f"{record.step}.{i}" for lo, hi, _ in record.values for i in range(lo, hi)}
        return found
    finally:
        reader.close()


def entries(ledger: Path) -> Counter[str]:
    return Counter(line.split()[0] for line in ledger.read_text().splitlines()) if ledger.exists() else Counter()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[int]:
    folder = tmp_path_factory.mktemp("undisturbed")
    with weftrun.open(f"sqlite:///{folder / 'j.db'}", sandboxes=2) as engine:
        return engine.run(p.mixed, 12, str(folder / "ledger"))


@pytest.mark.filterwarnings("ignore:Run .* was begun before")  # by a program with other arguments than these tests have
@pytest.mark.parametrize("delay_s", shared([0.12, 0.0, 0.05, 0.2, 0.3]))
def test_kill_and_resume(url: str, tmp_path: Path, undisturbed: list[int], delay_s: float) -> None:
    ledger = tmp_path / "ledger"
    process = start(url, ledger)
    time.sleep(delay_s)
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
    durable = settled(url)
    before = entries(ledger)
    with weftrun.open(url, sandboxes=2) as engine:
        assert engine.get("crash").result(60) == undisturbed
    again = entries(ledger) - before
    assert not {step for step in again if step in durable}
    after = entries(ledger)
    with weftrun.open(url, sandboxes=2) as engine:
        assert engine.start(p.mixed.options(id="crash"), 12, str(ledger)).result(60) == undisturbed
    assert entries(ledger) == after
    assert_closed(url)


def test_a_take_over_is_told_before_what_the_new_engine_did(url: str, tmp_path: Path) -> None:
    process = start(url, tmp_path / "ledger")
    process.kill()
    process.communicate()
    with weftrun.open(url, sandboxes=2) as engine:
        engine.get("crash").result(60)
    reader = open_reader(url)
    try:
        info = reader.find("crash")
        assert info is not None
        rows, trace = reader.load(info.uid), reader.trace(info.uid)
    finally:
        reader.close()
    (over,) = [told.at for told in story(rows, trace) if told.text.startswith("Another engine took the Run over")]
    begins = next(n for n, row in enumerate(trace) if "epoch" in row.facts)
    assert over < min(row.at for row in trace[begins:] if row.kind == "batch")
    assert over <= min(row.at for row in rows if row.epoch > 1)


def test_a_killed_engine_leaves_no_process(url: str, tmp_path: Path) -> None:
    process = start(url, tmp_path / "ledger")
    wait_until(lambda: descendants(process.pid), "it has started something")
    started = descendants(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
    deadline = time.monotonic() + 5
    while any(map(lives, started)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not [pid for pid in started if lives(pid)]


@pytest.mark.sweep
def test_a_run_whose_code_is_gone_stays_as_it_is(url: str, tmp_path: Path) -> None:
    script = tmp_path / "passing.py"
    script.write_text(PASSING)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, str(script), url], stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "started"
    process.kill()
    process.wait()
    process.stdout.close()
    moved = script.rename(tmp_path / "elsewhere.py")
    stays = pytest.raises(weftrun.JournalError, match=r"stays as it is.*passing\.py")
    with weftrun.open(url, sandboxes=1) as engine, stays:
        engine.get("passing").result(30)
    moved.rename(script)
    with weftrun.open(url, sandboxes=1) as engine:
        assert engine.get("passing").result(30) == 3


PASSING = """
import sys, time
import weftrun

@weftrun.function
def slow(x):
    time.sleep(0.5)
    return x + 1

@weftrun.workflow
def twice(x):
    return slow(slow(x))

if __name__ == "__main__":
    with weftrun.open(sys.argv[1], sandboxes=1) as engine:
        run = engine.start(twice.options(id="passing"), 1)
        print("started", flush=True)
        run.result()
"""
