"""`compensate=`: what a workflow has done is undone when it fails, here and in an engine that dies in between."""

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
from tests.sdk import sagas as s

from weftrun import function, workflow
from weftrun.assembly import open_engine
from weftrun.model.errors import PolicyError, UsageError


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    url = f"sqlite:///{tmp_path_factory.mktemp('sagas')}/journal.db"
    with open_engine(url, sandboxes=3) as opened:
        yield opened
    assert_closed(url)


@pytest.fixture(params=["here", "engine"])
def run(request, engine):
    def here(workflow: Any, *args: Any) -> Any:
        return asyncio.run(workflow(*args))

    return here if request.param == "here" else engine.run


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


def lines(ledger: Path) -> list[str]:
    return ledger.read_text().split() if ledger.exists() else []


def test_what_has_succeeded_is_undone_the_last_first(run, ledger):
    """With the same arguments, and the value where it is asked for; what failed itself is not undone."""
    with pytest.raises(ValueError, match="car is sold out"):
        run(s.trip, str(ledger), True)
    done = ["book-hotel", "book-flight", "pay-100"]
    assert lines(ledger) == [*done, "refund-100", "cancel-flight-no6", "cancel-hotel-no5"]


def test_nothing_is_undone_where_nothing_fails(run, ledger):
    assert run(s.trip, str(ledger), False) == ["no5", "no6"]
    assert lines(ledger) == ["book-hotel", "book-flight", "pay-100"]


def test_an_error_of_the_bodys_own(run, ledger):
    with pytest.raises(LookupError, match="no room"):
        run(s.its_own_error, str(ledger))
    assert lines(ledger) == ["book-hotel", "cancel-hotel-no5"]


def test_a_failure_that_the_body_handles_undoes_nothing(run, ledger):
    assert run(s.handled, str(ledger)) == "by train"
    assert lines(ledger) == ["book-hotel"]


def test_what_is_under_way_is_waited_for_and_undone(run, ledger):
    with pytest.raises(ValueError, match="sold out"):
        run(s.under_way, str(ledger))
    assert lines(ledger) == ["pay-7", "refund-7"]


def test_a_step_that_nobody_awaits_and_that_fails(run, ledger):
    """It fails the workflow when its body has returned; waits that nobody awaits are left."""
    with pytest.raises(ValueError, match="sold out"):
        run(s.never_awaited, str(ledger))
    assert lines(ledger) == ["book-hotel", "cancel-hotel-no5"]


def test_what_can_not_be_undone_is_told_and_the_rest_is(run, ledger):
    with pytest.raises(ValueError, match="sold out") as caught:
        run(s.in_vain, str(ledger))
    assert any("once[0] was to be undone by fails_to_undo, which failed with" in n for n in caught.value.__notes__)
    assert lines(ledger) == ["book-hotel", "once", "cancel-hotel-no5"]


def test_a_child_workflow_is_undone_as_a_whole(run, ledger):
    with pytest.raises(ValueError, match="sold out"):
        run(s.with_a_child, str(ledger))
    assert lines(ledger)[-1] == "refund-1", "the child that succeeded, after the one that failed has undone its own"
    assert lines(ledger).count("cancel-hotel-no5") == 1


def test_undoing_is_steps_of_the_run(engine, ledger):
    started = engine.start(s.trip.options(id="told"), str(ledger), True)
    with pytest.raises(ValueError, match="sold out"):
        started.result(60)
    assert [str(step.id) for step in started.steps()][-3:] == ["refund[0]", "cancel[0]", "cancel[1]"]


def test_where_nothing_could_be_undone_it_is_refused(engine, ledger):
    with pytest.raises(UsageError, match="`def` workflow wires only wires Steps"):
        engine.run(s.wires, str(ledger))
    with pytest.raises(UsageError, match="items of a map are not undone"):
        engine.run(s.maps, str(ledger))
    assert lines(ledger) == []


def one(x: int) -> int:
    return x


@pytest.mark.parametrize(
    ("compensate", "says"),
    [
        (print, "is not a Function"),
        (function(lambda y: y, name="other"), r"other\(y\) undoes it.*same parameters.*\(x\)"),
        (s.book, "has one of its own"),
    ],
)
def test_it_is_checked_at_decoration(compensate: Any, says: str) -> None:
    for decorator in (function, workflow):
        with pytest.raises(PolicyError, match=says):
            decorator(compensate=compensate, name="one")(one)
    with pytest.raises(PolicyError, match="put it on the decorator"):
        s.pay.options(compensate=s.refund)  # type: ignore[call-arg]


PROGRAM = """
import sys, weftrun
from tests.sdk import sagas as s
with weftrun.open(sys.argv[1], sandboxes=2) as engine:
    try:
        engine.run(s.slow_to_undo.options(id="r"), sys.argv[2])
    except ValueError as error:
        print(error)
"""


def test_a_crash_in_the_middle_of_undoing(tmp_path: Path, ledger: Path) -> None:
    """What is undone and on record is not undone again; the rest is."""
    url = f"sqlite:///{tmp_path}/journal.db"
    command = [sys.executable, "-c", PROGRAM, url, str(ledger)]
    killed = subprocess.Popen(command, start_new_session=True)
    until(lambda: sum(line.startswith("refund") for line in lines(ledger)) >= 2)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    before = [line for line in lines(ledger) if line.startswith("refund")]
    assert subprocess.check_output(command, text=True, timeout=100).strip() == "car is sold out"
    refunds = [line for line in lines(ledger) if line.startswith("refund")]
    assert list(dict.fromkeys(refunds)) == [f"refund-{cents}" for cents in reversed(range(6))]
    assert refunds.count(before[0]) == 1, "it was on record before the next one began"
    assert sum(refunds.count(line) - 1 for line in set(refunds)) <= 1, "only what was under way may happen again"
    assert [line for line in lines(ledger) if line.startswith("pay")] == [f"pay-{cents}" for cents in range(6)]
    assert_closed(url)
