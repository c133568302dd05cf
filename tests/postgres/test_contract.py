"""The Journal on PostgreSQL keeps the contract."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.postgres.fixtures import OpenJournal
from tests.postgres.server import Server

from weftrun.adapters.postgres.journal import PostgresJournal
from weftrun.adapters.postgres.reading import PostgresReader
from weftrun.testing.contracts.journal import JournalContract
from weftrun.testing.contracts.outbox import OutboxContract
from weftrun.testing.contracts.places import PlaceContract
from weftrun.testing.contracts.queues import QueueContract
from weftrun.testing.contracts.reader import OpenReader, ReaderContract
from weftrun.testing.contracts.reopening import Reopening
from weftrun.testing.contracts.schedules import ScheduleContract
from weftrun.testing.contracts.sessions import SessionContract


@pytest.fixture
def url(emptied: str) -> str:
    return emptied


class TestPostgresJournal(JournalContract):
    @pytest.fixture
    def reopen(self, opened: OpenJournal, reopening: Reopening) -> Callable[[], PostgresJournal]:
        return lambda: reopening(opened)


class TestPostgresSessions(SessionContract):
    @pytest.fixture
    def connect(self, opened: OpenJournal) -> Callable[[], PostgresJournal]:
        return opened


class TestPostgresSchedules(ScheduleContract):
    @pytest.fixture
    def connect(self, opened: OpenJournal) -> Callable[[], PostgresJournal]:
        return opened


class TestPostgresQueues(QueueContract):
    @pytest.fixture
    def connect(self, opened: OpenJournal) -> Callable[[], PostgresJournal]:
        return opened


class TestPostgresPlaces(PlaceContract):
    @pytest.fixture
    def connect(self, opened: OpenJournal) -> Callable[[], PostgresJournal]:
        return opened


class TestPostgresOutbox(OutboxContract):
    @pytest.fixture
    def connect(self, opened: OpenJournal) -> Callable[[], PostgresJournal]:
        return opened


class TestPostgresReader(ReaderContract):
    @pytest.fixture
    def journal(self, opened: OpenJournal) -> PostgresJournal:
        return opened()

    @pytest.fixture
    def open_reader(self, journal: PostgresJournal, url: str) -> OpenReader:  # it must be there
        return lambda: PostgresReader(url)

    @pytest.fixture
    def open_nothing(self, server: Server) -> OpenReader:
        with server.connect() as connection:
            connection.execute("DROP SCHEMA IF EXISTS weftrun CASCADE")
        return lambda: PostgresReader(server.url("postgres"))
