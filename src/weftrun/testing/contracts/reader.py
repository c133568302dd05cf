"""The contract of the port JournalReader: who looks on sees what the Journal has made durable, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from weftrun.model.errors import WeftrunError
from weftrun.model.ids import RunId
from weftrun.ports.journal import Journal, JournalReader
from weftrun.testing.contracts.samples import end, more, start, uid

OpenReader = Callable[[], JournalReader]


class ReaderContract:
    """Subclasses give `journal`, a new one that is open, `open_reader` for the same storage, and `open_nothing`."""

    @pytest.fixture
    def journal(self) -> Journal:
        """Return a new Journal."""
        raise NotImplementedError

    @pytest.fixture
    def open_reader(self, journal: Journal) -> OpenReader:
        """Return what opens a reader of that Journal."""
        raise NotImplementedError

    @pytest.fixture
    def open_nothing(self) -> OpenReader:
        """Return what opens a reader where no Journal is."""
        raise NotImplementedError

    @pytest.fixture
    def reader(self, open_reader: OpenReader) -> Iterator[JournalReader]:
        """Return a reader that is closed afterwards."""
        opened = open_reader()
        yield opened
        opened.close()

    def test_an_empty_journal(self, reader: JournalReader) -> None:
        """Nothing is found, and nothing fails."""
        assert (reader.runs(), reader.load(uid(1)), reader.infos([uid(1)])) == ([], [], [])
        assert (reader.emitted(uid(1)), reader.undelivered(9), reader.emits_left([uid(1)])) == ([], [], {})
        assert reader.find(RunId("run-1")) is None

    def test_what_is_appended_is_seen(self, journal: Journal, reader: JournalReader) -> None:
        """Also by a reader that was open before; it says what the Journal itself says."""
        journal.append([start(1)])
        assert reader.find(RunId("run-1")) == journal.find(RunId("run-1"))
        journal.append([more(1, 2), start(2)])
        journal.append([end(1, 3)])
        assert reader.load(uid(1)) == journal.load(uid(1))
        assert [row.seq for row in reader.load(uid(1))] == [1, 2, 3]
        assert reader.record_bytes(uid(1)) > reader.record_bytes(uid(2)) == 0, "the start is not among them"
        assert reader.runs() == journal.runs()
        assert reader.runs(status="succeeded") == journal.runs(status="succeeded") != []
        assert [info.id for info in reader.runs(limit=1)] == ["run-2"]
        assert reader.infos([uid(2), uid(9)]) == journal.infos([uid(2), uid(9)]) != []
        assert reader.sessions() == journal.sessions()

    def test_a_tombstone_is_found_and_not_listed(self, journal: Journal, reader: JournalReader) -> None:
        """A deleted Run keeps its id and has no rows."""
        journal.append([start(1)])
        journal.append([end(1, 2)])
        journal.delete(RunId("run-1"), forget=False)
        assert reader.find(RunId("run-1")) == journal.find(RunId("run-1")) is not None
        assert (reader.runs(), reader.load(uid(1))) == ([], [])

    def test_close_is_idempotent(self, open_reader: OpenReader) -> None:
        """Closing twice is closing once."""
        opened = open_reader()
        opened.close()
        opened.close()

    def test_nothing_is_made_where_no_journal_is(self, open_nothing: OpenReader) -> None:
        """Who looks on refuses in one sentence, again and again."""
        for _ in range(2):
            with pytest.raises(WeftrunError) as caught:
                open_nothing().find(RunId("run-1"))
            assert "\n" not in str(caught.value)
