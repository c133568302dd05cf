"""How rows lie in the database, and what an append reads to add some."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from tests.postgres.fixtures import OpenJournal
from tests.postgres.server import Server

from weftrun.adapters.postgres import journal as journal_module
from weftrun.adapters.postgres.journal import PostgresJournal
from weftrun.adapters.postgres.statements import SQL
from weftrun.adapters.sql import reading
from weftrun.model.ids import RunId
from weftrun.model.values import Inline, Payload
from weftrun.ports.journal import Appended, Message, Rest
from weftrun.testing.contracts.samples import end, more, start, uid
from weftrun.testing.contracts.sessions import session


def test_every_statement_is_used_and_stands_only_in_sql_files() -> None:
    folders = Path(journal_module.__file__).parent, Path(reading.__file__).parent
    sources = {file: file.read_text() for folder in folders for file in folder.glob("*.py")}
    assert set(SQL) <= set(re.findall(r'"(\w+)"', "\n".join(sources.values())))
    for file, text in sources.items():
        assert not re.search(r'"(SELECT|INSERT|UPDATE|DELETE|CREATE|BEGIN|SET) ', text), file


def test_rows_under_an_epoch_that_was_raised_take_those_after_them_along(opened: OpenJournal) -> None:
    journal = opened()
    journal.append([start(1), more(1, 2)])
    journal.claim([uid(1)])
    assert journal.append([more(1, 2), more(1, 3, epoch=2)]) == Appended(lost=frozenset({uid(1)}))
    assert journal.load(uid(1)) == [start(1), more(1, 2)]


def test_long_names_and_bodies(opened: OpenJournal) -> None:
    """Ids of 256 bytes of UTF-8, quotes and braces and all; bodies larger than what lies in a page."""
    journal = opened()
    names = ["é" * 128, "{\"'\\,}" * 42, "\x01\x7f\u2028 𝔵", " "]
    rows = [start(n, id=name, args=Payload(Inline(bytes(range(256)) * 1024))) for n, name in enumerate(names)]
    assert journal.append(rows) == Appended()
    assert [run.id for run in journal.open_runs()] == names
    assert [journal.load(row.uid) for row in rows] == [[row] for row in rows]


def touched(server: Server, journal: PostgresJournal, say: Callable[[], object]) -> int:
    """Return how many entries of tables and indexes the server read for what is said."""

    def total() -> int:
        assert journal._connection is not None
        journal._connection.execute("SELECT pg_stat_force_next_flush()")
        with server.connect() as connection:
            ((read,),) = connection.execute(
                "SELECT (SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE schemaname = 'weftrun')"
                " + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE schemaname = 'weftrun')"
            ).fetchall()
        return int(read)

    before = total()
    say()
    return total() - before


def analyze(server: Server) -> None:
    with server.connect() as connection:
        connection.execute("ANALYZE")


@pytest.mark.parametrize("known", [False, True])
def test_what_is_said_of_one_run_reads_that_run_alone(server: Server, opened: OpenJournal, known: bool) -> None:
    """However many are open: plans are made while the tables are empty, and again when their sizes are known.

    The server may find out what the sizes are at any time: `known` is whether it has when they are small.
    """
    journal = opened()
    journal.begin(session(1))
    journal.append([start(1)])
    journal.append([more(1, 2)])
    for base in (1_000, 2_000):
        journal.append([row for n in range(base, base + 300) for row in (start(n), more(n, 2))])
        if known:
            analyze(server)
        seq = base // 500
        started = base + 400
        one: dict[str, Callable[[], object]] = {
            "rows": partial(journal.append, [more(1, seq + 1), more(1, seq + 2)]),
            "start": partial(journal.append, [start(started)]),
            "end": partial(journal.append, [end(started, 2)], renew=True),
            "claim": partial(journal.claim, [uid(1)]),
            "put back": partial(journal.put_back, [uid(started)]),
            "load": partial(journal.load, uid(1)),
            "find": partial(journal.find, RunId("run-1")),
            "infos": partial(journal.infos, [uid(1)]),
            "post": partial(journal.post, Message(f"m{base}", uid(1), "cancel")),
            "inbox": journal.inbox,
            "free": partial(journal.free_runs, 5, due_by=1.0),
            "next due": partial(journal.next_due, after=1.0),
            "suspended": partial(journal.suspend, {uid(base): Rest(1e9)}),
        }
        read = {name: touched(server, journal, say) for name, say in one.items()}
        assert max(read.values()) < 20, read
        analyze(server)
    assert len(journal.load(uid(1))) == 6
