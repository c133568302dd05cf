"""Hints on PostgreSQL: they bring a look that would have come later, and nothing else, whatever is said.

Where engines are made not to look by themselves for an hour, only a hint can have told them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from psycopg import Connection
from tests.conftest import assert_closed
from tests.engine import programs as p
from tests.engine.conftest import until
from tests.engine.test_many_engines import entries
from tests.postgres.fixtures import OpenJournal
from tests.postgres.server import Server

import weftrun
from weftrun.adapters.postgres import hints as adapter
from weftrun.adapters.postgres.hints import PostgresHints
from weftrun.adapters.postgres.journal import PostgresJournal
from weftrun.assembly import engine as assembly
from weftrun.assembly import open_reader
from weftrun.machines import lease
from weftrun.model.errors import RunCancelled
from weftrun.model.ids import RunUid
from weftrun.ports.hints import Hints
from weftrun.ports.journal import Message
from weftrun.testing.contracts.samples import end, more, start, uid
from weftrun.testing.contracts.sessions import session

WAIT_S = 60.0
TTL_S = 3600.0
NEVER_S = 3600.0


@pytest.fixture
def journal(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Name an empty database; the files beside the Journal lie in this test's folder."""
    monkeypatch.setenv("WEFTRUN_FOLDER", str(tmp_path / "beside"))
    yield url
    assert_closed(url)


@pytest.fixture
def nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_LOOK_S", "_LOOK_ALONE_S"):
        assert hasattr(lease, name)
        monkeypatch.setattr(lease, name, NEVER_S)
    monkeypatch.setattr(adapter, "AGAIN_S", 0.05)


def opened(url: str, **options: object) -> weftrun.Engine:
    return weftrun.open(url, workers=2, lease_ttl_s=TTL_S, **options)  # type: ignore[arg-type]


def listeners(server: Server) -> list[int]:
    """Return the server's numbers of all connections that listen."""
    with server.connect() as connection:
        found = connection.execute("SELECT pid FROM pg_stat_activity WHERE application_name LIKE '%hints'").fetchall()
    return [int(str(pid)) for (pid,) in found]


def watched(server: Server) -> list[object]:
    """Return the ids of Runs whose end is to be told."""
    with server.connect() as connection:
        return [id for (id,) in connection.execute("SELECT id FROM weftrun.run WHERE watched").fetchall()]


def let_listen(engine: weftrun.Engine, server: Server) -> None:
    """Let an engine listen now, as it does when it has been open for a while."""
    before = len(listeners(server))
    core = engine._core
    core._loop.call_from_thread(core._engine._own.hinted.begin)  # type: ignore[attr-defined]
    until(lambda: len(listeners(server)) > before)


def status(url: str, id: str) -> str:
    with closing(open_reader(url)) as reader:
        info = reader.find(id)
        assert info is not None
        return info.status


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


# ---------------------------------------------------------------------- nobody looks: only a hint can have told it


@pytest.mark.usefixtures("nobody_looks")
def test_the_end_of_another_engines_run_is_told(journal: str, server: Server, tmp_path: Path) -> None:
    with opened(journal) as owner, opened(journal) as other:
        owner.start(p.waits.options(id="one"), str(tmp_path / "gate"))
        found = other.get("one")
        until(lambda: watched(server) == ["one"])
        (tmp_path / "gate").touch()
        assert found.result(WAIT_S) == "open"


@pytest.mark.usefixtures("nobody_looks")
def test_what_is_handed_over_goes_on_at_once(journal: str, server: Server, tmp_path: Path) -> None:
    with opened(journal) as other:
        let_listen(other, server)
        owner = opened(journal)
        owner.start(p.waits.options(id="one"), str(tmp_path / "gate"))
        owner.close(drain_s=0.0)
        (tmp_path / "gate").touch()
        until(lambda: status(journal, "one") == "succeeded")


@pytest.mark.usefixtures("nobody_looks")
def test_a_message_is_read(journal: str, server: Server, tmp_path: Path) -> None:
    with opened(journal) as owner:
        run = owner.start(p.waits.options(id="one"), str(tmp_path / "gate"))
        let_listen(owner, server)
        with closing(open_reader(journal)) as reader:
            reader.post_cancel("one")
        with pytest.raises(RunCancelled):
            run.result(WAIT_S)


