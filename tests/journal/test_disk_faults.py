"""Full disks and I/O errors: nothing durable is lost, and what is said to be durable is."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from weftrun.adapters.sqlite.journal import SqliteJournal
from weftrun.model.errors import CommitUnknown, JournalError, JournalFull
from weftrun.model.records import Row
from weftrun.ports.journal import Appended
from weftrun.testing.contracts.disk import Disk, Operation, broken, no_room
from weftrun.testing.contracts.samples import ONE_OF_EACH, end, more, start, uid

OpenJournal = Callable[..., SqliteJournal]
ROWS = [start(1), more(1, 2), start(2), end(2, 2), *(more(1, seq, ONE_OF_EACH * 4) for seq in range(3, 9))]


def content(journal: SqliteJournal) -> list[list[Row]]:
    return [journal.load(uid(1)), journal.load(uid(2))]


WHOLE = [[row for row in ROWS if row.uid == uid(number)] for number in (1, 2)]


def test_a_full_disk_is_told_and_the_same_append_succeeds_later(opened: OpenJournal, disk: Disk) -> None:
    journal = opened(vfs=disk.name)
    journal.append(ROWS[:1])
    fault = disk.fail("write", no_room, file="-wal", times=10**9)
    for _ in range(3):
        with pytest.raises(JournalFull, match=r"No room is left on the disk of .*app\.db while recording"):
            journal.append(ROWS)
        assert content(journal) == [ROWS[:1], []]
    assert fault.met >= 3
    disk.heal()
    assert journal.append(ROWS) == Appended()
    assert content(journal) == WHOLE
    assert content(opened()) == WHOLE


@pytest.mark.parametrize("make", [no_room, broken])
def test_a_run_goes_on_where_it_stood(opened: OpenJournal, disk: Disk, make: Callable[[], Exception]) -> None:
    """What an append remembered of the Run is not believed after a transaction that failed."""
    journal = opened(vfs=disk.name)
    journal.append([start(1)])
    disk.fail("write", make, file="-wal", times=10**9)
    for _ in range(3):
        with pytest.raises((JournalFull, CommitUnknown)):
            journal.append([more(1, 2)])
    disk.heal()
    journal.append([more(1, 2)])
    journal.append([more(1, 3), end(1, 4)])
    assert journal.load(uid(1)) == [start(1), more(1, 2), more(1, 3), end(1, 4)]


@pytest.mark.parametrize("operation", ["write", "sync"])
@pytest.mark.parametrize("make", [no_room, broken])
def test_every_write_and_sync_of_an_append_may_fail(
    opened: OpenJournal, disk: Disk, tmp_path: Path, operation: Operation, make: Callable[[], Exception]
) -> None:
    """After each, readers see all of it or nothing, and the same append is made again."""
    for skip in itertools.count():
        at = tmp_path / f"{skip}.db"
        journal = opened(at=at, vfs=disk.name)
        journal.append(ROWS[:1])
        fault = disk.fail(operation, make, file="-wal", skip=skip)
        try:
            journal.append(ROWS)
        except (JournalFull, CommitUnknown):
            assert fault.met == 1
            assert content(opened(at=at)) in (WHOLE, [ROWS[:1], []])
            assert journal.append(ROWS) == Appended()
        assert content(journal) == WHOLE
        assert content(opened(at=at)) == WHOLE
        disk.heal()
        if not fault.met:
            break
    assert skip >= (5 if operation == "write" else 1)


def test_an_error_in_the_commits_sync_leaves_it_unknown_until_it_is_looked_up(opened: OpenJournal, disk: Disk) -> None:
    journal = opened(vfs=disk.name)
    journal.append(ROWS[:1])
    fault = disk.fail("sync", broken, file="-wal")
    with pytest.raises(CommitUnknown, match=r"app\.db.*not known whether it was committed"):
        journal.append(ROWS)
    assert fault.met == 1
    assert journal.append(ROWS) == Appended()
    assert content(journal) == WHOLE


def test_what_a_failed_sync_left_behind_is_written_anew(opened: OpenJournal, disk: Disk, tmp_path: Path) -> None:
    """The engine dies after a sync that failed. The log still shows the rows, but perhaps only in memory."""
    dead = tmp_path / "dead"
    dead.mkdir()

    def crash() -> Exception:
        for file in tmp_path.glob("app.db*"):
            shutil.copy(file, dead)
        return broken()

    journal = opened(vfs=disk.name)
    journal.append(ROWS[:1])
    disk.fail("sync", crash, file="-wal")
    with pytest.raises(CommitUnknown):
        journal.append(ROWS)
    disk.calls.clear()
    next_engine = opened(at=dead / "app.db", vfs=disk.name)
    on_database = [operation for operation, file in disk.calls if file.endswith("dead/app.db")]
    assert on_database[0] == "write"
    assert on_database[-1] == "sync"
    assert content(next_engine) == WHOLE


def test_while_the_disk_stays_broken_it_stays_unknown(opened: OpenJournal, disk: Disk) -> None:
    journal = opened(vfs=disk.name)
    journal.append(ROWS[:1])
    fault = disk.fail("sync", broken, times=10**9)
    for _ in range(3):
        with pytest.raises((CommitUnknown, JournalError)):
            journal.append(ROWS)
    assert fault.met >= 3
    disk.heal()
    assert journal.append(ROWS) == Appended()
    assert content(opened()) == WHOLE


@pytest.mark.parametrize("skip", range(6))
def test_a_journal_that_could_not_be_made_can_be_made_later(opened: OpenJournal, disk: Disk, skip: int) -> None:
    fault = disk.fail("write", no_room, skip=skip, times=10**9)
    with pytest.raises(JournalFull, match=r"app\.db while (opening it|bringing it up to date)"):
        opened(vfs=disk.name)
    assert fault.met
    disk.heal()
    journal = opened(vfs=disk.name)
    journal.append(ROWS)
    assert content(journal) == WHOLE
