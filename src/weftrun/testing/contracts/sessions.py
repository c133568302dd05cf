"""The contract of the port Journal where several engines share one: sessions, ownership, claims (O1, O2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from weftrun.model.errors import LeaseLost
from weftrun.model.ids import RunId, RunUid, SessionUid
from weftrun.model.lease import Session
from weftrun.ports.journal import PARKED, Appended, Journal, Message, Rest
from weftrun.testing.contracts.samples import as_posted, end, more, start, uid

Connect = Callable[[], Journal]


def session(number: int) -> Session:
    """Return the session of engine `number`, as it begins."""
    return Session(SessionUid(f"{number:032x}"), f"kernel-{number}", number, f"/run/{number}", 10.0)


@contextmanager
def two_engines(connect: Connect) -> Iterator[tuple[Journal, Journal]]:
    """Give two Journals on one storage, each with a session of its own; they are closed after the block."""
    first, second = connect(), connect()
    first.begin(session(1))
    second.begin(session(2))
    yield first, second
    for journal in (first, second):
        journal.close()


class TwoEngines:
    """Two engines on one Journal. Subclasses give the fixture `connect`: each call opens the same storage once more."""

    @pytest.fixture
    def connect(self) -> Connect:
        """Return what opens the Journal under test."""
        raise NotImplementedError

    @pytest.fixture
    def engines(self, connect: Connect) -> Iterator[tuple[Journal, Journal]]:
        """Return two Journals, each with a session of its own."""
        with two_engines(connect) as engines:
            yield engines


class SessionContract(TwoEngines):
    """Sessions, and what they own."""

    def test_sessions_are_listed_with_what_they_own(self, engines: tuple[Journal, Journal]) -> None:
        """Whoever looks sees them all, oldest first."""
        first, second = engines
        first.append([start(1), start(2), start(3), end(2, 2)])
        listed = second.sessions()
        assert [(s.uid, s.host, s.pid, s.lock, s.ttl_s, s.runs) for s in listed] == [
            (session(1).uid, "kernel-1", 1, "/run/1", 10.0, 2),
            (session(2).uid, "kernel-2", 2, "/run/2", 10.0, 0),
        ]
        assert [info.owner for info in second.open_runs()] == [session(1).uid] * 2
        assert second.free_runs(9, due_by=0.0) == []

    def test_a_renewal_raises_the_heartbeat_alone(self, engines: tuple[Journal, Journal]) -> None:
        """An append without one leaves it, and one without rows may be nothing but a renewal."""
        first, second = engines
        before = [s.heartbeat for s in second.sessions()]
        first.append([start(1)])
        assert [s.heartbeat for s in second.sessions()] == before
        first.append([more(1, 2)], renew=True)
        first.append([], renew=True)
        assert [s.heartbeat for s in second.sessions()] == [before[0] + 2, before[1]]

    def test_what_a_living_session_owns_is_not_claimed(self, engines: tuple[Journal, Journal]) -> None:
        """Nor put back by another."""
        first, second = engines
        first.append([start(1)])
        assert second.claim([uid(1)]) == []
        second.put_back([uid(1)])
        assert second.free_runs(9, due_by=0.0) == []
        assert first.append([more(1, 2)]) == Appended()

    def test_a_session_declared_dead_is_fenced(self, engines: tuple[Journal, Journal]) -> None:
        """Nothing of its own lands any more, whatever it appends, and its Runs are free for one taker."""
        first, second = engines
        first.append([start(1), start(2)])
        (seen, _) = second.sessions()
        assert second.declare_dead(seen)
        assert not second.declare_dead(seen)
        assert [s.uid for s in second.sessions()] == [session(2).uid]
        assert [info.id for info in second.free_runs(9, due_by=0.0)] == ["run-1", "run-2"]
        assert [info.id for info in second.free_runs(1, due_by=0.0)] == ["run-1"]
        for rows, renew in (([more(1, 2)], False), ([start(3)], False), ([], True)):
            with pytest.raises(LeaseLost):
                first.append(rows, renew=renew)
        with pytest.raises(LeaseLost):
            first.claim([uid(1)])
        (taken,) = second.claim([uid(1)])
        assert (taken.epoch, taken.takeovers, taken.owner) == (2, 1, session(2).uid)
        assert second.append([more(1, 2, epoch=2)]) == Appended()
        assert second.load(uid(1)) == [start(1), more(1, 2, epoch=2)]
        assert second.find(RunId("run-3")) is None

    def test_a_session_that_renewed_is_not_declared_dead(self, engines: tuple[Journal, Journal]) -> None:
        """Whoever took it for dead was slower than its heartbeat."""
        first, second = engines
        (seen, _) = second.sessions()
        first.append([], renew=True)
        assert not second.declare_dead(seen)
        assert first.append([start(1)]) == Appended()

    def test_a_fenced_engine_may_begin_again(self, engines: tuple[Journal, Journal]) -> None:
        """Under a new session; what the old one owned stays lost."""
        first, second = engines
        first.append([start(1)])
        second.declare_dead(second.sessions()[0])
        second.claim([uid(1)])
        first.begin(session(3))
        assert first.append([more(1, 2), start(4)]) == Appended(lost=frozenset({uid(1)}))
        assert [info.owner for info in second.infos([uid(4)])] == [session(3).uid]

    def test_rows_of_a_run_that_was_freed_are_left_out_before_anybody_claims_it(
        self, engines: tuple[Journal, Journal]
    ) -> None:
        """Its epoch is still the old one; what its former owner knows of it may be out of date all the same."""
        first, second = engines
        first.append([start(1)])
        second.declare_dead(second.sessions()[0])
        first.begin(session(3))
        assert first.append([more(1, 2), start(2)]) == Appended(lost=frozenset({uid(1)}))
        assert second.load(uid(1)) == [start(1)]

    def test_leaving_frees_everything(self, engines: tuple[Journal, Journal]) -> None:
        """A clean end hands over at once."""
        first, second = engines
        first.append([start(1), start(2)])
        first.put_back([uid(1), uid(2)])
        first.leave()
        first.leave()
        assert [info.takeovers for info in second.claim([uid(1), uid(2), uid(9)])] == [1, 1]

    def test_infos_are_of_those_asked_for(self, engines: tuple[Journal, Journal]) -> None:
        """Whoever waits for Runs of another engine asks by their uids."""
        first, second = engines
        first.append([start(1), start(2), end(2, 2)])
        found: dict[RunUid, str] = {info.uid: info.status for info in second.infos([uid(1), uid(2), uid(3)])}
        assert found == {uid(1): "running", uid(2): "succeeded"}

    def test_messages_are_their_owners(self, engines: tuple[Journal, Journal]) -> None:
        """Each session sees those to its own Runs; whoever takes a Run over sees them too."""
        first, second = engines
        first.append([start(1)])
        second.append([start(2)])
        messages = [Message("m1", uid(1), "cancel"), Message("m2", uid(2), "cancel")]
        for message in messages:
            second.post(message)
        assert (as_posted(first.inbox()), as_posted(second.inbox())) == (messages[:1], messages[1:])
        second.declare_dead(second.sessions()[0])
        second.claim([uid(1)])
        assert as_posted(second.inbox()) == messages

    def test_two_that_claim_get_different_runs(self, engines: tuple[Journal, Journal]) -> None:
        """Of everything free, each Run goes to one of them."""
        first, second = engines
        uids = [uid(number) for number in range(1, 9)]
        first.append([start(number) for number in range(1, 9)])
        first.put_back(uids)
        taken = [info.uid for info in first.claim(uids[:5])]
        taken += [info.uid for info in second.claim(uids)]
        assert sorted(taken) == uids
        # Said again, since nobody may know what became of the first time, it takes nothing more.
        again = first.claim(uids)
        assert [(info.uid, info.epoch, info.takeovers) for info in again] == [(uid, 2, 1) for uid in uids[:5]]

    def test_a_session_that_begins_again_is_one(self, connect: Connect) -> None:
        """Nothing may be known of the first time; what it owns is its own."""
        journal = connect()
        journal.begin(session(1))
        journal.append([start(1)])
        journal.begin(session(1))
        assert journal.append([more(1, 2)]) == Appended()
        assert [(s.uid, s.runs) for s in journal.sessions()] == [(session(1).uid, 1)]
        journal.close()

    # ------------------------------------------------------------------ Runs that only wait

    def test_a_suspended_run_is_free_when_it_is_due(self, engines: tuple[Journal, Journal]) -> None:
        """Until then nobody finds it, and everybody can ask when the next one is."""
        first, second = engines
        first.append([start(1), start(2), start(3)])
        first.suspend({uid(1): Rest(200.0), uid(2): Rest(100.0)})
        assert second.free_runs(9, due_by=99.0) == []
        assert (second.next_due(after=0.0), second.next_due(after=100.0), second.next_due(after=200.0)) == (
            100.0,
            200.0,
            None,
        )
        assert [(info.id, info.owner, info.due_at) for info in second.free_runs(9, due_by=100.0)] == [
            ("run-2", "", 100.0)
        ]
        assert [info.id for info in second.free_runs(9, due_by=200.0)] == ["run-1", "run-2"]
        assert [info.id for info in second.free_runs(1, due_by=200.0)] == ["run-2"], "the one that was due first"
        assert [session.runs for session in second.sessions()] == [1, 0]

    def test_one_that_had_only_waited_was_not_taken_over(self, engines: tuple[Journal, Journal]) -> None:
        """Its epoch is raised, its counter is not; what comes after that counts as ever."""
        first, second = engines
        first.append([start(1)])
        first.suspend({uid(1): Rest(100.0)})
        (claimed,) = second.claim([uid(1)])
        assert (claimed.epoch, claimed.takeovers, claimed.owner, claimed.due_at) == (2, 0, session(2).uid, 0.0)
        assert first.append([more(1, 2)]) == Appended(lost=frozenset({uid(1)}))
        assert second.append([more(1, 2, epoch=2)]) == Appended()
        assert second.next_due(after=0.0) is None
        second.declare_dead(session(1))
        second.leave()
        first.begin(session(3))
        (claimed,) = first.claim([uid(1)])
        assert (claimed.epoch, claimed.takeovers) == (3, 1)

    def test_a_run_that_waits_for_code_is_not_due(self, engines: tuple[Journal, Journal]) -> None:
        """It is found apart, claimed without being counted, and may be begun again while it waits (L2)."""
        first, second = engines
        first.append([start(1), start(2)])
        assert not second.retry(uid(1), 2, 50.0)
        first.suspend({uid(1): Rest(PARKED), uid(2): Rest(100.0)})
        assert [(info.id, info.waiting_for) for info in second.parked_runs(9)] == [("run-1", "code")]
        assert [info.id for info in second.free_runs(9, due_by=1e12)] == ["run-2"]
        (claimed,) = second.claim([uid(1)])
        assert (claimed.epoch, claimed.takeovers, claimed.waiting_for) == (2, 0, None)
        assert second.parked_runs(9) == []
        second.suspend({uid(1): Rest(PARKED)})
        assert first.retry(uid(1), 2, 50.0)
        assert [(info.owner, info.epoch, info.due_at) for info in second.infos([uid(1)])] == [(session(1).uid, 3, 0.0)]
        assert [info.epoch for info in first.claim([uid(1)])] == [3], "it is this session's, and stays as it is"
        assert first.append([more(1, 3, epoch=3)]) == Appended()

    def test_only_ones_own_open_runs_are_suspended(self, engines: tuple[Journal, Journal]) -> None:
        """Said again it changes nothing, whoever has the Run by then."""
        first, second = engines
        first.append([start(1), start(2), end(2, 2)])
        second.append([start(3)])
        waiting = {uid(number): Rest(100.0) for number in (1, 2, 3, 4)}
        first.suspend(waiting)
        assert [info.id for info in second.free_runs(9, due_by=100.0)] == ["run-1"]
        second.claim([uid(1)])
        first.suspend(waiting)
        assert second.free_runs(9, due_by=100.0) == []
        assert second.append([more(1, 2, epoch=2), more(3, 2)]) == Appended()

    def test_a_signal_wakes_a_run_that_has_not_heard_it(self, engines: tuple[Journal, Journal]) -> None:
        """One that it has heard, and does not take, lets it wait; a cancel does not, however often it was told."""
        first, second = engines
        first.append([start(1), start(2)])
        for number in (1, 2):
            assert second.post(Message(f"early-{number}", uid(number), "signal", "go", 5.0, b"x")) == "posted"
        (heard, _) = first.inbox()
        first.suspend({uid(1): Rest(100.0, "signal stop", heard.place), uid(2): Rest(100.0)})
        assert [info.id for info in second.free_runs(9, due_by=2.0)] == ["run-2"]
        (info,) = second.infos([uid(1)])
        assert (info.due_at, info.waiting_for) == (100.0, "signal stop")
        second.post(Message("late", uid(1), "signal", "stop", 6.0, b"y"))
        assert [info.id for info in second.free_runs(9, due_by=2.0)] == ["run-1", "run-2"]
        second.claim([uid(1)])
        later = second.inbox()[-1]
        assert (later.id, later.name, later.at, later.value) == ("late", "stop", 6.0, b"y")
        assert later.place > heard.place
        second.post(Message("end", uid(1), "cancel"))
        second.suspend({uid(1): Rest(100.0, "", later.place + 1)})
        assert "run-1" in [info.id for info in first.free_runs(9, due_by=2.0)]

    def test_a_signal_does_not_wake_a_run_that_waits_for_code(self, engines: tuple[Journal, Journal]) -> None:
        """It could not take it; it is there when it can."""
        first, second = engines
        first.append([start(1)])
        first.suspend({uid(1): Rest(PARKED, heard=2**62)})
        assert second.post(Message("m1", uid(1), "signal", "go", 5.0, b"x")) == "posted"
        assert second.free_runs(9, due_by=1e12) == []
        second.claim([uid(1)])
        assert [message.id for message in second.inbox()] == ["m1"]

    def test_a_signal_to_a_run_that_waits_for_code_outlives_a_retry(self, engines: tuple[Journal, Journal]) -> None:
        """Its sender was told that it was sent; a cancel is meant for the life that it was said to."""
        first, second = engines
        first.append([start(1)])
        first.suspend({uid(1): Rest(PARKED, heard=2**62)})
        second.post(Message("m1", uid(1), "signal", "go", 5.0, b"x"))
        assert second.retry(uid(1), 2, 50.0)
        assert [message.id for message in second.inbox()] == ["m1"]
        second.suspend({uid(1): Rest(PARKED, heard=2**62)})
        first.post(Message("m2", uid(1), "signal", "go", 6.0, b"y"))
        first.suspend({})
        assert first.retry(uid(1), 3, 51.0)
        assert [message.id for message in first.inbox()] == ["m1", "m2"]

    def test_a_message_wakes_a_suspended_run(self, engines: tuple[Journal, Journal]) -> None:
        """And one that nobody has read yet keeps it from waiting."""
        first, second = engines
        first.append([start(1), start(2), start(3)])
        second.post(Message("early", uid(2), "cancel"))
        first.suspend({uid(1): Rest(100.0), uid(2): Rest(100.0), uid(3): Rest(100.0)})
        second.post(Message("late", uid(1), "cancel"))
        assert [info.id for info in second.free_runs(9, due_by=1.0)] == ["run-1", "run-2"]
        second.claim([uid(1), uid(2)])
        assert [message.id for message in second.inbox()] == ["early", "late"]

    def test_what_waits_is_left_alone_when_sessions_end(self, engines: tuple[Journal, Journal]) -> None:
        """It was nobody's already."""
        first, second = engines
        first.append([start(1), start(2)])
        first.suspend({uid(1): Rest(100.0)})
        assert second.declare_dead(second.sessions()[0])
        assert [info.id for info in second.free_runs(9, due_by=1.0)] == ["run-2"]
        assert [info.id for info in second.free_runs(9, due_by=100.0)] == ["run-1", "run-2"]
