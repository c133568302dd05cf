"""The contract of the port Queues, a part of the Journal."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from weftrun.model.errors import LeaseLost, UsageError
from weftrun.model.ids import RunId, RunUid
from weftrun.model.queues import KeptQueue, NotQueued, QueueEntry, QueueLane, QueueLimits, QueueSeen, Rate
from weftrun.model.records import Enqueued, Row
from weftrun.ports.journal import Journal, Message
from weftrun.testing.contracts.samples import AT, end, start, uid
from weftrun.testing.contracts.sessions import Connect, TwoEngines, session, two_engines

LIMITS = QueueLimits(10, 2, Rate(50, 1.5), 1_000)
QUEUE = KeptQueue("emails", "a" * 32, LIMITS, LIMITS, False, ((5, "ann"),), ((AT, 3),))
"""A queue with every field, as the golden Journals have it."""


def enqueued(number: int, entry: QueueEntry, *, id: str | None = None) -> Row:
    """Return the first row of a Run of a queue."""
    row = start(number, id=id)
    return replace(row, records=(*row.records, Enqueued(entry)))


class QueueContract(TwoEngines):
    """Queues, and who waits in them."""

    @pytest.fixture
    def engines(self, connect: Connect) -> Iterator[tuple[Journal, Journal]]:
        """Return two Journals, each with a session of its own, and the queue."""
        with two_engines(connect) as engines:
            assert engines[0].put_queue(QUEUE, "")
            yield engines

    @staticmethod
    def fill(journal: Journal, *entries: QueueEntry) -> None:
        """Put a Run for each of these into the queue."""
        rows = [enqueued(n, entry) for n, entry in enumerate(entries, 1)]
        assert journal.enqueue(rows, AT) == {}

    @staticmethod
    def take(journal: Journal, *numbers: int, was: KeptQueue = QUEUE, to: str = "b") -> list[RunUid]:
        """Let Runs leave the queue, and return those that did."""
        after = replace(was, revision=to * 32)
        return [row.uid for row in journal.begin_queued(after, was.revision, [uid(n) for n in numbers])]

    def test_only_one_changes_a_revision(self, engines: tuple[Journal, Journal]) -> None:
        """Every field comes back; who comes second changes nothing."""
        first, second = engines
        one, other = replace(QUEUE, revision="1" * 32), replace(QUEUE, revision="2" * 32, is_paused=True)
        assert second.queue("emails") == QUEUE
        assert second.queue("none") is None
        assert not second.put_queue(other, ""), "there is one"
        assert second.put_queue(other, QUEUE.revision)
        assert not first.put_queue(one, QUEUE.revision)
        assert second.put_queue(other, QUEUE.revision), "it has been put already"
        assert [counts.queue for counts in first.queues()] == [other]

    def test_a_run_in_a_queue_is_nobodys_and_not_free(self, engines: tuple[Journal, Journal]) -> None:
        """It is pending, shown with its queue, and neither due nor claimed; a signal does not wake it."""
        first, second = engines
        self.fill(first, QueueEntry("emails", "ann"))
        (info,) = second.infos([uid(1)])
        assert (info.status, info.queue, info.is_queued, info.is_parked) == ("pending", "emails", True, False)
        assert info.waiting_for == "queue emails"
        assert second.post(Message("m", uid(1), "signal", "go", AT, b"")) == "posted"
        assert second.free_runs(10, due_by=AT + 1e9) == []
        assert second.parked_runs(10) == []
        assert second.claim([uid(1)]) == []
        assert not second.retry(uid(1), 2, AT)
        assert [run.uid for run in second.runs(status="pending")] == [uid(1)]
        assert second.runs(status="running") == []
        assert [run.uid for run in second.runs(status="pending", function=info.function)] == [uid(1)]

    def test_who_leaves_is_this_sessions(self, engines: tuple[Journal, Journal]) -> None:
        """Under the epoch of its start, and is counted until it has ended."""
        first, second = engines
        self.fill(first, QueueEntry("emails", "ann"), QueueEntry("emails", "bob"))
        rows = second.begin_queued(replace(QUEUE, revision="b" * 32), QUEUE.revision, [uid(2)])
        assert rows == [enqueued(2, QueueEntry("emails", "bob"))]
        (info,) = first.infos([uid(2)])
        assert (info.status, info.owner, info.epoch) == ("running", session(2).uid, 1)
        found = first.queue_now("emails")
        assert found is not None
        assert (found.queue.revision, found.under_way) == ("b" * 32, {"bob": 1})
        assert second.append([end(2, 2)]).lost == frozenset()
        found = first.queue_now("emails")
        assert found is not None
        assert found.under_way == {}
        (counts,) = first.queues()
        assert (counts.waiting, counts.delayed, counts.under_way) == (1, 0, 0)

    def test_of_two_that_decide_on_one_revision_one_succeeds(self, engines: tuple[Journal, Journal]) -> None:
        """So no place is given twice; who says the same again gets the same Runs again."""
        first, second = engines
        self.fill(first, QueueEntry("emails"), QueueEntry("emails"))
        assert self.take(first, 1) == [uid(1)]
        assert self.take(second, 2, to="c") == []
        assert self.take(first, 1) == [uid(1)], "it has happened already"
        assert self.take(second, 1, to="c") == [], "it is the other one's"
        after = replace(QUEUE, revision="b" * 32)
        assert self.take(second, 1, 2, was=after, to="c") == [uid(2)], "the first one has left before"

    def test_places_stay_with_the_runs_of_a_dead_engine(self, engines: tuple[Journal, Journal]) -> None:
        """They are free then, and whoever goes on with them ends them: only that gives a place back."""
        first, second = engines
        self.fill(first, QueueEntry("emails", "ann"))
        assert self.take(first, 1) == [uid(1)]
        (dead,) = [each for each in second.sessions() if each.uid == session(1).uid]
        assert second.declare_dead(dead)
        with pytest.raises(LeaseLost):
            self.take(first, 1, was=replace(QUEUE, revision="b" * 32), to="c")
        found = second.queue_now("emails")
        assert found is not None
        assert found.under_way == {"ann": 1}
        (info,) = second.claim([uid(1)])
        assert (info.epoch, info.takeovers) == (2, 1)
        assert second.append([end(1, 2, epoch=2)]).lost == frozenset()
        found = second.queue_now("emails")
        assert found is not None
        assert found.under_way == {}

    def test_a_cancel_takes_a_run_out(self, engines: tuple[Journal, Journal]) -> None:
        """It is free at once, and no longer in any lane; one that is under way keeps its place."""
        first, second = engines
        self.fill(first, QueueEntry("emails"), QueueEntry("emails"))
        self.take(first, 1)
        assert second.post(Message("m1", uid(1), "cancel")) == "posted"
        assert second.post(Message("m2", uid(2), "cancel")) == "posted"
        assert [run.uid for run in second.free_runs(10, due_by=AT)] == [uid(2)]
        assert second.lanes(QUEUE, (), 10).lanes == ()
        assert self.take(first, 2, was=replace(QUEUE, revision="b" * 32), to="c") == []
        (counts,) = first.queues()
        assert (counts.waiting, counts.under_way) == (0, 1)

    def test_a_purge_cancels_the_oldest_that_wait(self, engines: tuple[Journal, Journal]) -> None:
        """Also those that are delayed, and none that is under way."""
        first, second = engines
        self.fill(
            first,
            QueueEntry("emails"),
            QueueEntry("emails", starts_at=AT + 9),
            QueueEntry("emails"),
            QueueEntry("emails"),
        )
        self.take(first, 1)
        assert second.purge_queue("emails", "p", 2) == 2
        free = second.free_runs(10, due_by=AT)
        assert [run.uid for run in free] == [uid(2), uid(3)]
        second.claim([run.uid for run in free])
        assert {message.kind for message in second.inbox()} == {"cancel"}
        assert second.purge_queue("emails", "p", 2) == 1
        assert second.purge_queue("emails", "p", 2) == 0

    def test_a_full_queue_refuses_and_says_how_long_it_is(self, engines: tuple[Journal, Journal]) -> None:
        """What is under way does not count; what was put there already is passed over."""
        first, second = engines
        short = replace(QUEUE, revision="s" * 32, limits=QueueLimits(length_max=2))
        first.put_queue(short, QUEUE.revision)
        rows = [enqueued(n, QueueEntry("emails")) for n in (1, 2, 3)]
        assert first.enqueue(rows, AT) == {uid(3): NotQueued("full", 2)}
        assert second.enqueue(rows, AT) == {uid(3): NotQueued("full", 2)}, "the others are there"
        self.take(first, 1, was=short)
        assert second.enqueue(rows, AT) == {}

    def test_what_can_not_be_put_into_a_queue(self, engines: tuple[Journal, Journal]) -> None:
        """There is none, the id is another Run's, or one with the same word has not ended."""
        first, second = engines
        first.append([start(9, id="taken")])
        once = QueueEntry("emails", deduplicate="sync")
        rows = [
            enqueued(1, QueueEntry("none")),
            enqueued(2, QueueEntry("emails"), id="taken"),
            enqueued(3, once),
            enqueued(4, once),
        ]
        expected = {
            uid(1): NotQueued("missing"),
            uid(2): NotQueued("taken"),
            uid(4): NotQueued("duplicate", run=uid(3)),
        }
        assert first.enqueue(rows, AT) == expected
        self.take(second, 3)
        assert first.enqueue([rows[3]], AT) == {uid(4): NotQueued("duplicate", run=uid(3))}, "it is under way"
        second.append([end(3, 2)])
        assert first.enqueue([rows[3]], AT) == {}
        assert second.find(RunId("run-4")) is not None

    def test_a_delayed_run_waits_once_its_time_has_come(self, engines: tuple[Journal, Journal]) -> None:
        """Until then it is in no lane, and a look says when that is."""
        first, second = engines
        assert first.queues_seen() == []
        self.fill(first, QueueEntry("emails", starts_at=AT + 5), QueueEntry("emails", starts_at=AT + 9))
        assert second.queues_seen() == [QueueSeen("emails", False, AT + 5)]
        assert second.lanes(QUEUE, (), 10).lanes == ()
        second.ripen("emails", AT + 5)
        assert second.queues_seen() == [QueueSeen("emails", True, AT + 9)]
        assert [lane.runs for lane in second.lanes(QUEUE, (), 10).lanes] == [(uid(1),)]
        second.put_queue(replace(QUEUE, revision="p" * 32, is_paused=True), QUEUE.revision)
        assert first.queues_seen() == []

    def test_lanes_come_by_priority_and_in_the_order_of_turns(self, engines: tuple[Journal, Journal]) -> None:
        """The key after the one that was served last has the first turn; keys that are skipped are left out."""
        first, _ = engines
        keys = ["", "ann", "bob", "cat", "bob", "ann"]
        self.fill(
            first,
            *(QueueEntry("emails", key) for key in keys),
            QueueEntry("emails", "ann", 0),
            QueueEntry("emails", "é", 9),
        )

        def order(skip: tuple[str, ...] = (), most: int = 10, last: str | None = "ann") -> list[tuple[int, str]]:
            turns = () if last is None else ((5, last),)
            return [(lane.priority, lane.key) for lane in first.lanes(replace(QUEUE, turns=turns), skip, most).lanes]

        assert order() == [(0, "ann"), (5, "bob"), (5, "cat"), (5, ""), (5, "ann"), (9, "é")]
        assert order(last=None) == [(0, "ann"), (5, ""), (5, "ann"), (5, "bob"), (5, "cat"), (9, "é")]
        assert order(last="zoe") == order(last=None)
        assert order(skip=("ann", "cat")) == [(5, "bob"), (5, ""), (9, "é")]
        assert order(most=3) == [(0, "ann"), (5, "bob"), (5, "cat")]
        found = first.lanes(QUEUE, (), 3)
        assert not found.is_complete
        assert found.lanes[1] == QueueLane(5, "bob", (uid(3), uid(5)), has_more=True)
        found = first.lanes(QUEUE, (), 6)
        assert found.is_complete
        assert found.lanes[0] == QueueLane(0, "ann", (uid(7),))

    def test_a_queue_is_deleted_when_nothing_is_in_it(self, engines: tuple[Journal, Journal]) -> None:
        """Else it says so."""
        first, second = engines
        self.fill(first, QueueEntry("emails"))
        with pytest.raises(UsageError, match="Runs wait in the queue emails"):
            second.delete_queue("emails")
        self.take(first, 1)
        first.append([end(1, 2)])
        assert second.delete_queue("emails")
        assert not second.delete_queue("emails")
        assert second.queues() == []
