"""Connections and servers that go away in the middle of it: what is not known is looked up, and rows are there once."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.postgres.fixtures import OpenJournal
from tests.postgres.proxy import Proxy
from tests.postgres.server import Server

from weftrun.adapters.postgres.journal import PostgresJournal
from weftrun.adapters.postgres.reading import PostgresReader
from weftrun.model.errors import CommitUnknown, JournalError
from weftrun.model.ids import RunId
from weftrun.ports.journal import Appended, Message
from weftrun.testing.contracts.samples import end, more, start, uid
from weftrun.testing.contracts.sessions import session


@pytest.fixture
def url(emptied: str) -> str:
    return emptied


CUTS = ["before", "after"]


@pytest.fixture
def proxy(server: Server) -> Iterator[tuple[Proxy, Path]]:
    with tempfile.TemporaryDirectory(prefix="weftrun-") as folder:
        proxy = Proxy(Path(folder), server.socket)
        yield proxy, Path(folder)
        proxy.close()


Cutting = tuple[PostgresJournal, Proxy, PostgresJournal]


@pytest.fixture
def cutting(proxy: tuple[Proxy, Path], opened: OpenJournal, url: str) -> Cutting:
    """Return a Journal behind a proxy, with a session, the proxy, and a Journal beside it that sees what was done."""
    beside = opened()
    journal = opened(at=f"postgresql://postgres@/postgres?host={proxy[1]}")
    journal.begin(session(1))
    return journal, proxy[0], beside


@pytest.mark.parametrize("cut", CUTS)
def test_a_commit_without_an_answer(cutting: Cutting, cut: str) -> None:
    """Appended again, perhaps with later rows, each row is there once."""
    journal, proxy, beside = cutting
    journal.append([start(1), more(1, 2), start(2)])
    rows = [more(1, 3), start(3), end(2, 2), more(1, 4)]
    proxy.cut = cut
    with pytest.raises(CommitUnknown, match=r"was lost while recording: .*\. What became of that is not known\."):
        journal.append(rows, renew=True)
    assert len(beside.load(uid(1))) == (2 if cut == "before" else 4)
    assert journal.append([*rows, end(1, 5)]) == Appended()
    assert journal.append([*rows, end(1, 5)]) == Appended()
    assert beside.load(uid(1)) == [start(1), more(1, 2), more(1, 3), more(1, 4), end(1, 5)]
    assert [run.id for run in beside.open_runs()] == ["run-3"]
    assert [found.runs for found in beside.sessions()] == [1]


@pytest.mark.parametrize("cut", CUTS)
def test_an_append_that_was_lost_and_then_fenced(cutting: Cutting, cut: str) -> None:
    """Whether it landed or not, nothing lands after the take-over."""
    journal, proxy, beside = cutting
    journal.append([start(1)])
    proxy.cut = cut
    with pytest.raises(CommitUnknown):
        journal.append([more(1, 2)])
    beside.begin(session(2))
    assert beside.declare_dead(session(1))
    beside.claim([uid(1)])
    journal.begin(session(3))
    assert journal.append([more(1, 2), more(1, 3)]) == Appended(lost=frozenset({uid(1)}))
    assert len(beside.load(uid(1))) == (1 if cut == "before" else 2)


@pytest.mark.parametrize("cut", CUTS)
def test_a_claim_without_an_answer(cutting: Cutting, cut: str) -> None:
    """Claimed again, the Runs are returned, and counted as taken over once."""
    journal, proxy, beside = cutting
    beside.append([start(1), start(2)])
    proxy.cut = cut
    with pytest.raises(CommitUnknown):
        journal.claim([uid(1)])
    assert [(info.id, info.epoch, info.takeovers) for info in journal.claim([uid(2), uid(1)])] == [
        ("run-1", 2, 1),
        ("run-2", 2, 1),
    ]


@pytest.mark.parametrize("cut", CUTS)
def test_all_else_can_be_said_again(cutting: Cutting, cut: str) -> None:
    journal, proxy, beside = cutting
    message = Message("m1", uid(1), "cancel")
    journal.append([start(1), start(2), end(2, 2)])
    all_else: list[Callable[[], object]] = [
        lambda: journal.post(message),
        lambda: journal.put_back([uid(1)]),
        lambda: journal.delete(RunId("run-2"), forget=False),
        lambda: journal.begin(session(2)),
        journal.leave,
    ]
    for say in all_else:
        _lose(proxy, cut, say)
        say()
    assert beside.inbox() == [replace(message, place=1)]
    assert [run.id for run in beside.free_runs(9, due_by=0.0)] == ["run-1"]
    found = beside.find(RunId("run-2"))
    assert found is not None
    assert found.deleted
    assert [left.uid for left in beside.sessions()] == [session(1).uid]


def _lose(proxy: Proxy, cut: str, say: Callable[[], object]) -> None:
    proxy.cut = cut
    try:
        say()
    except CommitUnknown:
        return
    # `delete` looks first, and a question is asked again over a new connection without a word.
    assert proxy.cut == ""


@pytest.mark.parametrize("cut", CUTS)
def test_a_question_is_asked_again(cutting: Cutting, proxy: tuple[Proxy, Path], cut: str) -> None:
    journal, _, _ = cutting
    journal.append([start(1)])
    for ask in (journal.open_runs, lambda: journal.load(uid(1)), journal.sessions):
        before = ask()
        proxy[0].cut = cut
        assert ask() == before


@pytest.mark.parametrize("cut", CUTS)
def test_a_connection_that_is_lost_again_and_again(cutting: Cutting, proxy: tuple[Proxy, Path], cut: str) -> None:
    """An engine can't know what became of what it said last; who only looks on has nothing to lose."""
    journal, _, _ = cutting
    journal.append([start(1)])
    url = f"postgresql://postgres@/postgres?host={proxy[1]}"
    for attempt in range(1, 6):
        proxy[0].cut, proxy[0].times = cut, 9
        with pytest.raises(CommitUnknown):
            journal.append([more(1, attempt + 1)])
        for ask in (journal.open_runs, journal.blobs_named):
            with pytest.raises(CommitUnknown, match="was lost while opening it"):
                ask()
        with pytest.raises(JournalError, match="was lost while opening it") as caught:
            PostgresReader(url)
        assert not isinstance(caught.value, CommitUnknown)
        proxy[0].cut, proxy[0].times = "", 1
        assert len(journal.open_runs()) == 1
        proxy[0].cut = cut
        with pytest.raises(CommitUnknown, match="was lost while looking for blobs"):
            journal.blobs_named()
        assert journal.append([more(1, attempt + 1)]) == Appended()
    assert len(journal.load(uid(1))) == 6


