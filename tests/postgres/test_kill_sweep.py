"""The sweeps of `tests/engine/test_kill_sweep.py`, on PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.engine.test_kill_sweep import PARTS, POINTS_MAX, RECORDS, Books, frozen_points, swept, thawed
from tests.postgres.server import Server


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


@pytest.mark.parametrize("part", range(PARTS))
def test_killed_on_postgresql(
    server: Server, url: str, books: Books, tmp_path: Path, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = 0
    for at in range(1 + part, POINTS_MAX, PARTS):
        afresh(server, tmp_path / str(at), monkeypatch)
        points += swept(url, tmp_path / str(at), at, books)
        if points < (at - part) // PARTS + 1:
            break
    assert points * PARTS > RECORDS


@pytest.mark.parametrize("part", range(PARTS))
def test_frozen_on_postgresql(
    server: Server, url: str, books: Books, tmp_path: Path, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = 0
    for at in frozen_points(part):
        afresh(server, tmp_path / str(at), monkeypatch)
        points += thawed(url, tmp_path / str(at), at, books)
    assert points >= 3
