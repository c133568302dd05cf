"""What stands beside the Journal: the lock of an engine, blobs on a failing disk, a trace that stays small."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import msgspec
import pytest
from tests.journal.conftest import OpenJournal

from weftrun.adapters.files.blobs import FileBlobs
from weftrun.adapters.files.lock import EngineLocks, alone
from weftrun.adapters.sqlite.connection import LogRoom, open_writer
from weftrun.adapters.sqlite.trace import SqliteTrace
from weftrun.model.errors import JournalError, JournalFull
from weftrun.model.ids import SessionUid
from weftrun.model.lease import Session
from weftrun.model.values import Blob
from weftrun.testing.contracts.blobs import a_file_with, named, read_all
from weftrun.testing.contracts.samples import more, start, uid
from weftrun.testing.contracts.trace import entry

# ---------------------------------------------------------------------- the lock

HOLD = """
import sys
from pathlib import Path
from weftrun.adapters.files.lock import EngineLocks
locks = EngineLocks(Path(sys.argv[1]))
print(locks.begin("a" * 32, 10.0).lock, flush=True)
sys.stdin.read()
"""


def held_by(locks: EngineLocks, path: str) -> Session:
    """Return a session of this host that holds this file."""
    return msgspec.structs.replace(locks.begin(SessionUid("b" * 32), 10.0), lock=path)


def test_a_killed_engine_has_ended_at_once(tmp_path: Path) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdin is not None
    path = other.stdout.readline().strip()
    locks = EngineLocks(tmp_path)
    session = held_by(locks, path)
    assert not locks.ended(session)
    other.send_signal(signal.SIGSTOP)
    assert not locks.ended(session)
    other.send_signal(signal.SIGKILL)
    other.wait()
    other.stdout.close()
    other.stdin.close()
    assert locks.ended(session)
    locks.forget(session)
    assert not Path(path).exists()
    assert not locks.ended(session)
    locks.close()


def test_two_engines_of_one_process_know_of_each_other(tmp_path: Path) -> None:
    one, two = EngineLocks(tmp_path), EngineLocks(tmp_path)
    first = one.begin(SessionUid("a" * 32), 10.0)
    assert not two.ended(first)
    second = one.begin(SessionUid("c" * 32), 10.0)
    assert two.ended(first)
    assert not two.ended(second)
    one.close()
    one.close()
    assert two.ended(second)
    # Whoever removed the session removes its file; without a file nothing is known.
    two.forget(second)
    assert not Path(second.lock).exists()
    assert not two.ended(second)
    two.close()


def test_of_another_host_nothing_is_known(tmp_path: Path) -> None:
    locks = EngineLocks(tmp_path)
    (tmp_path / "free").touch()
    session = held_by(locks, str(tmp_path / "free"))
    assert locks.ended(session)
    elsewhere = msgspec.structs.replace(session, host="another kernel")
    assert not locks.ended(elsewhere)
    locks.forget(elsewhere)
    assert (tmp_path / "free").exists()
    locks.close()


def test_who_is_alone_keeps_engines_out(tmp_path: Path) -> None:
    with alone(tmp_path / "app.db.d") as is_alone:
        assert is_alone
    one, two = EngineLocks(tmp_path), EngineLocks(tmp_path)
    for locks in (one, two):
        with alone(tmp_path) as is_alone:
            assert not is_alone
        locks.close()
    with alone(tmp_path) as is_alone:
        assert is_alone


def test_a_fork_neither_frees_nor_keeps_the_locks(tmp_path: Path) -> None:
    locks, other = EngineLocks(tmp_path), EngineLocks(tmp_path)
    session = locks.begin(SessionUid("a" * 32), 10.0)
    os.link(session.lock, tmp_path / "kept")
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(write)
        locks.close()
        os.read(read, 1)
        os._exit(0)
    os.close(read)
    try:
        assert Path(session.lock).exists()
        assert not other.ended(session)
        locks.close()
        assert other.ended(msgspec.structs.replace(session, lock=str(tmp_path / "kept")))
        other.close()
        with alone(tmp_path) as is_alone:
            assert is_alone
    finally:
        os.close(write)
        os.waitpid(child, 0)


def test_locks_that_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match="can't be made"):
        EngineLocks(tmp_path / "file" / "app.db.d")
    locks = EngineLocks(tmp_path)
    (tmp_path / "engines").rmdir()
    with pytest.raises(JournalError, match="can't be made"):
        locks.begin(SessionUid("a" * 32), 10.0)
    locks.close()


# ---------------------------------------------------------------------- blobs


def test_a_full_disk_leaves_no_half_blob(tmp_path: Path) -> None:
    """A real one: the kernel refuses to let the file grow."""
    blobs = FileBlobs(tmp_path)
    content = bytes(200_000)
    with a_file_with(content) as descriptor:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
        try:
            with pytest.raises(JournalFull, match=f"No room is left for 200000 bytes in {tmp_path}"):
                blobs.put(descriptor, len(content))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert list(tmp_path.iterdir()) == []
        assert blobs.put(descriptor, len(content)) == named(content)


@pytest.mark.parametrize("call", ["fsync", "write", "preadv"])
@pytest.mark.parametrize(("number", "error"), [(errno.EIO, JournalError), (errno.ENOSPC, JournalFull)])
def test_a_failing_call_leaves_no_blob(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int, error: type[JournalError]
) -> None:
    blobs = FileBlobs(tmp_path)

    def fail(*args: object) -> int:
        raise OSError(number, os.strerror(number))

    with a_file_with(b"abc") as descriptor:
        with monkeypatch.context() as patch:
            patch.setattr(os, call, fail)
            with pytest.raises(error, match=str(tmp_path)):
                blobs.put(descriptor, 3)
        assert list(tmp_path.iterdir()) == []
        assert blobs.put(descriptor, 3) == named(b"abc")


def test_the_name_is_given_after_the_content_is_durable_and_made_durable_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this order, or a crash could leave a name without its bytes, or a record whose bytes have no name (C2)."""
    seen: list[tuple[str, int]] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        seen.append((os.readlink(f"/proc/self/fd/{descriptor}"), len(list(tmp_path.glob("[0-9a-f]*")))))
        fsync(descriptor)

    with a_file_with(b"abc") as descriptor:
        monkeypatch.setattr(os, "fsync", noted)
        FileBlobs(tmp_path).put(descriptor, 3)
    (content, names_before), (folder, names_after) = seen
    assert Path(content).name.startswith(".partial-")
    assert names_before == 0
    assert (folder, names_after) == (str(tmp_path), 1)


