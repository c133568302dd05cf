"""An engine on a Journal of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import weftrun
from weftrun.assembly import open_reader
from weftrun.testing.closure import closure_violations


@pytest.fixture
def url(tmp_path: Path) -> str:
    """URL of a Journal that does not exist yet."""
    return f"sqlite:///{tmp_path / 'journal.db'}"


@pytest.fixture
def engine(url: str) -> Iterator[weftrun.Engine]:
    """An open engine; at the end its Journal must hold the rule of closure."""
    with weftrun.open(url, workers=2) as opened:
        yield opened
    assert_closed(url)


def assert_closed(url: str) -> None:
    """Check every Run of a Journal against the rule of closure (C1)."""
    reader = open_reader(url)
    try:
        rows = {info.uid: reader.load(info.uid) for info in reader.runs(limit=1000)}
    finally:
        reader.close()
    assert closure_violations(rows) == []
