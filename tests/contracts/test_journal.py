"""The Journal on SQLite keeps the contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from weftrun.adapters.sqlite.journal import SqliteJournal
from weftrun.adapters.sqlite.reading import SqliteReader
from weftrun.adapters.system.clock import pause
from weftrun.adapters.system.entropy import SystemEntropy
from weftrun.testing.contracts.journal import JournalContract
from weftrun.testing.contracts.outbox import OutboxContract
from weftrun.testing.contracts.places import PlaceContract
from weftrun.testing.contracts.queues import QueueContract
from weftrun.testing.contracts.reader import OpenReader, ReaderContract
from weftrun.testing.contracts.reopening import Reopening
from weftrun.testing.contracts.schedules import ScheduleContract
from weftrun.testing.contracts.sessions import SessionContract


class TestSqliteJournal(JournalContract):
    @pytest.fixture
    def reopen(self, tmp_path: Path, reopening: Reopening) -> Callable[[], SqliteJournal]:
        def make() -> SqliteJournal:
            return SqliteJournal(tmp_path / "app.db", SystemEntropy(), pause, allow_tmpfs=True)

        return lambda: reopening(make)


class TestSqliteSessions(SessionContract):
    @pytest.fixture
    def connect(self, tmp_path: Path) -> Callable[[], SqliteJournal]:
        return lambda: SqliteJournal(tmp_path / "app.db", SystemEntropy(), pause, allow_tmpfs=True)


class TestSqliteSchedules(ScheduleContract):
    @pytest.fixture
    def connect(self, tmp_path: Path) -> Callable[[], SqliteJournal]:
        return lambda: SqliteJournal(tmp_path / "app.db", SystemEntropy(), pause, allow_tmpfs=True)


class TestSqliteQueues(QueueContract):
    @pytest.fixture
    def connect(self, tmp_path: Path) -> Callable[[], SqliteJournal]:
        return lambda: SqliteJournal(tmp_path / "app.db", SystemEntropy(), pause, allow_tmpfs=True)


class TestSqlitePlaces(PlaceContract):
    @pytest.fixture
    def connect(self, tmp_path: Path) -> Callable[[], SqliteJournal]:
        return lambda: SqliteJournal(tmp_path / "app.db", SystemEntropy(), pause, allow_tmpfs=True)


class TestSqliteOutbox(OutboxContract):
    @pytest.fixture
    def connect(self, tmp_path: Path) -> Callable[[], SqliteJournal]:
        return lambda: SqliteJournal(tmp_path / "app.db", SystemEntropy(), pause, allow_tmpfs=True)


class TestSqliteReader(ReaderContract):
    @pytest.fixture
    def journal(self, tmp_path: Path) -> Iterator[SqliteJournal]:
        opened = SqliteJournal(tmp_path / "app.db", SystemEntropy(), pause, allow_tmpfs=True)
        yield opened
        opened.close()

    @pytest.fixture
    def open_reader(self, journal: SqliteJournal, tmp_path: Path) -> OpenReader:  # it must be there
        return lambda: SqliteReader(tmp_path / "app.db")

    @pytest.fixture
    def open_nothing(self, tmp_path: Path) -> OpenReader:
        return lambda: SqliteReader(tmp_path / "none.db")
