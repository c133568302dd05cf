"""The sweeps of `tests/engine/test_kill_sweep.py`, on PostgreSQL, whose server is killed and frozen, too."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.engine import workers_struck
from tests.engine.leftovers import descendants
from tests.engine.striking import FROZEN_S, Stage, drawn, send, thawed_by_another
from tests.engine.test_kill_sweep import (
    BLOWS_DEALT,
    PARTS,
    POINTS_MAX,
    RECORDS,
    SHARES,
    Books,
    frozen_points,
    struck,
    swept,
    thawed,
)
from tests.engine.test_worker_sweep import drawn as points_drawn
from tests.engine.test_worker_sweep import struck as worker_struck
from tests.postgres.server import Server
from tests.sweeping import shared


@pytest.fixture
def books(server: Server) -> Books:
    """Return what reads the rows of the transaction's table."""

    def read(_: str) -> list[int]:
        with server.connect() as connection:
            return [cents for (cents,) in connection.execute("SELECT cents FROM app_books").fetchall()]

    return read


def afresh(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin with an empty database and folder."""
    with server.connect() as connection:
        connection.execute("DROP SCHEMA IF EXISTS weftrun CASCADE")
        connection.execute("DROP TABLE IF EXISTS app_books")
        # Whoever is frozen while making a table keeps everybody from making it, until the server ends that transaction.
        connection.execute("CREATE TABLE app_books (cents INTEGER)")
    folder.mkdir()
    monkeypatch.setenv("WEFTRUN_FOLDER", str(folder / "beside"))


@pytest.mark.parametrize("part", SHARES)
def test_killed_on_postgresql(
    server: Server, url: str, books: Books, tmp_path: Path, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = 0
    for at in range(1 + part, POINTS_MAX, PARTS):
        afresh(server, tmp_path / str(at), monkeypatch)
        points += swept(url, tmp_path / str(at), at, books)
        if points < (at - part) // PARTS + 1:
            break
    assert points >= len(range(1 + part, RECORDS + 2, PARTS)), "there are more points than records"


@pytest.mark.sweep  # what SQLite's test of the same name plays is its share
@pytest.mark.parametrize("part", SHARES)
def test_frozen_on_postgresql(
    server: Server, url: str, books: Books, tmp_path: Path, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = 0
    for at in frozen_points(part):
        afresh(server, tmp_path / str(at), monkeypatch)
        points += thawed(url, tmp_path / str(at), at, books)
    assert points >= 2


@pytest.mark.sweep
@pytest.mark.parametrize("control", ["worker", "master"])
@pytest.mark.parametrize("blow", workers_struck.BLOWS)
def test_a_worker_is_struck_on_postgresql(
    server: Server, url: str, books: Books, tmp_path: Path, blow: str, control: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    afresh(server, tmp_path / "all", monkeypatch)
    worker_struck(url, tmp_path / "all", points_drawn(blow, control)[:6], blow, control, books)


def postmaster_killed(server: Server, stage: Stage) -> None:
    server.stop(signal.SIGKILL)
    server.start_again()
    stage.go_on()


def backend_killed(server: Server, stage: Stage) -> None:
    """The server ends all the others as well, and recovers."""
    send([backend(server, stage)], signal.SIGKILL)
    stage.go_on()


def server_frozen(server: Server, stage: Stage) -> None:
    assert server.process is not None
    processes = [server.process.pid, *descendants(server.process.pid)]
    send(processes, signal.SIGSTOP)
    stage.go_on()
    time.sleep(FROZEN_S)
    send(processes, signal.SIGCONT)


def backend_frozen(server: Server, stage: Stage) -> None:
    """One connection answers nothing, while another engine takes the Run over."""
    frozen = backend(server, stage)
    send([frozen], signal.SIGSTOP)
    stage.go_on()
    thawed_by_another(stage, [frozen])


def backend(server: Server, stage: Stage) -> int:
    """Draw one of the server's processes that speak with the engine."""
    with server.connect() as connection:
        found = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        ).fetchall()
    return stage.chance.choice(sorted(int(str(pid)) for (pid,) in found))


@pytest.mark.parametrize("n", BLOWS_DEALT)
@pytest.mark.parametrize("blow", shared([backend_killed, postmaster_killed, server_frozen, backend_frozen]))
def test_struck_on_postgresql(
    server: Server,
    url: str,
    books: Books,
    tmp_path: Path,
    blow: Callable[[Server, Stage], None],
    n: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    afresh(server, tmp_path / "all", monkeypatch)
    struck(url, tmp_path / "all", drawn(blow.__name__, n), lambda stage: blow(server, stage), books)
