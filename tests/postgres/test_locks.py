"""What one engine may do while another is in the middle of a transaction (O2).

A trigger holds a transaction still between its check and its commit, until the test lets it go; who waits for whom is
read from the server. No test waits for a time to pass.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from tests.postgres.fixtures import OpenJournal
from tests.postgres.server import Server

from weftrun.adapters.postgres.journal import PostgresJournal
from weftrun.adapters.postgres.statements import SQL
from weftrun.model.errors import InternalError, JournalBusy, LeaseLost
from weftrun.model.records import Row
from weftrun.ports.journal import Appended, Message, Rest, RunInfo
from weftrun.testing.contracts.samples import ONE_OF_EACH, end, more, start, uid
from weftrun.testing.contracts.sessions import session

GATE = 77
SOON_S = 30.0
HOLD_STILL = """
CREATE FUNCTION weftrun.hold_still() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared({gate});
    RETURN {returned};
END
$$;
CREATE TRIGGER hold_still BEFORE {event} FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION weftrun.hold_still();
"""


class Gate:
    """Holds transactions still where a trigger says so, until it is opened."""

    def __init__(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        self._connection = connection

    def shut(self, event: str, when: str = "true", *, returned: str = "NEW") -> None:
        """Hold still every transaction that is about to do `event` in a table."""
        self._connection.execute(HOLD_STILL.format(gate=GATE, event=event, when=when, returned=returned))
        self._connection.execute(f"SELECT pg_advisory_lock({GATE})")

    def open(self) -> None:
        """Let them go."""
        self._connection.execute(f"SELECT pg_advisory_unlock({GATE})")

    def holds(self, journal: PostgresJournal) -> bool:
        """Say whether this Journal's transaction stands at the gate."""
        found = self._connection.execute(
            "SELECT FROM pg_locks WHERE pid = %s AND locktype = 'advisory' AND NOT granted", (pid(journal),)
        )
        return bool(found.fetchall())

    def blocked(self, waiting: PostgresJournal, by: PostgresJournal) -> bool:
        """Say whether one Journal's transaction waits for another's."""
        ((pids,),) = self._connection.execute("SELECT pg_blocking_pids(%s)", (pid(waiting),)).fetchall()
        return pid(by) in pids


def pid(journal: PostgresJournal) -> int:
    assert journal._connection is not None
    return journal._connection.info.backend_pid


def until(happened: Callable[[], bool], futures: tuple[Future[Any], ...] = ()) -> None:
    deadline = time.monotonic() + SOON_S
    while not happened():
        assert not any(future.done() for future in futures), "it went on without waiting"
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.002)


@pytest.fixture
def gate(server: Server, url: str) -> Iterator[Gate]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield Gate(connection)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


@pytest.fixture
def pair(opened: OpenJournal) -> tuple[PostgresJournal, PostgresJournal]:
    """Two engines that wait for each other for as long as a test may take."""
    return opened(patience_s=SOON_S), opened(patience_s=SOON_S)


Pair = tuple[PostgresJournal, PostgresJournal]


@pytest.mark.parametrize("renew", [False, True])
def test_who_declares_dead_waits_for_an_append_and_sees_its_heartbeat(
    pair: Pair, gate: Gate, threads: ThreadPoolExecutor, renew: bool
) -> None:
    first, second = pair
    first.begin(session(1))
    first.append([start(1)])
    (seen,) = second.sessions()
    gate.shut("INSERT ON weftrun.record")
    appending = threads.submit(first.append, [more(1, 2)], renew=renew)
    until(lambda: gate.holds(first), (appending,))
    declaring = threads.submit(second.declare_dead, seen)
    until(lambda: gate.blocked(second, first), (appending, declaring))
    gate.open()
    assert appending.result(SOON_S) == Appended()
    assert declaring.result(SOON_S) is not renew
    assert [left.uid for left in second.sessions()] == [session(1).uid] * renew
    assert second.load(uid(1)) == [start(1), more(1, 2)]


def test_a_claim_waits_for_an_append_and_whoever_claimed_sees_its_rows(
    pair: Pair, gate: Gate, threads: ThreadPoolExecutor
) -> None:
    first, second = pair
    first.append([start(1)])
    second.begin(session(2))
    gate.shut("INSERT ON weftrun.record")
    appending = threads.submit(first.append, [more(1, 2)])
    until(lambda: gate.holds(first), (appending,))
    claiming = threads.submit(second.claim, [uid(1)])
    until(lambda: gate.blocked(second, first), (appending, claiming))
    gate.open()
    assert appending.result(SOON_S) == Appended()
    assert [info.epoch for info in claiming.result(SOON_S)] == [2]
    assert second.load(uid(1)) == [start(1), more(1, 2)]
    assert second.append([more(1, 3, epoch=2)]) == Appended()


