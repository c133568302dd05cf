"""The kill sweep of `tests/engine/test_kill_sweep.py`, on PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.engine.test_kill_sweep import PARTS, POINTS_MAX, RECORDS, swept
from tests.postgres.server import Server


@pytest.mark.parametrize("part", range(PARTS))
def test_on_postgresql(server: Server, url: str, tmp_path: Path, part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def books(_: str) -> list[int]:
        with server.connect() as connection:
            return [cents for (cents,) in connection.execute("SELECT cents FROM app_books").fetchall()]

    points = 0
    for at in range(1 + part, POINTS_MAX, PARTS):
        with server.connect() as connection:
            connection.execute("DROP SCHEMA IF EXISTS weftrun CASCADE")
            connection.execute("DROP TABLE IF EXISTS app_books")
        folder = tmp_path / str(at)
        folder.mkdir()
        monkeypatch.setenv("WEFTRUN_FOLDER", str(folder / "beside"))
        points += swept(url, folder, at, books)
        if points < (at - part) // PARTS + 1:
            break
    assert points * PARTS > RECORDS
