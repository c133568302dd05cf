"""A cancel, and a body whose time is up, undo what has been done: recorded Steps, in reverse."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import assert_closed
from tests.engine import undoing
from tests.engine.conftest import until

import weftrun
from weftrun.model.errors import RunCancelled


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('undoing') / 'journal.db'}"


@pytest.fixture(scope="module")
def engine(url: str) -> Iterator[weftrun.Engine]:
    with weftrun.open(url, sandboxes=3) as opened:
        yield opened
    assert_closed(url)


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path)


def ledger(folder: str) -> list[str]:
    return (Path(folder) / "ledger").read_text().splitlines()


def waiting(folder: str) -> None:
    until((Path(folder) / "napping").exists)


BOOKED = ["book hotel", "book flight"]
UNDONE = ["unbook flight FLIGHT", "unbook hotel HOTEL"]


def test_a_cancel_undoes_in_reverse(engine: weftrun.Engine, folder: str) -> None:
    run = engine.start(undoing.trip.options(id="trip"), folder)
    waiting(folder)
    run.cancel()
    with pytest.raises(RunCancelled):
        run.result(timeout_s=60)
    assert run.status == "cancelled"
    assert ledger(folder) == BOOKED + UNDONE
    statuses = {str(step.id): step.status for step in run.steps()}
    assert [statuses[step] for step in ("unbook[0]", "unbook[1]", "nap[0]")] == ["succeeded", "succeeded", "cancelled"]
    with pytest.raises(weftrun.UsageError, match=r"did unbook\[0\], unbook\[1\]"):
        engine.retry("trip")


def test_what_is_under_way_is_undone_when_it_has_succeeded(engine: weftrun.Engine, folder: str) -> None:
    run = engine.start(undoing.slow_trip.options(id="slow"), folder)
    until((Path(folder) / "under-way").exists)
    run.cancel()
    run.cancel()  # changes nothing
    (Path(folder) / "go").touch()
    with pytest.raises(RunCancelled):
        run.result(timeout_s=60)
    assert ledger(folder) == ["book hotel", "book car", "unbook car CAR", "unbook hotel HOTEL"]


def test_what_is_inside_is_undone_first(engine: weftrun.Engine, folder: str) -> None:
    run = engine.start(undoing.family.options(id="family"), folder)
    waiting(folder)
    run.cancel()
    with pytest.raises(RunCancelled):
        run.result(timeout_s=60)
    assert ledger(folder) == ["book house", *BOOKED, *UNDONE, "unbook house HOUSE"]


def test_nothing_to_undo_ends_at_once(engine: weftrun.Engine, folder: str) -> None:
    run = engine.start(undoing.plain.options(id="plain"), folder)
    run.cancel()
    with pytest.raises(RunCancelled):
        run.result(timeout_s=60)


def test_force_undoes_nothing_and_stops_what_does(engine: weftrun.Engine, folder: str) -> None:
    run = engine.start(undoing.trip.options(id="forced"), folder)
    waiting(folder)
    run.cancel(force=True)
    with pytest.raises(RunCancelled):
        run.result(timeout_s=60)
    assert ledger(folder) == BOOKED
    other = Path(folder) / "other"
    other.mkdir()
    (other / "hold-flight").touch()
    run = engine.start(undoing.trip.options(id="stopped"), str(other))
    waiting(str(other))
    run.cancel()
    until((other / "held").exists)
    run.cancel(force=True)
    with pytest.raises(RunCancelled):
        run.result(timeout_s=60)
    assert ledger(str(other)) == [*BOOKED, UNDONE[0]]


def test_a_body_whose_time_is_up_undoes_too(engine: weftrun.Engine, folder: str) -> None:
    run = engine.start(undoing.endless.options(id="endless"), folder)
    with pytest.raises(TimeoutError, match=r"longer than body_timeout_s=0\.5"):
        run.result(timeout_s=60)
    assert run.status == "failed"
    assert ledger(folder) == BOOKED + UNDONE


def test_an_engine_that_dies_while_it_undoes(folder: str) -> None:
    url = f"sqlite:///{folder}/journal.db"
    (Path(folder) / "hold-flight").touch()
    program = (
        "import os, pathlib, time, weftrun; from tests.engine import undoing\n"
        f"engine = weftrun.open({url!r}, sandboxes=3); folder = {folder!r}\n"
        "run = engine.start(undoing.trip.options(id='one'), folder)\n"
        "while not pathlib.Path(folder, 'napping').exists(): time.sleep(0.01)\n"
        "run.cancel()\n"
        "while not pathlib.Path(folder, 'held').exists(): time.sleep(0.01)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=False)
    assert killed.returncode == -9, killed.stderr
    with weftrun.open(url, sandboxes=3) as engine, pytest.raises(RunCancelled):
        engine.get("one").result(timeout_s=60)
    assert ledger(folder) == [*BOOKED, UNDONE[0], *UNDONE]
    assert_closed(url)
