"""Where adapters of this host keep their files in tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from weftrun.testing.contracts.reopening import Reopening


@pytest.fixture
def reopening() -> Iterator[Reopening]:
    with closing(Reopening()) as reopening:
        yield reopening


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.db.d").mkdir()
    return tmp_path / "app.db.d"
