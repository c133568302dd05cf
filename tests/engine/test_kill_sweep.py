"""A workflow with everything in it, killed with `kill -9` before and after every record that it writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest
from tests.conftest import assert_closed
from tests.engine import everything as e

PARTS = 4
"""Tests that share the points, so that they run side by side."""
POINTS_MAX = 200
RECORDS = 12
"""Fewer than there are on any way through the workflow: each has a point before it and one after it."""


def swept(url: str, folder: Path, at: int, rows_of_books: Callable[[str], list[int]]) -> bool:
    """Kill an engine at a point and let another go on; say whether there was such a point."""
    killed = e.killed_at(url, folder, at)
    for _ in range(2):  # the second time everything is there already
        with e.opened(url, folder) as engine:
            answer = engine.run(e.everything.options(id=e.ID), str(folder / "ledger"))
            e.until_told(folder)
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
    assert rows_of_books(url) == [booked]
    assert_closed(url)
    return killed


@pytest.mark.parametrize("part", range(PARTS))
def test_on_sqlite(tmp_path: Path, part: int) -> None:
    def books(url: str) -> list[int]:
        connection = apsw.Connection(url.removeprefix("sqlite:///"), flags=apsw.SQLITE_OPEN_READONLY)
        rows = [cents for (cents,) in connection.execute("SELECT cents FROM app_books")]
        connection.close()
        return rows

    points = 0
    for at in range(1 + part, POINTS_MAX, PARTS):
        folder = tmp_path / str(at)
        folder.mkdir()
        points += swept(f"sqlite:///{folder / 'journal.db'}", folder, at, books)
        if points < (at - part) // PARTS + 1:
            break
    assert points * PARTS > RECORDS