def test_how_many_round_trips_it_takes(cutting: Cutting) -> None:
    """One for everything that is asked for often; counted between client and server, not by us.

    Each statement is prepared when a connection says it for the first time: that is one more, once.
    """
    journal, proxy, beside = cutting
    beside.append([start(9), start(10)])
    said: dict[str, Callable[[], object]] = {
        "start": lambda: journal.append([start(1), start(2)]),
        "rows": lambda: journal.append([more(1, 2), more(2, 2), end(2, 3)], renew=True),
        "again": lambda: journal.append([more(1, 2), start(3), start(4, id="run-1")]),
        "renew": lambda: journal.append([], renew=True),
        "claim": lambda: journal.claim([uid(9), uid(10)]),
        "put back": lambda: journal.put_back([uid(9)]),
        "load": lambda: journal.load(uid(1)),
        "sessions": journal.sessions,
        "free": lambda: journal.free_runs(5, due_by=0.0),
        "inbox": journal.inbox,
        "post": lambda: journal.post(Message("m", uid(1), "cancel")),
    }
    trips: dict[str, int] = {}
    for _ in range(2):
        for name, say in said.items():
            before = proxy.syncs
            say()
            trips[name] = proxy.syncs - before
    assert trips == dict.fromkeys(said, 1)


def test_a_server_that_is_killed_and_comes_back(server: Server, opened: OpenJournal, url: str) -> None:
    """Meanwhile nothing is known; afterwards all that was committed is there, and the session, too."""
    journal, reader = opened(), PostgresReader(url)
    journal.begin(session(1))
    journal.append([start(1)])
    assert reader.load(uid(1)) == [start(1)]
    server.stop(signal.SIGKILL)
    try:
        for _ in range(2):
            with pytest.raises(CommitUnknown):
                journal.append([more(1, 2)])
        with pytest.raises(CommitUnknown, match="can't be reached"):
            journal.open_runs()
        with pytest.raises(JournalError, match=r"can't be reached: .*\. Start the server"):
            reader.load(uid(1))
        with pytest.raises(JournalError, match=r"can't be reached: .*\. Start the server"):
            opened()
    finally:
        server.start_again()
    assert reader.load(uid(1)) == [start(1)]
    assert journal.append([more(1, 2)]) == Appended()
    assert journal.append([more(1, 2), end(1, 3)], renew=True) == Appended()
    assert reader.load(uid(1)) == [start(1), more(1, 2), end(1, 3)]
    reader.close()


def test_a_connection_that_an_administrator_ends(server: Server, opened: OpenJournal) -> None:
    journal = opened()
    journal.append([start(1)])
    assert journal._connection is not None
    with server.connect() as other:
        other.execute("SELECT pg_terminate_backend(%s, 10000)", (journal._connection.info.backend_pid,))
    with pytest.raises(CommitUnknown, match=r"was lost while recording: terminating connection"):
        journal.append([more(1, 2)])
    assert journal.append([more(1, 2)]) == Appended()
    assert journal.load(uid(1)) == [start(1), more(1, 2)]
