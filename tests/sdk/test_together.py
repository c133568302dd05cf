"""`gather`, `race`, `as_settled`: several waits of one body, here and in an engine that dies in between."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import assert_closed
from tests.engine.conftest import until
from tests.sdk import together as t

import weftrun
from weftrun.assembly import open_engine
from weftrun.model.errors import UsageError
from weftrun.testing.signals import signals


def here(workflow: Any, *args: Any) -> Any:
    return asyncio.run(workflow(*args))


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    url = f"sqlite:///{tmp_path_factory.mktemp('together')}/journal.db"
    with open_engine(url, sandboxes=2) as opened:
        yield opened
    assert_closed(url)


@pytest.mark.parametrize("where", ["here", "engine"])
def test_what_they_give(where, engine):
    run = here if where == "here" else engine.run
    assert run(t.both, 3) == (9, 16)
    assert run(t.branches, [1, 2, 3]) == [2, 8, 18]
    assert run(t.nested) == [(1, 4), (9, 16), 25]
    assert run(t.nothing) == []
    assert sorted(run(t.all_of, [3, 1, 2])) == [(0, 9), (1, 1), (2, 4)]
    assert run(t.errors_kept) == [1, "ValueError: no 2", 9]
    assert run(t.refs_of_a_map) == [1, 4, 9]


@pytest.mark.parametrize("where", ["here", "engine"])
def test_the_first_that_fails_in_their_order_is_raised_when_all_have_ended(where, engine):
    run = here if where == "here" else engine.run
    assert run(t.fails_twice) == "no 1"


@pytest.mark.parametrize("where", ["here", "engine"])
def test_a_race(where, engine):
    """A Step against a time; the one that lost is closed."""
    run = here if where == "here" else engine.run
    assert run(t.in_time, 3600.0) == (0, 49)
    assert run(t.closes_the_loser) == [(1, 4), "closed"]
    assert run(t.fails_first) == "no 5"


def test_a_race_of_signals(engine):
    with signals(no=[1]):
        assert here(t.whichever) == (1, 1)
    run = engine.start(t.whichever)
    run.signal("no", 7)
    assert run.result(30) == (1, 7)


def test_outside_of_a_body_they_say_what_to_do():
    for call in (weftrun.gather, weftrun.race, lambda: weftrun.as_settled([])):
        with pytest.raises(UsageError, match=r"outside of a workflow|was given nothing"):
            call()


def test_what_can_not_be_awaited_is_told(engine):
    for run in (here, engine.run):
        with pytest.raises(UsageError, match="was given 5, which can't be awaited"):
            run(t.waits_for_a_number)
        with pytest.raises(UsageError, match="it may await only Refs"):
            run(t.waits_for_something_else)


PROGRAM = """
import sys, weftrun
from tests.sdk import together as t
with weftrun.open(sys.argv[1], sandboxes=4) as engine:
    print(engine.run(t.in_their_order.options(id="r"), sys.argv[2]))
"""


def test_a_replay_sees_them_in_the_same_order(tmp_path: Path) -> None:
    """The engine is killed when some have settled; what was seen is on record, and what follows rests on it."""
    url, ledger = f"sqlite:///{tmp_path}/journal.db", tmp_path / "ledger"
    command = [sys.executable, "-c", PROGRAM, url, str(ledger)]
    killed = subprocess.Popen(command, start_new_session=True)
    until(lambda: ledger.exists() and len(ledger.read_text().split()) >= 3)
    before = ledger.read_text().split()
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    out = subprocess.check_output(command, text=True, timeout=100)
    seen = ledger.read_text().split()
    assert seen[: len(before) - 1] == before[:-1], "what had been seen stands"
    order = [line.split("-") for line in dict.fromkeys(seen)]
    assert [int(at) for at, _ in order] == list(range(5)), "each place in the order was seen once"
    assert out.strip() == str([int(place) for _, place in order])
    assert_closed(url)


@pytest.mark.parametrize("where", ["here", "engine"])
def test_a_wait_is_neither_true_nor_false(where: str, engine: Any) -> None:
    """Who forgets to await an approval has no approval."""
    with pytest.raises(weftrun.RefUsedAsValue, match="neither true nor false: `await` it"):
        here(t.forgets_to_await) if where == "here" else engine.run(t.forgets_to_await)
