"""The contract of the port Journal."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from weftrun.model.errors import InternalError, UsageError
from weftrun.model.ids import RunId
from weftrun.model.outcomes import Status
from weftrun.model.records import Ended, Retried, Row
from weftrun.model.values import Blob, Payload
from weftrun.ports.journal import Appended, Journal, Message
from weftrun.testing.contracts.samples import (
    AT,
    BLOB,
    ONE_OF_EACH,
    VALUE,
    as_posted,
    end,
    more,
    start,
    uid,
)

OpenJournal = Callable[[], Journal]


class JournalContract:
    """Subclasses give the fixture `reopen`: each call closes what it gave before and opens the same storage again."""

    @pytest.fixture
    def reopen(self) -> OpenJournal:
        """Return what opens the Journal under test."""
        raise NotImplementedError

    @pytest.fixture
    def journal(self, reopen: OpenJournal) -> Journal:
        """Return a new Journal."""
        return reopen()

    # ------------------------------------------------------------------ the whole

    def test_facts_stay(self, reopen: OpenJournal) -> None:
        """The hash seed is drawn once for a Journal (B4)."""
        first = reopen().meta()
        assert 0 < first.hash_seed < 2**32
        assert first.schema >= 1
        assert reopen().meta() == first

    def test_an_empty_journal(self, journal: Journal) -> None:
        """Nothing is found, and nothing fails."""
        assert (journal.runs(), journal.open_runs(), journal.inbox(), journal.load(uid(1))) == ([], [], [], [])
        assert journal.find(RunId("run-1")) is None
        assert journal.blobs_named() == set()
        assert journal.append([]) == Appended()
        assert (journal.sessions(), journal.free_runs(9, due_by=0.0), journal.infos([uid(1)])) == ([], [], [])

    def test_close_is_idempotent(self, journal: Journal) -> None:
        """A closed Journal can be closed."""
        journal.close()
        journal.close()

    # ------------------------------------------------------------------ append and load

    def test_every_record_comes_back(self, reopen: OpenJournal) -> None:
        """What was appended is loaded, in order, with every field, by the next one who opens it."""
        rows = [start(1), *(more(1, seq, [record]) for seq, record in enumerate(ONE_OF_EACH, 2))]
        rows += [more(1, len(rows) + 1, ONE_OF_EACH), end(1, len(rows) + 2)]
        journal = reopen()
        for row in rows:
            assert journal.append([row]) == Appended()
        assert journal.load(uid(1)) == rows
        for after in (1, 2, len(rows)):
            assert journal.newer(uid(1), after, 3) == rows[after : after + 3], "what is newer than a row that is known"
        assert reopen().load(uid(1)) == rows

    def test_a_run_in_one_transaction(self, journal: Journal) -> None:
        """Start, graph and end may share a transaction, and even a row."""
        rows = [start(1), more(1, 2), end(1, 3)]
        ended = end(3, 2).records[0]
        whole = Row(uid(3), 1, AT, 1, (*start(3).records, *ONE_OF_EACH, ended))
        assert journal.append([*rows, start(2), whole]) == Appended()
        assert journal.load(uid(1)) == rows
        assert journal.load(uid(3)) == [whole]
        assert [info.id for info in journal.open_runs()] == ["run-2"]

    def test_a_taken_id_is_refused_alone(self, reopen: OpenJournal) -> None:
        """Of two uids under one id the first has it; other rows of the same transaction go on (N2)."""
        journal = reopen()
        journal.append([start(1, id="mine")])
        rows = [start(2), start(3, id="mine"), more(3, 2), end(3, 3), more(2, 2)]
        assert journal.append(rows) == Appended(taken=frozenset({uid(3)}))
        assert journal.load(uid(3)) == []
        assert journal.load(uid(2)) == [start(2), more(2, 2)]
        assert reopen().append([start(3, id="mine")]) == Appended(taken=frozenset({uid(3)}))
        found = reopen().find(RunId("mine"))
        assert found is not None
        assert found.uid == uid(1)

    def test_two_starts_of_one_id_in_one_transaction(self, journal: Journal) -> None:
        """The first of them has it."""
        assert journal.append([start(1, id="mine"), start(2, id="mine"), end(2, 2), end(1, 2)]) == Appended(
            taken=frozenset({uid(2)})
        )
        assert journal.load(uid(1)) == [start(1, id="mine"), end(1, 2)]

    def test_a_repeated_append_changes_nothing(self, reopen: OpenJournal) -> None:
        """After a commit of which nothing is known the same rows are appended again, perhaps with later ones."""
        rows = [start(1), more(1, 2), more(1, 3), start(2), end(2, 2)]
        journal = reopen()
        journal.append(rows)
        assert journal.append(rows) == Appended()
        journal = reopen()
        assert journal.append([*rows, more(1, 4), end(1, 5)]) == Appended()
        assert journal.load(uid(1)) == [*rows[:3], more(1, 4), end(1, 5)]
        assert journal.load(uid(2)) == rows[3:]
        assert journal.open_runs() == []

    @pytest.mark.parametrize(
        "wrong",
        [
            pytest.param([more(1, 4)], id="a gap"),
            pytest.param([more(1, 3, epoch=2)], id="an epoch that was never given"),
            pytest.param([more(1, 2, ONE_OF_EACH)], id="another row under a seq that is taken"),
            pytest.param([start(1, id="other")], id="another start of the same Run"),
            pytest.param([Row(uid(3), 1, AT, 1, ONE_OF_EACH)], id="a first record that is no start"),
            pytest.param([more(2, 3)], id="a Run that has ended"),
            pytest.param([end(1, 3), more(1, 4)], id="a Run that ends before"),
        ],
    )
    def test_all_or_nothing(self, reopen: OpenJournal, wrong: list[Row]) -> None:
        """One row that may not be appended, and the whole transaction leaves no trace."""
        before = [start(1), more(1, 2), start(2), end(2, 2)]
        journal = reopen()
        journal.append(before)
        with pytest.raises(InternalError):
            journal.append([start(9), *wrong])
        for _ in range(2):
            assert journal.load(uid(1)) == before[:2]
            assert journal.load(uid(2)) == before[2:]
            assert journal.find(RunId("run-9")) is None
            journal = reopen()
        assert journal.append([start(9), more(1, 3)]) == Appended()

    def test_any_grouping_gives_the_same_journal(self, reopen: OpenJournal) -> None:
        """However rows of several Runs are cut into transactions, and some repeated, each Run loads as it was."""
        draw = random.Random(7)
        for trial in range(10):
            numbers = range(trial * 10 + 1, trial * 10 + 6)
            runs = {
                number: [start(number), *(more(number, seq) for seq in range(2, 6)), end(number, 6)]
                for number in numbers
            }
            waiting = {number: list(rows) for number, rows in runs.items()}
            journal = reopen()
            while any(waiting.values()):
                chosen = draw.sample(sorted(number for number in waiting if waiting[number]), k=1)
                chosen += draw.choices(sorted(number for number in waiting if waiting[number]), k=draw.randrange(4))
                group = [waiting[number].pop(0) for number in chosen if waiting[number]]
                journal.append(group)
                if draw.random() < 0.3:
                    journal = reopen() if draw.random() < 0.5 else journal
                    journal.append(group)
            assert all(journal.load(uid(number)) == rows for number, rows in runs.items())

    # ------------------------------------------------------------------ listings

    def test_listings(self, journal: Journal) -> None:
        """`runs` is newest first and can be narrowed; `open_runs` is oldest first."""
        journal.append([start(1), start(2), start(3), start(4), end(2, 2), end(4, 2, "failed")])
        assert [info.id for info in journal.runs()] == ["run-4", "run-3", "run-2", "run-1"]
        assert [info.id for info in journal.runs(limit=2)] == ["run-4", "run-3"]
        assert [info.id for info in journal.runs(status="running")] == ["run-3", "run-1"]
        assert [info.id for info in journal.runs(status="failed")] == ["run-4"]
        assert [info.id for info in journal.open_runs()] == ["run-1", "run-3"]

    def test_pages(self, journal: Journal) -> None:
        """A page begins where the one before it ended, whatever is wanted and whatever is started meanwhile."""
        ids = {number: f"{'north' if number % 2 else 'south'}/{number}" for number in range(1, 13)} | {13: "plain"}
        journal.append([start(number, id=id) for number, id in ids.items()])
        journal.append([end(number, 2, ("succeeded", "failed", "cancelled")[number % 3]) for number in range(1, 10)])
        function = journal.runs(limit=1)[0].function

        def paged(**wanted: Any) -> list[str]:
            """Return the ids on all pages, while one Run more is started after each."""
            found, before = list[str](), journal.runs(limit=1)[0].place + 1
            while page := journal.runs(**wanted, before=before, limit=2):
                assert len(page) <= 2
                found += [info.id for info in page]
                before = page[-1].place
                fresh = 14 + len(journal.runs(limit=100))
                journal.append([start(fresh, id=f"north/{fresh}")])
            return found

        newest_first = [ids[number] for number in reversed(ids)]
        assert paged() == newest_first
        assert paged(function="another") == []
        of_north = paged(prefix="north/")
        assert [id for id in of_north if id in newest_first] == [id for id in newest_first if id.startswith("north/")]
        assert set(of_north) >= {id for id in newest_first if id.startswith("north/")}
        assert paged(prefix="nor/") == []
        assert paged(begins="nort%") == paged(begins="x") == []
        assert paged(begins="south/1", status="running") == ["south/12", "south/10"]
        assert paged(begins="plain", function=function) == ["plain"]
        failed = [ids[number] for number in (7, 4, 1)]
        assert paged(status="failed") == paged(status="failed", function=function) == failed
        assert paged(status="failed", prefix="north/", function=function) == [ids[7], ids[1]]
        assert paged(status="cancelled", prefix="south/") == [ids[8], ids[2]]
        assert paged(status="succeeded") == [ids[number] for number in (9, 6, 3)]
        assert [id for id in paged(status="running") if id in newest_first] == newest_first[:4]

    def test_what_is_told_of_a_run(self, journal: Journal) -> None:
        """Each fact stands where the start record had it; the end adds its status and time."""
        journal.append([start(1)])
        info = journal.find(RunId("run-1"))
        assert info is not None
        assert (info.uid, info.function, info.version, info.file) == (uid(1), "app:wordcount", "v2", "/srv/app.py")
        assert (info.status, info.started_at, info.ended_at, info.digest) == ("running", AT + 1, None, "d0")
        assert (info.epoch, info.takeovers, info.deleted) == (1, 0, False)
        journal.append([end(1, 2, "cancelled")])
        info = journal.find(RunId("run-1"))
        assert info is not None
        assert (info.status, info.ended_at) == ("cancelled", end(1, 2).at)

    # ------------------------------------------------------------------ claim

    def test_a_claim_raises_the_epoch(self, reopen: OpenJournal) -> None:
        """Whoever owned the Run before can't append to it any more, and the others of its group go on (O1, O2)."""
        journal = reopen()
        journal.append([start(1), more(1, 2), start(2)])
        (info,) = reopen().claim([uid(1)])
        assert (info.id, info.epoch, info.takeovers) == ("run-1", 2, 1)
        journal = reopen()
        assert journal.append([more(1, 3), more(2, 2), end(1, 4)]) == Appended(lost=frozenset({uid(1)}))
        assert journal.append([more(1, 3, epoch=2)]) == Appended()
        assert [row.epoch for row in journal.load(uid(1))] == [1, 1, 2]
        assert journal.load(uid(2)) == [start(2), more(2, 2)]

    def test_rows_of_a_run_that_is_gone_are_left_out(self, journal: Journal) -> None:
        """It was taken over, ended and deleted while its former owner slept."""
        journal.append([start(1), start(2)])
        assert journal.append([more(3, 2), more(2, 2)]) == Appended(lost=frozenset({uid(3)}))
        assert journal.load(uid(2)) == [start(2), more(2, 2)]

    def test_takeovers_are_counted_until_the_next_record(self, reopen: OpenJournal) -> None:
        """A Run that kills its engine shows by its counter."""
        journal = reopen()
        journal.append([start(1)])
        assert [journal.claim([uid(1)])[0].takeovers for _ in range(3)] == [1, 2, 3]
        assert reopen().claim([uid(1)])[0].takeovers == 4
        journal = reopen()
        journal.append([more(1, 2, epoch=5)])
        assert journal.open_runs()[0].takeovers == 0
        assert journal.claim([uid(1)])[0].takeovers == 1
        journal.append([end(1, 3, epoch=6)])
        found = journal.find(RunId("run-1"))
        assert found is not None
        assert found.takeovers == 0

    def test_a_run_that_was_put_back_was_not_taken_over(self, journal: Journal) -> None:
        """An engine that is closed in good order, or can't load the code, says nothing against the Run."""
        journal.append([start(1), start(2)])
        for _ in range(3):
            assert journal.claim([uid(1)])[0].takeovers == 1
            journal.put_back([uid(1), uid(2), uid(3)])
        assert [info.takeovers for info in journal.open_runs()] == [0, 0]

    def test_only_what_is_open_is_claimed(self, journal: Journal) -> None:
        """Of an ended or unknown Run there is nothing to own."""
        journal.append([start(1), end(1, 2), start(3)])
        assert [info.id for info in journal.claim([uid(1), uid(2), uid(3)])] == ["run-3"]

    # ------------------------------------------------------------------ lives

    def test_a_run_that_failed_is_begun_again(self, reopen: OpenJournal) -> None:
        """Its rows go on, under a new epoch, and it is open, due, and nobody's (L1)."""
        journal = reopen()
        journal.append(
            [start(1), more(1, 2), end(1, 3, "failed"), start(2), end(2, 2, "cancelled"), start(3), start(4)]
        )
        assert journal.retry(uid(1), 2, AT + 9)
        assert journal.retry(uid(2), 2, AT + 9)
        begun = Row(uid(1), 4, AT + 9, 2, (Retried(2),))
        for _ in range(2):
            assert journal.load(uid(1)) == [start(1), more(1, 2), end(1, 3, "failed"), begun]
            info = journal.find(RunId("run-1"))
            assert info is not None
            assert (info.status, info.ended_at, info.epoch, info.lives) == ("running", None, 2, 2)
            assert (info.owner, info.takeovers, info.waiting_for) == ("", 0, None)
            assert {run.id for run in journal.free_runs(9, due_by=AT)} >= {"run-1", "run-2"}
            journal = reopen()
        assert journal.append([end(1, 3, "failed"), more(1, 4)]) == Appended(lost=frozenset({uid(1)}))
        (claimed,) = journal.claim([uid(1)])
        assert (claimed.epoch, claimed.takeovers, claimed.lives) == (3, 0, 2)
        journal.append([end(1, 5, epoch=3)])
        found = journal.find(RunId("run-1"))
        assert found is not None
        assert (found.status, found.lives) == ("succeeded", 2)

    def test_two_who_retry_begin_one_life(self, journal: Journal) -> None:
        """Whoever comes second, or asks again since nothing was known, finds that it has begun."""
        journal.append([start(1), end(1, 2, "failed")])
        assert journal.retry(uid(1), 2, AT + 9)
        assert journal.retry(uid(1), 2, AT + 10)
        assert [row.at for row in journal.load(uid(1))] == [start(1).at, end(1, 2).at, AT + 9]
        assert not journal.retry(uid(1), 3, AT + 11)
        assert not journal.retry(uid(1), 4, AT + 11)

    def test_what_can_not_be_retried(self, journal: Journal) -> None:
        """A Run that succeeded, goes on, was deleted, or is not there."""
        journal.append([start(1), end(1, 2), start(2), start(3), end(3, 2, "failed")])
        journal.delete(RunId("run-3"), forget=False)
        for number in (1, 2, 3, 4):
            assert not journal.retry(uid(number), 2, AT + 9)
        assert journal.load(uid(1)) == [start(1), end(1, 2)]
        assert journal.load(uid(2)) == [start(2)]

    def test_a_cancel_of_one_life_is_not_said_to_the_next(self, journal: Journal) -> None:
        """It may have come too late to be read."""
        journal.append([start(1)])
        journal.post(Message("m1", uid(1), "cancel"))
        journal.append([end(1, 2, "failed")])
        journal.retry(uid(1), 2, AT + 9)
        assert journal.inbox() == []

    def test_signals_that_nobody_took_are_there_in_the_next_life(self, reopen: OpenJournal) -> None:
        """Their sender was told that they were sent: they stay, in their order, however much others send meanwhile."""
        journal = reopen()
        journal.append([start(1), start(2), start(3)])
        signals = [Message(f"m{number}", uid(1), "signal", "go", 1.0 + number, b"x") for number in range(70)]
        for message in (*signals, Message("c1", uid(1), "cancel"), Message("s2", uid(2), "signal", "go", 1.0, b"y")):
            assert journal.post(message) == "posted"
        journal.append([end(1, 2, "failed"), end(2, 2, "cancelled")])
        journal = reopen()
        assert journal.post(Message("s3", uid(3), "signal", "go", 1.0, b"z")) == "posted"
        journal.drop_messages(["m0", "s3"])
        assert journal.inbox() == []
        assert journal.retry(uid(1), 2, AT + 9)
        assert journal.retry(uid(2), 2, AT + 9)
        second = Message("s2", uid(2), "signal", "go", 1.0, b"y")
        assert as_posted(journal.inbox()) == [*signals[1:], second]
        journal.append([end(1, 4, "failed", epoch=2)])
        assert journal.retry(uid(1), 3, AT + 10)
        assert as_posted(journal.inbox()) == [*signals[1:], second]

    @pytest.mark.parametrize("status", ["succeeded", "failed"])
    def test_signals_go_with_what_can_not_be_retried(self, journal: Journal, status: Status) -> None:
        """A Run that succeeded, or was deleted, keeps none: its ids may be used again."""
        journal.append([start(1), start(2)])
        journal.post(Message("m1", uid(1), "signal", "go", 1.0, b"x"))
        journal.append([end(1, 2, status)])
        if status == "failed":
            journal.delete(RunId("run-1"), forget=False)
        assert journal.post(Message("m1", uid(2), "signal", "go", 1.0, b"y")) == "posted"
        assert [message.run for message in journal.inbox()] == [uid(2)]

    # ------------------------------------------------------------------ inbox

    def test_messages_wait_in_order_once(self, reopen: OpenJournal) -> None:
        """A message is kept once by its id, and for as long as its Run is open."""
        journal = reopen()
        journal.append([start(1), start(2)])
        messages = [Message("m1", uid(2), "cancel"), Message("m0", uid(1), "cancel"), Message("m2", uid(2), "cancel")]
        for message in [*messages, messages[0], Message("m9", uid(9), "cancel")]:
            journal.post(message)
        assert as_posted(journal.inbox()) == messages
        journal = reopen()
        assert as_posted(journal.inbox()) == messages
        journal.append([end(2, 2)])
        assert as_posted(journal.inbox()) == [messages[1]]
        journal.post(messages[0])
        assert as_posted(journal.inbox()) == [messages[1]]

    def test_a_sender_is_told_what_became_of_a_message(self, journal: Journal) -> None:
        """Whether it is kept; the same one again is kept already, even where there is no room for another."""
        journal.append([start(1), start(2), end(2, 2)])
        signal = Message("m1", uid(1), "signal", "verdict", 7.5, b"\x00yes")
        assert journal.post(signal, signals_max=2) == "posted"
        assert journal.post(replace(signal, value=b"other"), signals_max=1) == "posted"
        assert journal.post(replace(signal, id="m2"), signals_max=2) == "posted"
        assert journal.post(replace(signal, id="m3"), signals_max=2) == "full"
        assert journal.post(Message("m4", uid(1), "cancel"), signals_max=2) == "posted"
        assert journal.post(replace(signal, id="m5", run=uid(2))) == "ended"
        assert journal.post(replace(signal, id="m6", run=uid(9))) == "missing"
        assert as_posted(journal.inbox())[:2] == [signal, replace(signal, id="m2")]
        assert [message.id for message in journal.inbox()] == ["m1", "m2", "m4"]

    def test_messages_that_were_taken_are_dropped(self, journal: Journal) -> None:
        """And no others; said again it changes nothing, and a sender that asks again is kept again."""
        journal.append([start(1)])
        for number in range(4):
            journal.post(Message(f"m{number}", uid(1), "signal", "verdict", 1.0, b""))
        for _ in range(2):
            journal.drop_messages(["m2", "m0", "m9"])
        assert [message.id for message in journal.inbox()] == ["m1", "m3"]
        assert journal.post(Message("m0", uid(1), "signal", "verdict", 1.0, b"")) == "posted"
        assert [message.id for message in journal.inbox()] == ["m1", "m3", "m0"]

    def test_a_place_in_the_inbox_is_given_once(self, reopen: OpenJournal) -> None:
        """A Run that has heard up to a place hears what comes later, although what it had heard is gone."""
        journal = reopen()
        journal.append([start(1)])
        places = []
        for number in range(3):
            journal.post(Message(f"m{number}", uid(1), "signal", "verdict", 1.0, b""))
            places += [message.place for message in journal.inbox()]
            journal.drop_messages([f"m{number}"])
            journal = reopen()
        assert places == sorted(set(places))

    # ------------------------------------------------------------------ delete

    def test_delete_leaves_a_tombstone(self, reopen: OpenJournal) -> None:
        """The id stays taken (G1)."""
        journal = reopen()
        journal.append([start(1), more(1, 2), end(1, 3), start(2)])
        before = journal.find(RunId("run-1"))
        assert journal.delete(RunId("run-1"), forget=False) == before
        journal = reopen()
        info = journal.find(RunId("run-1"))
        assert info is not None
        assert (info.deleted, info.uid, info.status, info.digest) == (True, uid(1), "succeeded", "d0")
        assert journal.load(uid(1)) == []
        assert [run.id for run in journal.runs()] == ["run-2"]
        assert journal.append([start(3, id="run-1")]) == Appended(taken=frozenset({uid(3)}))

    def test_forget_frees_the_id(self, journal: Journal) -> None:
        """Also that of a tombstone."""
        journal.append([start(1), end(1, 2), start(2), end(2, 2)])
        journal.delete(RunId("run-1"), forget=False)
        for name in ("run-1", "run-2"):
            journal.delete(RunId(name), forget=True)
            assert journal.find(RunId(name)) is None
        assert journal.append([start(3, id="run-1"), start(4, id="run-2")]) == Appended()

    def test_delete_of_what_is_not_there_or_goes_on(self, journal: Journal) -> None:
        """None, and a sentence."""
        journal.append([start(1), more(1, 2)])
        assert journal.delete(RunId("run-9"), forget=False) is None
        with pytest.raises(UsageError, match="run-1"):
            journal.delete(RunId("run-1"), forget=True)
        assert journal.load(uid(1)) == [start(1), more(1, 2)]

    def test_what_ended_before_a_time_is_deleted_together(self, journal: Journal) -> None:
        """But not what goes on, ended later, or was deleted; of those `forget` frees the ids of none but these."""
        journal.append([start(1), end(1, 2), start(2), end(2, 2), start(3), more(3, 2), start(4), end(4, 2, "failed")])
        journal.delete(RunId("run-2"), forget=False)
        every = [uid(number) for number in (1, 2, 3, 4, 9)]
        assert journal.delete_ended(every, before=end(1, 2).at, forget=True) == []
        assert journal.delete_ended(every, before=end(1, 2).at + 0.5, forget=False) == [uid(1)]
        assert journal.delete_ended(every, before=end(4, 2).at + 0.5, forget=True) == [uid(4)]
        assert [run.id for run in journal.runs()] == ["run-3"]
        assert journal.load(uid(1)) == []
        assert journal.find(RunId("run-4")) is None
        left = journal.find(RunId("run-1"))
        assert left is not None
        assert left.deleted

    # ------------------------------------------------------------------ blobs

    def test_every_named_blob_is_told(self, journal: Journal) -> None:
        """In arguments, chunks and answers; those of deleted Runs no more."""
        first, last = Blob("01" * 32, 2**31), Blob("f" * 64, 1)
        answer = Ended("succeeded", Payload(last), None)
        journal.append([start(1, args=Payload(first)), more(1, 2, ONE_OF_EACH), start(2, args=VALUE)])
        assert journal.blobs_named() == {first.sha256, BLOB.sha256}
        journal.append([more(1, 3, [answer])])
        assert journal.blobs_named() == {first.sha256, BLOB.sha256, last.sha256}
        journal.delete(RunId("run-1"), forget=False)
        assert journal.blobs_named() == set()
