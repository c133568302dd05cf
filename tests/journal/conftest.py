"""A Journal on a disk that can fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from weftrun.adapters.sqlite.journal import SqliteJournal
from weftrun.adapters.system.clock import pause
from weftrun.adapters.system.entropy import SystemEntropy
from weftrun.testing.contracts.disk import Disk

OpenJournal = Callable[..., SqliteJournal]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "app.db"


@pytest.fixture
def disk(request: pytest.FixtureRequest) -> Iterator[Disk]:
    disk = Disk(f"disk-of-{request.node.name}")
    yield disk
    disk.unregister()


@pytest.fixture
def opened(path: Path) -> Iterator[OpenJournal]:
    """Open the Journal of this test; all are closed at its end."""
    made: list[SqliteJournal] = []

    def make(*, at: Path = path, **options: object) -> SqliteJournal:
        options.setdefault("allow_tmpfs", True)
        journal = SqliteJournal(at, SystemEntropy(), pause, **options)
        made.append(journal)
        return journal

    yield make
    for journal in made:
        journal.close()