@pytest.mark.usefixtures("nobody_looks")
def test_a_lost_connection_is_made_again(journal: str, server: Server, tmp_path: Path) -> None:
    """What was said while nobody heard it is asked for."""
    with opened(journal) as owner, opened(journal) as other:
        owner.start(p.waits.options(id="one"), str(tmp_path / "gate"))
        found = other.get("one")
        until(lambda: watched(server) == ["one"])
        (lost,) = listeners(server)
        with server.connect() as connection:
            connection.execute("ALTER ROLE postgres NOLOGIN")
            connection.execute("SELECT pg_terminate_backend(%s)", (lost,))
            try:
                until(lambda: not _is_there(connection, lost))
                (tmp_path / "gate").touch()
                until(lambda: _ended(connection) == 1)
            finally:
                connection.execute("ALTER ROLE postgres LOGIN")
        assert found.result(WAIT_S) == "open"
        until(lambda: len(listeners(server)) == 1)


def _is_there(connection: Connection[tuple[object, ...]], pid: int) -> bool:
    return connection.execute("SELECT FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchone() is not None


def _ended(connection: Connection[tuple[object, ...]]) -> object:
    row = connection.execute("SELECT count(*) FROM weftrun.run WHERE ended_at IS NOT NULL").fetchone()
    assert row is not None
    return row[0]


def test_who_stays_listens_and_who_goes_does_not(journal: str, server: Server) -> None:
    with opened(journal) as engine:
        engine.run(p.inc, 1)
        until(lambda: len(listeners(server)) == 1)
    until(lambda: not listeners(server))
    assert not [thread for thread in threading.enumerate() if thread.name == "weftrun-hints"]


# ---------------------------------------------------------------------- nothing rests on them


class Deaf:
    """Loses every hint."""

    def listen(self, ended: Callable[[Sequence[RunUid]], None], changed: Callable[[], None]) -> None:
        pass

    def watch(self, run: RunUid) -> None:
        pass

    def forget(self, run: RunUid) -> None:
        pass

    def close(self) -> None:
        pass


class Babbling(Deaf):
    """Says all the time that every Run has ended that it was told of, and some that there are not, and worse."""

    def __init__(self) -> None:
        self._runs = [RunUid("0badcafe" * 4), RunUid("no uid"), RunUid("")]
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def listen(self, ended: Callable[[Sequence[RunUid]], None], changed: Callable[[], None]) -> None:
        def babble() -> None:
            while not self._closed.wait(0.001):
                for run in tuple(self._runs):
                    ended([run, run] if _is_uid(run) else [])
                changed()

        self._thread = threading.Thread(target=babble)
        self._thread.start()

    def watch(self, run: RunUid) -> None:
        self._runs.append(run)

    def close(self) -> None:
        self._closed.set()
        if self._thread is not None:
            self._thread.join()


def _is_uid(run: RunUid) -> bool:
    return len(run) == 32


@pytest.mark.parametrize("kind", [Deaf, Babbling])
def test_all_holds_without_true_hints(
    kind: Callable[[], Hints], journal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assembly, "hints_of", lambda _: kind())
    ledger = tmp_path / "ledger"
    with opened(journal) as other:
        owner = opened(journal)
        one = owner.start(p.waits.options(id="one"), str(tmp_path / "gate"))
        many = owner.start(p.counts.options(id="many"), 5, 0.02, str(ledger))
        found, found_too = other.get("one"), other.get("many")
        assert (many.result(WAIT_S), found_too.result(WAIT_S)) == (10, 10)
        assert len(entries(ledger)) == 5
        owner.close(drain_s=0.0)
        until(lambda: _owner_of(journal, "one") not in ("", "gone"))
        (tmp_path / "gate").touch()
        assert found.result(WAIT_S) == "open"
        assert one.id == found.id
        last = other.start(p.waits.options(id="last"), str(tmp_path / "never"))
        with closing(open_reader(journal)) as reader:
            reader.post_cancel("last")
        with pytest.raises(RunCancelled):
            last.result(WAIT_S)


def _owner_of(url: str, id: str) -> str:
    with closing(open_reader(url)) as reader:
        info = reader.find(id)
        return "gone" if info is None else info.owner


def test_whatever_others_say_on_the_channel(journal: str, server: Server, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    with opened(journal) as owner, opened(journal) as other:
        owner.start(p.waits.options(id="one"), str(tmp_path / "gate"))
        found = other.get("one")
        until(lambda: watched(server) == ["one"])
        with server.connect() as connection:
            known = connection.execute("SELECT uid::text FROM weftrun.run").fetchall()
            words = ["", "look", "LOOK", "x" * 7_999, "'); --", "…", "0badcafe" * 4, *(str(uid) for (uid,) in known)]
            for word in words * 50:
                connection.execute("SELECT pg_notify('weftrun', %s)", (word,))
        assert found.status == "running"
        assert owner.run(p.counts, 5, 0.01, str(ledger)) == 10
        assert len(entries(ledger)) == 5
        assert len(listeners(server)) >= 1
        (tmp_path / "gate").touch()
        assert found.result(WAIT_S) == "open"


# ---------------------------------------------------------------------- what is said, and when


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
    assert beside.bury(session(1))
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