def test_an_object_shorter_than_it_says(tmp_path: Path) -> None:
    with a_file_with(b"abc") as descriptor, pytest.raises(JournalError, match="ends after 3 of 4 bytes"):
        FileBlobs(tmp_path).put(descriptor, 4)
    assert list(tmp_path.iterdir()) == []


def test_storing_again_heals_a_damaged_blob(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path)
    with a_file_with(b"abc") as descriptor:
        blob = blobs.put(descriptor, 3)
        (tmp_path / blob.sha256).write_bytes(b"abX")
        assert not blobs.verify(blob)
        blobs.put(descriptor, 3)
    assert blobs.verify(blob)


def test_what_a_dead_engine_left_half_written_goes_with_the_next_one(tmp_path: Path) -> None:
    left = tmp_path / ".partial-1-0"
    left.write_bytes(b"half")
    (tmp_path / "note.txt").write_text("somebody else's")
    FileBlobs(tmp_path, writable=False)
    assert left.exists()
    assert list(FileBlobs(tmp_path).names()) == []
    assert sorted(file.name for file in tmp_path.iterdir()) == ["note.txt"]


def test_a_blob_from_a_memfd(tmp_path: Path) -> None:
    descriptor = os.memfd_create("content")
    os.write(descriptor, b"abc" * 1000)
    blobs = FileBlobs(tmp_path)
    blob = blobs.put(descriptor, 3000)
    os.close(descriptor)
    assert read_all(blobs, blob) == b"abc" * 1000


