"""A Run of which it is not known what became of its last rows is read again from the Journal."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests.engine import ordering as o

import weftrun
from weftrun.adapters.sqlite.journal import SqliteJournal
from weftrun.adapters.sqlite.transactions import SqliteTransaction
from weftrun.model.errors import CommitUnknown, JournalCorrupt, JournalError
from weftrun.model.ids import RunUid
from weftrun.model.records import Row
from weftrun.ports.journal import RunInfo


def read_fails(monkeypatch: pytest.MonkeyPatch, error: JournalError, times: int) -> list[object]:
    """Lose the answer to the first commit through a transaction, and fail that often to read what became of it."""
    fails: list[object] = []
    infos = SqliteJournal.infos

    def commit(self: SqliteTransaction, rows: Sequence[Row], *, renew: bool) -> object:
        self.roll_back()
        monkeypatch.undo()
        monkeypatch.setattr(SqliteJournal, "infos", read)
        raise CommitUnknown("who knows")

    def read(self: SqliteJournal, uids: Sequence[RunUid]) -> list[RunInfo]:
        if len(fails) < times:
            fails.append(uids)
            raise error
        return infos(self, uids)

    monkeypatch.setattr(SqliteTransaction, "commit", commit)
    return fails


def test_what_can_not_be_read_for_now_is_read_again(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with weftrun.open(url, sandboxes=1) as engine:
        engine.run(o.make_table)
        fails = read_fails(monkeypatch, JournalError("not now"), 2)
        assert engine.run(o.one_of, "a") == 7
    assert len(fails) == 2


def test_a_damaged_journal_is_told_to_whoever_waits(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with weftrun.open(url, sandboxes=1) as engine:
        engine.run(o.make_table)
        read_fails(monkeypatch, JournalCorrupt("malformed"), 1)
        with pytest.raises(JournalError, match="malformed"):
            engine.run(o.one_of.options(id="r"), "a")
    with weftrun.open(url, sandboxes=1) as engine:
        assert engine.get("r").result(60) == 7, "it was left as it was"
