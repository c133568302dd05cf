"""How long it takes until an engine goes on with what another one left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
from bench import programs
from bench.copies import copies_of
from bench.figure import ROOT, Figure, Setting, limit

import weftrun
from weftrun.adapters.sqlite.journal import SqliteJournal
from weftrun.adapters.system.clock import pause
from weftrun.adapters.system.entropy import SystemEntropy

_DEADLINE_S = 120.0
_SEEN_S = 2.5
"""By then each has seen the other."""


def takeover(setting: Setting) -> list[Figure]:
    """Kill an engine, freeze one, and open one on a Journal that holds many Runs."""
    sizes = setting.sizes
    until = "until the Step that it ran is entered again by an engine that was open beside it, idle."
    killed = limit("take-over after kill -9, the same host", "s", 1.0, f"from the signal {until}")
    soon = limit(
        "the same, killed when nobody had seen it", "s", 1.0,
        f"from the signal, sent when its Run has begun, {until} That one looks again for others half a second after it "
        "was opened, and from then on the kernel tells it that one has come.",
    )  # fmt: skip
    frozen = limit(
        "take-over of a frozen engine", "s", sizes.ttl_s + 1,
        f"from SIGSTOP outside of a transaction, of an engine with a ttl of {sizes.ttl_s:g} s, {until} It is what "
        "another host sees: the lock of the frozen one's session stays held.",
    )  # fmt: skip
    many = limit(
        "first resumed Step", "s", 2.0,
        f"weftrun.open of a Journal with {sizes.ended_runs:,} Runs that ended and {sizes.left_runs:,} that an engine "
        "left when it was killed, from the call until the first of their Steps is entered.",
    )  # fmt: skip
    for _ in range(setting.rounds):
        killed.add(_from_signal(setting, signal.SIGKILL, _SEEN_S), 1.0)
        soon.add(_from_signal(setting, signal.SIGKILL, 0.0), 1.0)
        frozen.add(_from_signal(setting, signal.SIGSTOP, _SEEN_S), sizes.ttl_s + 1)
        many.add(_first_of_many(setting), 2.0)
    return [killed, soon, frozen, many]


@contextmanager
def _working(folder: Path, runs: int, ttl_s: float) -> Iterator[subprocess.Popen[str]]:
    """Give the process of an engine that is in the middle of so many Runs; it is killed afterwards."""
    command = [sys.executable, "-m", "bench.left_side", str(folder), str(runs), str(ttl_s)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise RuntimeError("the engine that was to be left did not begin")
            yield process
        finally:
            process.kill()


def _entered(folder: Path) -> int:
    file = folder / "entered"
    return file.stat().st_size if file.exists() else 0


def _time_of_next_entry(folder: Path, before: int) -> float:
    """Wait until one more Step is entered; return when that was, by the clock that Steps read."""
    deadline = time.monotonic() + _DEADLINE_S
    while _entered(folder) == before:
        if time.monotonic() > deadline:
            raise RuntimeError("nobody took the Run over")
        time.sleep(0.005)
    return float((folder / "entered").read_bytes()[before:].split()[0])


def _from_signal(setting: Setting, how: signal.Signals, beside_s: float) -> float:
    """Return how long after a signal to an engine its Step is entered again, in seconds.

    Args:
        beside_s: how long it has run beside the other one before that.
    """
    with tempfile.TemporaryDirectory(dir=setting.folder) as name:
        folder = Path(name)
        # The Step is entered once in each engine: a Sandbox that was killed with its engine says nothing more.
        with weftrun.open(f"sqlite:///{folder}/journal.db", sandboxes=1) as beside:
            beside.run(programs.plain, 1)
            with _working(folder, 1, setting.sizes.ttl_s) as process:
                _wait(lambda: _entered(folder) > 0)
                before = _entered(folder)
                time.sleep(beside_s)
                sent = _send(process, how, folder / "journal.db")
                # Whoever enters from now on does not stay. Earlier the Step would end in the engine the signal is for.
                (folder / "go").touch()
                return _time_of_next_entry(folder, before) - sent


def _send(process: subprocess.Popen[str], how: signal.Signals, journal: Path) -> float:
    """Send a signal to an engine; return when.

    One that is frozen in a transaction would keep the write lock of the Journal, and with it everybody out.
    """
    while True:
        sent = time.monotonic()
        process.send_signal(how)
        if how != signal.SIGSTOP:
            return sent
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)  # until every thread of it stands
        if _can_write(journal):
            return sent
        process.send_signal(signal.SIGCONT)
        time.sleep(0.02)


def _can_write(journal: Path) -> bool:
    connection = apsw.Connection(str(journal))
    connection.set_busy_timeout(500)
    try:
        connection.execute("BEGIN IMMEDIATE; ROLLBACK")
    except apsw.BusyError:
        return False
    finally:
        connection.close()
    return True


def _wait(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while not happened():
        if time.monotonic() > deadline:
            raise RuntimeError("the Step was not entered")
        time.sleep(0.005)


def _first_of_many(setting: Setting) -> float:
    """Return how long after the call of `open` the first Step of many Runs is entered, in seconds."""
    with tempfile.TemporaryDirectory(dir=setting.folder) as name:
        folder = Path(name)
        _fill(folder, setting.sizes.ended_runs)
        with _working(folder, setting.sizes.left_runs, setting.sizes.ttl_s):
            _wait(lambda: _entered(folder) > 0)
        before = _entered(folder)
        (folder / "go").touch()
        begun = time.monotonic()
        with weftrun.open(f"sqlite:///{folder}/journal.db", sandboxes=setting.sandboxes):
            return _time_of_next_entry(folder, before) - begun


def _fill(folder: Path, runs: int) -> None:
    """Make a Journal with so many Runs that have ended: copies of a real one, under other names."""
    file = folder / "journal.db"
    with weftrun.open(f"sqlite:///{file}", sandboxes=1) as opened:
        run = opened.start(programs.plain, 1)
        run.result()
        rows = opened._core.rows(run._ticket)  # type: ignore[attr-defined]
    journal = SqliteJournal(file, SystemEntropy(), pause)
    try:
        for copied in copies_of(rows, runs):
            journal.append(copied)
    finally:
        journal.close()