def test_an_append_waits_for_a_claim_and_drops_out(pair: Pair, gate: Gate, threads: ThreadPoolExecutor) -> None:
    """It had begun before the epoch was raised: what it sees then is the row as the claim has left it."""
    first, second = pair
    first.append([start(1), start(2)])
    second.begin(session(2))
    gate.shut("UPDATE ON weftrun.run")
    claiming = threads.submit(second.claim, [uid(1)])
    until(lambda: gate.holds(second), (claiming,))
    appending = threads.submit(first.append, [more(1, 2), more(2, 2), end(1, 3)])
    until(lambda: gate.blocked(first, second), (appending, claiming))
    gate.open()
    assert [info.epoch for info in claiming.result(SOON_S)] == [2]
    assert appending.result(SOON_S) == Appended(lost=frozenset({uid(1)}))
    assert second.load(uid(1)) == [start(1)]
    assert second.load(uid(2)) == [start(2), more(2, 2)]


def test_one_row_waits_for_a_declaration_and_is_refused(pair: Pair, gate: Gate, threads: ThreadPoolExecutor) -> None:
    first, second = pair
    first.begin(session(1))
    first.append([start(1)])
    gate.shut("DELETE ON weftrun.session", returned="OLD")
    declaring = threads.submit(second.declare_dead, session(1))
    until(lambda: gate.holds(second), (declaring,))
    appending = threads.submit(first.append, [more(1, 2)])
    until(lambda: gate.blocked(first, second), (appending, declaring))
    gate.open()
    assert declaring.result(SOON_S)
    with pytest.raises(LeaseLost):
        appending.result(SOON_S)
    assert second.load(uid(1)) == [start(1)]


@pytest.mark.parametrize("repeated", [True, False], ids=["again", "the next"])
def test_one_row_waits_for_an_append_of_which_nothing_was_known(
    pair: Pair, gate: Gate, threads: ThreadPoolExecutor, repeated: bool
) -> None:
    """A connection was lost while the server was at it, and goes on with it: a new one sees what it has done."""
    first, second = pair
    first.begin(session(1))
    first.append([start(1)])
    second._session = first._session
    gate.shut("INSERT ON weftrun.record", "NEW.seq = 2")
    appending = threads.submit(first.append, [more(1, 2)])
    until(lambda: gate.holds(first), (appending,))
    again = threads.submit(second.append, [more(1, 2 if repeated else 3)])
    until(lambda: gate.blocked(second, first), (appending, again))
    gate.open()
    assert appending.result(SOON_S) == again.result(SOON_S) == Appended()
    assert second.load(uid(1)) == [start(1), more(1, 2), *[more(1, 3)] * (not repeated)]


@pytest.mark.parametrize("rows", [[more(1, 2)], [more(1, 2), more(1, 3)]], ids=["one", "several"])
def test_without_the_locks_a_stale_append_would_land(
    pair: Pair, gate: Gate, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch, rows: list[Row]
) -> None:
    """What the tests above guard against: READ COMMITTED alone checks an epoch that may be raised before the commit."""
    first, second = pair
    unlocked = SQL["append_one"].replace("FOR KEY SHARE", "").replace("FOR UPDATE OF run", "")
    monkeypatch.setitem(SQL, "append_one", unlocked)
    gate.shut("INSERT ON weftrun.record")
    for name in ("append", "hold"):
        ((text,),) = gate._connection.execute(f"SELECT pg_get_functiondef('weftrun.{name}'::regproc)").fetchall()
        gate._connection.execute(str(text).replace("FOR UPDATE", "").replace("FOR KEY SHARE", "").encode())
    first.begin(session(1))
    second.begin(session(2))
    first.append([start(1)])
    appending = threads.submit(first.append, rows)
    until(lambda: gate.holds(first), (appending,))
    assert second.declare_dead(session(1))
    assert [info.epoch for info in second.claim([uid(1)])] == [2]
    assert second.load(uid(1)) == [start(1)]  # what the new owner would go on from
    gate.open()
    assert appending.result(SOON_S) == Appended()
    assert second.load(uid(1)) == [start(1), *rows]
    with pytest.raises(InternalError):
        second.append([more(1, 2, ONE_OF_EACH, epoch=2)])


