"""One server for the tests of this folder in each process that runs some of them; an empty database for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.postgres.server import Missing, Server

from weftrun.adapters.postgres.journal import PostgresJournal
from weftrun.adapters.system.entropy import SystemEntropy
from weftrun.testing.contracts.reopening import Reopening

OpenJournal = Callable[..., PostgresJournal]


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    try:
        server = Server()
    except Missing as missing:
        pytest.skip(str(missing))
    yield server
    server.remove()


@pytest.fixture
def url(server: Server) -> str:
    """Name a database without a Journal. The same one for all tests: to make one takes longer than most of them."""
    with server.connect() as connection:
        connection.execute("DROP SCHEMA IF EXISTS weftrun CASCADE")
    return server.url("postgres")


@pytest.fixture
def emptied(server: Server) -> str:
    """Name a database whose Journal has nothing in it: to make its tables takes ten times as long as to empty them."""
    if not server.empty_journal():
        with server.connect() as connection:
            connection.execute("DROP SCHEMA IF EXISTS weftrun CASCADE")
        PostgresJournal(server.url("postgres"), SystemEntropy()).close()
        server.keep_journal()
    return server.url("postgres")


@pytest.fixture
def reopening() -> Iterator[Reopening]:
    reopening = Reopening()
    yield reopening
    reopening.close()


@pytest.fixture
def opened(url: str) -> Iterator[OpenJournal]:
    """Open the Journal of this test; all are closed at its end."""
    made: list[PostgresJournal] = []

    def make(*, at: str = url, **options: object) -> PostgresJournal:
        journal = PostgresJournal(at, SystemEntropy(), **options)
        made.append(journal)
        return journal

    yield make
    for journal in made:
        journal.close()