def test_an_unreadable_blob(tmp_path: Path) -> None:
    (tmp_path / ("a" * 64)).symlink_to("a" * 64)
    with pytest.raises(JournalError, match="can't be read"):
        FileBlobs(tmp_path).open(Blob("a" * 64, 3))


# ---------------------------------------------------------------------- the trace


def test_the_oldest_rows_make_room(tmp_path: Path) -> None:
    path = tmp_path / "trace.db"
    trace = SqliteTrace(path, file_bytes_max=1_000_000)
    for number in range(100):
        trace.write([entry(1, number, "x" * 30_000)])
    kept = [row.at for row in trace.read(uid(1))]
    newest = [entry(1, number).at for number in range(100)]
    assert 5 < len(kept) < 34
    assert kept == newest[-len(kept) :]
    trace.close()
    assert path.stat().st_size <= 1_000_000


def test_a_damaged_trace_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "trace.db"
    path.write_bytes(b"no database" * 1000)
    reader = SqliteTrace(path, writable=False)
    with pytest.warns(UserWarning, match="can't be kept or read: file is not a database"):
        assert reader.read(uid(1)) == []
    assert path.read_bytes()[:11] == b"no database"
    trace = SqliteTrace(path)
    trace.write([entry(1, 1)])
    assert trace.read(uid(1)) == [entry(1, 1)]
    trace.close()


def test_a_trace_that_can_not_be_kept_warns_once(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"The trace .*trace\.db can't be kept") as caught:
        trace = SqliteTrace(tmp_path / "nowhere" / "trace.db")
        trace.write([entry(1, 1)])
        trace.delete(uid(1))
    assert len(caught) == 1
    assert trace.read(uid(1)) == []


def test_faults_while_writing_and_reading_warn_once(tmp_path: Path) -> None:
    path = tmp_path / "trace.db"
    trace = SqliteTrace(path)
    trace.write([entry(1, 1)])
    other = SqliteTrace(path)
    assert other._connection is not None
    other._connection.execute("DROP TABLE trace")
    with pytest.warns(UserWarning, match="no such table") as caught:
        trace.write([entry(1, 2)])
        assert trace.read(uid(1)) == []
        trace.delete(uid(1))
    assert len(caught) == 1
    trace.close()
    other.close()


def test_a_reader_of_the_trace_makes_nothing(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert SqliteTrace(tmp_path / "trace.db", writable=False).read(uid(1)) == []
    assert list(tmp_path.iterdir()) == []


def test_the_trace_is_read_beside_its_writer(tmp_path: Path) -> None:
    trace = SqliteTrace(tmp_path / "trace.db")
    trace.write([entry(1, 1)])
    reader = SqliteTrace(tmp_path / "trace.db", writable=False)
    assert reader.read(uid(1)) == [entry(1, 1)]
    trace.close()
    assert reader.read(uid(1)) == [entry(1, 1)]
    reader.close()


# ---------------------------------------------------------------------- the log of SQLite


def test_a_log_longer_than_what_is_in_it_is_read_after_a_crash(path: Path, opened: OpenJournal, tmp_path: Path) -> None:
    """What the adapter writes behind the last frame is nothing, to whoever opens the files as they stand."""
    journal = opened()
    rows = [start(1), *(more(1, seq) for seq in range(2, 41))]
    for row in rows[:30]:
        journal.append([row])
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    for name in (path.name, f"{path.name}-wal"):
        shutil.copy(tmp_path / name, crashed / name)
    log = crashed / f"{path.name}-wal"
    assert log.stat().st_size > 700_000, "three times room, and 30 rows"
    again = opened(at=crashed / path.name)
    assert again.load(uid(1)) == rows[:30]
    for row in rows[30:]:
        again.append([row])
    assert again.load(uid(1)) == rows


def test_a_log_is_not_lengthened_for_ever(tmp_path: Path) -> None:
    connection = open_writer(tmp_path / "x.db", create=True, vfs=None)
    connection.pragma("journal_mode", "wal")
    connection.execute("CREATE TABLE t (n)")
    room = LogRoom()
    for _ in range(1_000):
        room.make(connection)
    assert 4_200_000 < (tmp_path / "x.db-wal").stat().st_size < 4_800_000
    connection.close()
