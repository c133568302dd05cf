"""Makes the golden Journal of the current schema: `python -m tests.postgres.make_golden > tests/postgres/golden/N.sql`.

It is made once for each schema, when that is released, and kept for ever: what somebody's engine wrote then must be
read by every later one. It holds the scripts as they were, and one of each record, so it pins the encoding, too.
"""

from __future__ import annotations

import psycopg
from tests.postgres.server import Server

from weftrun.adapters.postgres.journal import PostgresJournal
from weftrun.adapters.postgres.statements import SCHEMA
from weftrun.model.commands import UNTIL_TOLD
from weftrun.model.emits import DeliveryStatus, Verdict
from weftrun.model.ids import RunId
from weftrun.model.places import PlaceShare
from weftrun.model.queues import QueueEntry
from weftrun.model.records import Retried, Row
from weftrun.ports.journal import PARKED, Message, Rest
from weftrun.testing.contracts.outbox import ALL, emit, emitting
from weftrun.testing.contracts.queues import QUEUE, enqueued
from weftrun.testing.contracts.samples import (
    ABANDONED,
    AT,
    BRANCHED,
    KEPT,
    ONE_OF_EACH,
    SIGNALLED,
    UNFIT,
    end,
    more,
    start,
    uid,
)
from weftrun.testing.contracts.schedules import SCHEDULE
from weftrun.testing.contracts.sessions import session

TABLES = {
    "meta": "one",
    "session": "key",
    "run": "key",
    "record": "run, seq",
    "inbox": "place",
    "outbox": "place",
    "sink": "name",
    "schedule": "id",
    "queue": "name",
    "queue_entry": "run",
    "function_limit": "function",
    "place_share": "function, session",
}
"""Each table, and the order in which its rows are dumped."""
COUNTED = {"session_key_seq": 1, "run_key": 9, "inbox_place_seq": 2, "outbox_place_seq": 3}
"""Each sequence, and the number that it gave last."""


class FixedEntropy:
    """Gives the golden Journal the same hash seed every time."""

    def uid(self) -> str:
        return "0badcafe" * 4

    def jitter(self, name: str) -> float:
        return 0.0


ROWS: dict[int, list[Row]] = {
    1: [start(1), *(more(1, seq, [record]) for seq, record in enumerate(ONE_OF_EACH, 2)), end(1, 9)],
    2: [start(2), more(2, 2, ONE_OF_EACH), end(2, 3, "failed")],
    3: [start(3), end(3, 2)],
    4: [start(4), more(4, 2), more(4, 3, epoch=2)],
    5: [start(5), emitting(5, 2, emit(0, order_by="a key"), emit(1), emit(2)), end(5, 3)],
    6: [
        start(6),
        more(6, 2, (ABANDONED,)),
        end(6, 3, "failed"),
        more(6, 5, (BRANCHED, KEPT), epoch=2),
        end(6, 6, epoch=2),
    ],
    7: [start(7), more(7, 2, (UNFIT,))],
    8: [start(8), more(8, 2, SIGNALLED)],
}
"""Run 1 has a row for each record, 2 failed, 3 was deleted, 4 is owned, was taken over and is asked to be cancelled.

Run 5, from the format with an outbox on, has emitted thrice: one is delivered, one unknown, one waits. From the format
with lives on, Run 6 failed and was retried, and Run 7 is parked. From the format with signals on, Run 8 took one, and
waits for another, of another name than that which is in the inbox."""

RETRIED = Row(uid(6), 4, AT + 9, 2, (Retried(2),))
"""How the second life of Run 6 begins."""

QUEUED = [enqueued(9, QueueEntry("emails", "ann", 1, AT + 99, "once"))]
"""From the format with queues on: a Run that waits in one."""

UNTAKEN = Message("message-5", uid(2), "signal", "go", AT + 1, b"\x00e")
"""What nobody took of Run 2 before it failed, from the format on in which it stays for the next life."""

SHARE = PlaceShare(2, 3)
"""From the format with limits of Functions on: what this engine has of one."""

STRAY = Message("message-4", uid(8), "signal", "stray", AT + 10, b"\x00e")


def write(url: str) -> None:
    """Write the golden Journal."""
    journal = PostgresJournal(url, FixedEntropy())
    for number, rows in ROWS.items():
        for row in rows:
            if (number, row.seq) == (2, 3):
                journal.post(UNTAKEN)
            if (number, row.seq) == (4, 3):
                journal.begin(session(1))
                journal.claim([uid(4)])
            if (number, row.seq) == (6, 5):
                journal.retry(uid(6), 2, RETRIED.at)
            journal.append([row], renew=number == 4)
    first, second, _ = journal.take_emits(ALL).parcels
    verdicts = [Verdict(first.place, DeliveryStatus.DELIVERED), Verdict(second.place, DeliveryStatus.UNKNOWN, "lost")]
    journal.settle_emits("orders", verdicts, AT + 9)
    journal.delete(RunId("run-3"), forget=False)
    journal.post(Message("message-2", uid(4), "cancel"))
    journal.post(STRAY)
    (stray,) = (message for message in journal.inbox() if message.id == STRAY.id)
    journal.put_schedule(SCHEDULE, "")
    journal.put_queue(QUEUE, "")
    journal.enqueue(QUEUED, AT)
    journal.put_share("app:count", SHARE, "", "d" * 32)
    journal.suspend({uid(7): Rest(PARKED), uid(8): Rest(UNTIL_TOLD, "signal verdict", stray.place)})
    journal.close()


def dump(url: str) -> str:
    """Return the SQL that makes a Journal again in an empty database."""
    lines = ["CREATE SCHEMA weftrun;", *SCHEMA]
    with psycopg.connect(url, autocommit=True) as connection:
        for table, order in TABLES.items():
            names = [column.name for column in connection.execute(f"TABLE weftrun.{table}".encode()).description or ()]
            values = " || ', ' || ".join(f"quote_nullable({column})" for column in names)
            question = f"SELECT {values} FROM weftrun.{table} ORDER BY {order}"
            for (row,) in connection.execute(question.encode()).fetchall():
                lines.append(
                    f"INSERT INTO weftrun.{table} ({', '.join(names)}) OVERRIDING SYSTEM VALUE VALUES ({row});"
                )
    lines += [f"SELECT setval('weftrun.{sequence}', {last});" for sequence, last in COUNTED.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    server = Server()
    try:
        write(server.url("postgres"))
        print(dump(server.url("postgres")), end="")
    finally:
        server.remove()
