"""Hints on PostgreSQL: they bring a look that would have come later, and nothing else, whatever is said.

Where engines are made not to look by themselves for an hour, only a hint can have told them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from psycopg import Connection
from tests.conftest import assert_closed
from tests.engine import programs as p
from tests.engine.conftest import until
from tests.engine.test_many_engines import entries
from tests.postgres.server import Server

import weftrun
from weftrun.adapters.postgres import hints as adapter
from weftrun.assembly import engine as assembly
from weftrun.assembly import open_reader
from weftrun.machines import lease
from weftrun.model.errors import RunCancelled
from weftrun.model.ids import RunUid
from weftrun.ports.hints import Hints

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
    for name in ("_LOOK_S", "_LOOK_ALONE_S", "_LOOK_FIRST_S"):
        assert hasattr(lease, name)
        monkeypatch.setattr(lease, name, NEVER_S)
    monkeypatch.setattr(adapter, "AGAIN_S", 0.05)


def opened(url: str, **options: object) -> weftrun.Engine:
    return weftrun.open(url, sandboxes=2, lease_ttl_s=TTL_S, **options)  # type: ignore[arg-type]


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
    core._loop.call_from_thread(core._own.hinted.begin)  # type: ignore[attr-defined]
    until(lambda: len(listeners(server)) > before)


def status(url: str, id: str) -> str:
    with closing(open_reader(url)) as reader:
        info = reader.find(id)
        assert info is not None
        return info.status


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


@pytest.mark.parametrize("kind", [pytest.param(Deaf, marks=pytest.mark.sweep), Babbling])
def test_all_holds_without_true_hints(
    kind: Callable[[], Hints], journal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assembly, "hints_of", lambda _: (kind(),))
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
