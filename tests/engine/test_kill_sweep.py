"""A workflow with everything in it: `kill -9` before and after every record of it, and SIGSTOP past the Lease.

Also what an engine has started is killed and frozen: its zygote, a Sandbox, all of it at once.
"""

from __future__ import annotations

import fcntl
import json
import random
import signal
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest
from tests.conftest import assert_closed
from tests.engine import everything as e
from tests.engine.conftest import until
from tests.engine.striking import (
    BLOWS,
    Blow,
    Stage,
    all_frozen,
    drawn,
    keeps_lock,
    sandbox_frozen,
    sandbox_killed,
    zygote_frozen,
    zygote_killed,
)
from tests.engine.test_many_engines import rows_of
from tests.sweeping import shared

PARTS = 12
"""Tests that share the points, so that they run side by side. The first is played always, the others in the sweep."""
SHARES = [pytest.param(part, marks=[pytest.mark.sweep] if part else []) for part in range(PARTS)]
POINTS_MAX = 200
RECORDS = 12
"""Fewer than there are on any way through the workflow: each has a point before it and one after it."""


Books = Callable[[str], list[int]]


def swept(url: str, folder: Path, at: int, books: Books) -> bool:
    """Kill an engine at a point and let another go on; say whether there was such a point."""
    killed = e.killed_at(url, folder, at)
    for _ in range(2):  # the second time everything is there already
        with e.opened(url, folder) as engine:
            answer = engine.run(e.everything.options(id=e.ID), str(folder / "ledger"))
            e.until_told(folder)
    judged(url, folder, answer, books)
    return killed


def thawed(url: str, folder: Path, at: int, books: Books) -> bool:
    """Freeze an engine at a point until another has finished its Run, and wake it; say whether there was such a point.

    Where it holds the write lock of a SQLite file nobody can go on, and it is woken at once.
    """
    process = e.started(url, folder, at, signal.SIGSTOP)
    try:
        state = Path(f"/proc/{process.pid}/stat")
        until(lambda: state.read_text().rpartition(")")[2].split()[0] in "TZ")
        if process.poll() is not None:
            return False
        if keeps_lock(url):
            process.send_signal(signal.SIGCONT)
        with e.opened(url, folder) as engine:
            answer = engine.run(e.everything.options(id=e.ID), str(folder / "ledger"))
            if not keeps_sink(folder):
                e.until_told(folder)
            process.send_signal(signal.SIGCONT)
            out, said = process.communicate(timeout=120)
        assert (process.returncode, json.loads(out)) == (0, answer), said
    finally:
        process.kill()
        process.communicate()
    judged(url, folder, answer, books)
    epochs = [row.epoch for row in rows_of(url, e.ID)]
    assert epochs == sorted(epochs)
    return True


def keeps_sink(folder: Path) -> bool:
    """Say whether somebody keeps the lock of the sink's file: who is frozen while it writes lets nobody else write."""
    with (folder / "out.jsonl.lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def judged(url: str, folder: Path, answer: dict[str, int], books: Books) -> None:
    """Look at everything that a Run has done outside: each effect once, or with one key and one amount."""
    booked = answer["first"] + answer["rest"]
    assert answer["booked"] == booked
    paid: dict[str, set[str]] = {}
    for line in (folder / "ledger").read_text().splitlines():
        key, cents = line.split()
        paid.setdefault(key, set()).add(cents)
    assert sorted(key.split("/", 1)[1] for key in paid) == ["pay[0]", "shaky[0]"]
    assert set().union(*paid.values()) == {str(booked)}, "a visible effect was repeated with another amount"
    told = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
    assert told == [{"booked": booked}, {"cents": booked}]
    assert books(url) == [booked]
    assert_closed(url)


def books_of(url: str) -> list[int]:
    """Return the rows of the transaction's table."""
    connection = apsw.Connection(url.removeprefix("sqlite:///"), flags=apsw.SQLITE_OPEN_READONLY)
    rows = [cents for (cents,) in connection.execute("SELECT cents FROM app_books")]
    connection.close()
    return rows


@pytest.mark.parametrize("part", SHARES)
def test_on_sqlite(tmp_path: Path, part: int) -> None:
    points = 0
    for at in range(1 + part, POINTS_MAX, PARTS):
        folder = tmp_path / str(at)
        folder.mkdir()
        points += swept(f"sqlite:///{folder / 'journal.db'}", folder, at, books_of)
        if points < (at - part) // PARTS + 1:
            break
    assert points >= len(range(1 + part, RECORDS + 2, PARTS)), "there are more points than records"


@pytest.mark.parametrize("part", SHARES)
def test_frozen_on_sqlite(tmp_path: Path, part: int) -> None:
    points = 0
    for at in frozen_points(part):
        folder = tmp_path / str(at)
        folder.mkdir()
        points += thawed(f"sqlite:///{folder / 'journal.db'}", folder, at, books_of)
    assert points >= 2


def frozen_points(part: int) -> range:
    """Return some points behind the start of the Run; there are more than sixty."""
    return range(6 + 2 * part, 54, 2 * PARTS)


def struck(url: str, folder: Path, at: int | str, blow: Blow, books: Books) -> None:
    """Strike at a point, and judge the Run when it has ended."""
    stage = Stage(url, folder, at, random.Random(str(at)))
    try:
        assert stage.stands, f"there is no point {at}"
        assert stage.below() <= stage.started(), "what is left behind would be found"
        blow(stage)
        answer = stage.ended()
    finally:
        stage.close()
    with e.opened(url, folder) as engine:
        assert engine.run(e.everything.options(id=e.ID), str(folder / "ledger")) == answer
        e.until_told(folder)
    judged(url, folder, answer, books)
    epochs = [row.epoch for row in rows_of(url, e.ID)]
    assert epochs == sorted(epochs)


BLOWS_DEALT = [pytest.param(n, marks=[pytest.mark.sweep] if n else []) for n in range(BLOWS)]


@pytest.mark.parametrize("n", BLOWS_DEALT)
@pytest.mark.parametrize(
    "blow", shared([sandbox_killed, zygote_killed, zygote_frozen, sandbox_frozen, all_frozen], every=2)
)
def test_struck_on_sqlite(tmp_path: Path, blow: Blow, n: int) -> None:
    struck(f"sqlite:///{tmp_path / 'journal.db'}", tmp_path, drawn(blow.__name__, n), blow, books_of)
