"""Journals of every released schema are read for ever."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import psycopg
import pytest
from tests.postgres import make_golden
from tests.postgres.fixtures import OpenJournal

from weftrun.adapters.postgres.journal import PostgresJournal
from weftrun.adapters.postgres.statements import SCHEMA
from weftrun.model.commands import UNTIL_TOLD
from weftrun.model.emits import DeliveryStatus
from weftrun.model.ids import RunId
from weftrun.model.queues import QueueCounts
from weftrun.ports.journal import Appended, Message
from weftrun.testing.contracts.queues import QUEUE
from weftrun.testing.contracts.samples import AT, BLOB, as_posted, end, start, uid
from weftrun.testing.contracts.schedules import SCHEDULE
from weftrun.testing.contracts.sessions import session

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.sql"))


def test_there_is_one_of_every_schema() -> None:
    """A letter after the number: the tables are the same, and records have grown."""
    scripts = files("weftrun.adapters.postgres").joinpath("schema").iterdir()
    assert sorted({file.stem[:4] for file in GOLDEN}) == sorted(script.name[:4] for script in scripts)
    assert len({file.stem[:4] for file in GOLDEN}) == len(SCHEMA)


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda file: file.stem)
def test_it_is_read_and_written_on(opened: OpenJournal, url: str, golden: Path) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(golden.read_bytes())
    journal = opened()
    for number in (1, 2, 4):
        assert journal.load(uid(number)) == make_golden.ROWS[number]
    assert journal.load(uid(3)) == []
    assert journal.meta().hash_seed == 0x0BADCAFE + 1
    emits = [(told.delivery_status, told.order_by) for told in journal.emitted(uid(5))]
    if emits or golden == GOLDEN[-1]:
        assert journal.load(uid(5)) == make_golden.ROWS[5]
        assert emits == [
            (DeliveryStatus.DELIVERED, "a key"),
            (DeliveryStatus.UNKNOWN, None),
            (DeliveryStatus.WAITING, None),
        ]
    assert [(info.id, info.status) for info in journal.runs() if info.id < "run-5"] == [
        ("run-4", "running"),
        ("run-2", "failed"),
        ("run-1", "succeeded"),
    ]
    (open_run, *parked) = journal.open_runs()
    if parked or golden == GOLDEN[-1]:
        rows = make_golden.ROWS[6]
        assert journal.load(uid(6)) == [*rows[:3], make_golden.RETRIED, *rows[3:]]
        retried = journal.find(RunId("run-6"))
        assert retried is not None
        assert (retried.status, retried.lives) == ("succeeded", 2)
        assert journal.load(uid(7)) == make_golden.ROWS[7]
        assert [(info.id, info.waiting_for) for info in journal.parked_runs(9)] == [("run-7", "code")]
    assert (open_run.id, open_run.epoch, open_run.takeovers) == ("run-4", 2, 0)
    assert open_run.owner == session(1).uid
    assert [(found.uid, found.heartbeat) for found in journal.sessions()] == [(session(1).uid, 3 if emits else 2)]
    tombstone = journal.find(RunId("run-3"))
    assert tombstone is not None
    assert tombstone.deleted
    (message, *strays) = as_posted(journal.inbox())
    assert message == Message("message-2", uid(4), "cancel")
    if strays or golden == GOLDEN[-1]:
        assert strays == [make_golden.STRAY]
        waiting = journal.find(RunId("run-8"))
        assert waiting is not None
        assert (waiting.waiting_for, waiting.due_at) == ("signal verdict", UNTIL_TOLD)
        assert journal.load(uid(8)) == make_golden.ROWS[8]
    assert journal.blobs_named() == {BLOB.sha256}
    schedules = journal.schedules()
    if schedules or golden == GOLDEN[-1]:
        assert schedules == [SCHEDULE]
    _check_queues(journal, golden)
    journal.begin(session(2))
    assert journal.append([end(4, 4, epoch=2), start(99)]) == Appended(lost=frozenset({uid(4)}))
    assert journal.declare_dead(journal.sessions()[0])
    assert [info.id for info in journal.claim([uid(4)])] == ["run-4"]
    assert journal.append([end(4, 4, epoch=3)]) == Appended()
    assert journal.load(uid(4))[-1] == end(4, 4, epoch=3)
    assert [(info.id, info.owner) for info in journal.open_runs() if info.owner] == [("run-99", session(2).uid)]
    assert journal.retry(uid(2), 2, AT + 20)
    untaken = [message for message in as_posted(journal.inbox()) if message.run == uid(2)]
    assert untaken == ([make_golden.UNTAKEN] if golden.stem >= "0009" else [])


def _check_queues(journal: PostgresJournal, golden: Path) -> None:
    queues = journal.queues()
    if queues or golden == GOLDEN[-1]:
        assert queues == [QueueCounts(QUEUE, 0, 1, 0)]
        assert journal.load(uid(9)) == make_golden.QUEUED
    if golden == GOLDEN[-1]:
        assert journal.place_shares("app:count").others == (make_golden.SHARE,)


def test_the_newest_is_what_is_written_today(url: str) -> None:
    """A changed encoding needs a new schema: this goes red before somebody's Journal does."""
    make_golden.write(url)
    assert make_golden.dump(url) == GOLDEN[-1].read_text()