def test_two_claims_at_once_give_a_run_to_one(pair: Pair, gate: Gate, threads: ThreadPoolExecutor) -> None:
    """Also where the winner's session is younger than the other's claim."""
    first, second = pair
    first.append([start(1), start(2)])
    second.begin(session(2))
    gate.shut("UPDATE ON weftrun.run", f"NEW.uid = '{uid(2)}' AND OLD.owner IS NULL")

    def begin_and_claim() -> list[RunInfo]:
        first.begin(session(1))
        return first.claim([uid(2)])

    winning = threads.submit(begin_and_claim)
    until(lambda: gate.holds(first), (winning,))
    losing = threads.submit(second.claim, [uid(2), uid(1)])
    until(lambda: gate.blocked(second, first), (losing,))
    gate.open()
    assert [info.id for info in winning.result(SOON_S)] == ["run-2"]
    assert [info.id for info in losing.result(SOON_S)] == ["run-1"]


def test_two_that_start_the_same_runs_end_in_no_circle(
    pair: Pair, gate: Gate, threads: ThreadPoolExecutor, server: Server
) -> None:
    """Whatever the order in which each was asked to."""
    first, second = pair
    log = (server.folder / "log").read_text()
    gate.shut("INSERT ON weftrun.run", f"NEW.uid = '{uid(2)}'")
    starting = threads.submit(first.append, [start(1, id="a"), start(2, id="b")])
    until(lambda: gate.holds(first), (starting,))
    other = threads.submit(second.append, [start(3, id="b"), start(4, id="a")])
    until(lambda: gate.blocked(second, first), (starting, other))
    gate.open()
    assert starting.result(SOON_S) == Appended()
    assert other.result(SOON_S) == Appended(taken=frozenset({uid(3), uid(4)}))
    assert "deadlock" not in (server.folder / "log").read_text()[len(log) :]


def test_an_append_and_a_claim_of_the_same_runs_end_in_no_circle(
    pair: Pair, gate: Gate, threads: ThreadPoolExecutor, server: Server
) -> None:
    """In whatever order the rows came: one waits for the other's first Run, and not each for one of the other's."""
    first, second = pair
    first.append([start(1), start(2)])
    second.begin(session(2))
    log = (server.folder / "log").read_text()
    gate.shut("INSERT ON weftrun.record", f"NEW.at = {more(2, 2).at}")
    appending = threads.submit(first.append, [more(2, 2), more(1, 2)])
    until(lambda: gate.holds(first), (appending,))
    claiming = threads.submit(second.claim, [uid(1), uid(2)])
    until(lambda: gate.blocked(second, first), (appending, claiming))
    gate.open()
    assert appending.result(SOON_S) == Appended()
    assert [info.epoch for info in claiming.result(SOON_S)] == [2, 2]
    assert "deadlock" not in (server.folder / "log").read_text()[len(log) :]


def test_who_waits_too_long_is_told_and_nothing_was_committed(
    opened: OpenJournal, gate: Gate, threads: ThreadPoolExecutor
) -> None:
    first, second = opened(patience_s=SOON_S), opened(patience_s=0.05)
    first.append([start(1)])
    gate.shut("INSERT ON weftrun.record")
    appending = threads.submit(first.append, [more(1, 2)])
    until(lambda: gate.holds(first), (appending,))
    with pytest.raises(JournalBusy, match=r"^postgresql://postgres@/postgres in /.* was kept locked by others while"):
        second.append([start(9), more(1, 2)])
    gate.open()
    assert appending.result(SOON_S) == Appended()
    assert [run.id for run in second.runs()] == ["run-1"]


def test_a_message_waits_for_a_run_that_is_being_suspended_and_wakes_it(
    pair: Pair, gate: Gate, threads: ThreadPoolExecutor
) -> None:
    first, second = pair
    first.begin(session(1))
    first.append([start(1)])
    gate.shut("UPDATE ON weftrun.run")
    suspending = threads.submit(first.suspend, {uid(1): Rest(1e9)})
    until(lambda: gate.holds(first), (suspending,))
    posting = threads.submit(second.post, Message("m", uid(1), "cancel"))
    until(lambda: gate.blocked(second, first), (suspending, posting))
    gate.open()
    suspending.result(SOON_S)
    posting.result(SOON_S)
    assert [info.due_at for info in second.free_runs(9, due_by=1.0)] == [1.0]


def test_a_run_is_not_suspended_beside_a_message_that_is_being_left(
    pair: Pair, gate: Gate, threads: ThreadPoolExecutor
) -> None:
    first, second = pair
    first.begin(session(1))
    first.append([start(1)])
    gate.shut("INSERT ON weftrun.inbox")
    posting = threads.submit(second.post, Message("m", uid(1), "cancel"))
    until(lambda: gate.holds(second), (posting,))
    suspending = threads.submit(first.suspend, {uid(1): Rest(1e9)})
    until(lambda: gate.blocked(first, second), (suspending, posting))
    gate.open()
    suspending.result(SOON_S)
    posting.result(SOON_S)
    assert [info.due_at for info in second.free_runs(9, due_by=1.0)] == [1.0]
