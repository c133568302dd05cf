"""An engine on a Journal of its own for each test."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.conftest import assert_closed

import weftrun


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


def until(is_true: Callable[[], bool]) -> None:
    """Return when it is true; fail if it is not within a minute."""
    end = time.monotonic() + 60
    while not is_true():
        assert time.monotonic() < end
        time.sleep(0.01)
