"""What is said on PostgreSQL's channel, and when; and who hears it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.engine.conftest import until
from tests.postgres.fixtures import OpenJournal
from tests.postgres.server import Server
from tests.postgres.test_hints import watched

from weftrun.adapters.postgres.hints import PostgresHints
from weftrun.adapters.postgres.journal import PostgresJournal
from weftrun.model.ids import RunUid
from weftrun.ports.journal import Message
from weftrun.testing.contracts.samples import end, more, start, uid
from weftrun.testing.contracts.sessions import session


@contextmanager
def hearing(server: Server) -> Iterator[Callable[[], list[str]]]:
    """Give what returns all that was said since it was called last."""
    with server.connect() as connection:
        connection.execute("LISTEN weftrun")
        said: list[str] = []
        connection.add_notify_handler(lambda notify: said.append(notify.payload))

        def heard() -> list[str]:
            connection.execute("SELECT")
            words = said[:]
            said.clear()
            return words

        yield heard


@contextmanager
def listening(journal: PostgresJournal) -> Iterator[tuple[PostgresHints, list[RunUid]]]:
    """Give hints, and the Runs of which they have told so far."""
    hints = PostgresHints(journal.url)
    told: list[RunUid] = []
    hints.listen(told.extend, lambda: None)
    try:
        yield hints, told
    finally:
        hints.close()
        hints.close()


def uuid_text(uid: RunUid) -> str:
    return "-".join((uid[:8], uid[8:12], uid[12:16], uid[16:20], uid[20:]))


def test_only_what_somebody_waits_for_is_said(opened: OpenJournal, server: Server) -> None:
    journal, beside = opened(), opened()
    journal.begin(session(1))
    with hearing(server) as heard, listening(journal) as (hints, told):
        journal.append([start(1), start(2), start(3)])
        journal.append([more(1, 2), more(2, 2), end(3, 2)])
        hints.watch(uid(2))
        until(lambda: told == [uid(2)])
        assert heard() == []
        journal.append([end(1, 3)])
        assert heard() == []
        journal.append([end(2, 3)])
        assert heard() == [uuid_text(uid(2))]
        until(lambda: told == [uid(2), uid(2)])
        journal.append([end(2, 3)])  # as after a lost answer: it has ended before
        journal.append([start(4), start(5)])
        beside.post(Message("a message", uid(4), "cancel"))
        assert heard() == ["look"]
        beside.post(Message("a message", uid(4), "cancel"))
        beside.post(Message("too late", uid(1), "cancel"))
        assert heard() == []
        journal.put_back([uid(4)])
        assert heard() == ["look"]
        journal.put_back([uid(4), uid(1)])
        assert heard() == []
        journal.leave()  # with a Run that it owns
        assert heard() == ["look"]
        journal.begin(session(2))
        journal.leave()
        assert heard() == []


def test_nothing_is_said_where_too_much_was_not_heard(opened: OpenJournal, server: Server) -> None:
    """The server would refuse the commit."""
    journal = opened()
    journal.append([start(1), start(2)])
    with server.connect() as connection, hearing(server) as heard:
        connection.execute("UPDATE weftrun.run SET watched = true")
        journal.append([end(1, 2)])
        assert heard() == [uuid_text(uid(1))]
        connection.execute("CREATE SCHEMA nearly_full")
        try:
            connection.execute(
                "CREATE FUNCTION nearly_full.pg_notification_queue_usage() RETURNS float8 LANGUAGE sql AS 'SELECT 0.6'"
            )
            connection.execute("ALTER FUNCTION weftrun.tell(text) SET search_path = nearly_full, pg_catalog")
            journal.append([end(2, 2)])
            assert heard() == []
        finally:
            connection.execute("DROP SCHEMA nearly_full CASCADE")
        assert journal.load(uid(2)) == [start(2), end(2, 2)]


def test_a_mark_stays_through_a_take_over(opened: OpenJournal, server: Server) -> None:
    journal, beside = opened(), opened()
    journal.begin(session(1))
    beside.begin(session(2))
    journal.append([start(1)])
    with hearing(server) as heard, listening(journal) as (hints, told):
        hints.watch(uid(1))
        until(lambda: told == [uid(1)])
    assert beside.declare_dead(session(1))
    beside.claim([uid(1)])
    with hearing(server) as heard:
        beside.append([end(1, 2, epoch=2)])
        assert heard() == [uuid_text(uid(1))]


def test_who_watches_too_late_is_told_to_look(opened: OpenJournal) -> None:
    journal = opened()
    journal.append([start(1), end(1, 2)])
    with listening(journal) as (hints, told):
        hints.watch(uid(1))
        until(lambda: told == [uid(1)])


def test_a_run_that_somebody_has_locked_is_waited_for_by_nobody(opened: OpenJournal, server: Server) -> None:
    """Others are marked meanwhile, and it is when it can be: or it has ended by then."""
    journal = opened()
    journal.append([start(1), start(2)])
    with listening(journal) as (hints, told), server.connect() as connection:
        connection.autocommit = False
        connection.execute("SELECT FROM weftrun.run WHERE id = 'run-1' FOR UPDATE")
        hints.watch(uid(1))
        hints.watch(uid(2))
        until(lambda: told == [uid(2)])
        connection.execute("UPDATE weftrun.run SET status = 'failed', ended_at = 1 WHERE id = 'run-1'")
        assert watched(server) == ["run-2"]
        connection.commit()
        until(lambda: told == [uid(2), uid(1)])
        assert watched(server) == ["run-2"]


def test_what_nobody_waits_for_any_more_is_not_told(opened: OpenJournal) -> None:
    journal = opened()
    journal.append([start(1), start(2)])
    with listening(journal) as (hints, told):
        for number in (1, 2):
            hints.watch(uid(number))
        until(lambda: sorted(told) == [uid(1), uid(2)])
        hints.forget(uid(1))
        journal.append([end(1, 2), end(2, 2)])
        until(lambda: len(told) == 3)
        assert told[2] == uid(2)
