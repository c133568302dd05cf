"""Files that are no Journal, or can't be used as one: one sentence that names the file, and nothing changed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import cast

import apsw
import pytest

from weftrun.adapters.sqlite import filesystem, schema
from weftrun.adapters.sqlite.connection import WriteTurn
from weftrun.adapters.sqlite.journal import SqliteJournal
from weftrun.adapters.sqlite.reading import SqliteReader
from weftrun.adapters.sqlite.statements import SCHEMA
from weftrun.adapters.system.clock import pause
from weftrun.adapters.system.entropy import SystemEntropy
from weftrun.model.errors import InternalError, JournalBusy, JournalCorrupt, JournalError, JournalNewer
from weftrun.model.ids import RunId
from weftrun.testing.contracts.samples import end, more, start, uid

OpenJournal = Callable[..., SqliteJournal]


def refused(opened: OpenJournal, path: Path, error: type[JournalError], sentence: str) -> None:
    """Both halves refuse the file, name it, and leave it as it was."""
    before = path.read_bytes() if path.is_file() else None
    for opener in (lambda: opened(at=path), lambda: SqliteReader(path)):
        with pytest.raises(error, match=sentence) as caught:
            opener()
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    assert (path.read_bytes() if path.is_file() else None) == before


def test_not_a_database(opened: OpenJournal, path: Path) -> None:
    path.write_bytes(b"name,count\n" * 1_000)
    refused(opened, path, JournalCorrupt, "no SQLite database")


def test_somebody_elses_database(opened: OpenJournal, path: Path) -> None:
    with apsw.Connection(str(path)) as other:
        other.execute("CREATE TABLE orders (id)")
    other.close()
    refused(opened, path, JournalError, "not a Journal of weftrun")


def test_a_newer_journal(opened: OpenJournal, path: Path) -> None:
    opened().close()
    newer = apsw.Connection(str(path))
    newer.pragma("user_version", len(SCHEMA) + 1)
    newer.close()
    refused(opened, path, JournalNewer, rf"newer weftrun \(format {len(SCHEMA) + 1};.*Nothing was changed")


def test_a_folder(opened: OpenJournal, tmp_path: Path) -> None:
    folder = tmp_path / "folder.db"
    folder.mkdir()
    refused(opened, folder, JournalError, "it is a folder")


def test_a_missing_file_is_only_made_where_that_is_meant(opened: OpenJournal, path: Path) -> None:
    for opener in (lambda: opened(create=False), lambda: SqliteReader(path)):
        with pytest.raises(JournalError, match="There is no Journal at"):
            opener()
    assert not path.exists()
    deep = path.parent / "a" / "b" / "app.db"
    assert opened(at=deep).runs() == []


def test_a_folder_that_can_not_be_made(opened: OpenJournal, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match=r"The folder of .*app\.db can't be made"):
        opened(at=tmp_path / "file" / "app.db")


def test_an_empty_file_becomes_a_journal_but_holds_no_run(opened: OpenJournal, path: Path) -> None:
    path.touch()
    with pytest.raises(JournalError, match="is empty"):
        SqliteReader(path)
    assert opened().runs() == []


def test_damaged_pages(opened: OpenJournal, path: Path) -> None:
    journal = opened()
    journal.append([start(number) for number in range(1, 200)])
    journal.close()
    whole = bytearray(path.read_bytes())
    for page in range(1, len(whole) // 4096):
        whole[page * 4096 : page * 4096 + 512] = b"\xa5" * 512
    path.write_bytes(whole)
    with pytest.raises(JournalCorrupt, match=r"app\.db is damaged"):
        opened().runs(limit=1_000)
    with pytest.raises(JournalCorrupt, match=r"app\.db is damaged"):
        SqliteReader(path).runs(limit=1_000)


def test_a_cut_file(opened: OpenJournal, path: Path) -> None:
    journal = opened()
    journal.append([start(number) for number in range(1, 200)])
    journal.close()
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(JournalCorrupt, match=r"app\.db is damaged"):
        opened().append([start(200)])


def test_a_writer_that_holds_on(opened: OpenJournal, path: Path) -> None:
    journal = opened(patience_s=0.05)
    journal.append([start(1)])
    foreign = apsw.Connection(str(path))
    foreign.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalBusy, match=r"app\.db is locked by another process while recording"):
        journal.append([more(1, 2)])
    assert SqliteReader(path).load(uid(1)) == [start(1)]
    foreign.execute("COMMIT")
    foreign.close()
    journal.append([more(1, 2)])


def test_patience_is_measured_by_the_pauses(path: Path, opened: OpenJournal) -> None:
    opened().close()
    foreign = apsw.Connection(str(path))
    foreign.execute("BEGIN IMMEDIATE")
    pauses: list[float] = []
    journal = SqliteJournal(path, SystemEntropy(), pauses.append, allow_tmpfs=True, patience_s=1.0)
    with pytest.raises(JournalBusy):
        journal.append([start(1)])
    journal.close()
    foreign.close()
    assert 1.0 <= sum(pauses) <= 1.001
    assert all(0.0001 <= pause_s <= 0.0005 for pause_s in pauses)


def test_a_reader_waits_for_who_has_the_file_alone(opened: OpenJournal, path: Path) -> None:
    """As an engine has that closes it as the last one."""
    journal = opened()
    journal.append([start(1)])
    journal.close()
    alone = apsw.Connection(str(path))
    alone.pragma("locking_mode", "exclusive")
    alone.execute("BEGIN EXCLUSIVE; COMMIT")
    with pytest.raises(apsw.BusyError):
        apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY).execute("SELECT 1 FROM sqlite_schema").fetchall()
    leaving = threading.Timer(0.2, alone.close)
    leaving.start()
    reader = SqliteReader(path)
    assert reader.load(uid(1)) == [start(1)]
    reader.close()
    leaving.join()


def test_a_reader_beside_an_engine(opened: OpenJournal, path: Path) -> None:
    journal = opened()
    journal.append([start(1)])
    reader = SqliteReader(path)
    assert reader.load(uid(1)) == [start(1)]
    journal.append([end(1, 2)])
    assert reader.load(uid(1)) == [start(1), end(1, 2)]
    assert reader.meta() == journal.meta()
    reader.close()
    reader.close()
    with pytest.raises(JournalError, match="closed"):
        reader.runs()
    journal.close()
    with pytest.raises(JournalError, match="closed"):
        journal.runs()


AS_NOBODY = """
import os, sys
from pathlib import Path
from typing import cast
from weftrun.adapters.sqlite.reading import SqliteReader
from weftrun.adapters.sqlite.journal import SqliteJournal
from weftrun.adapters.system.clock import pause
from weftrun.adapters.system.entropy import SystemEntropy
from weftrun.model.errors import WeftrunError
# Only now: the interpreter itself may lie where another user can't read.
os.setgroups([]); os.setgid(65534); os.setuid(65534)
path = Path(sys.argv[1])
try:
    print("read", [run.id for run in SqliteReader(path).runs()])
except WeftrunError as error:
    print(type(error).__name__, error)
try:
    SqliteJournal(path, SystemEntropy(), pause, allow_tmpfs=True).claim(["0" * 31 + "1"])
    print("written")
except WeftrunError as error:
    print(type(error).__name__, error)
"""


def as_nobody(path: Path) -> list[str]:
    """Read, then write, as a user who owns nothing. Everything above the Journal's folder is open to all."""
    for parent in path.parent.parents:
        if Path(tempfile.gettempdir()) in parent.parents:
            parent.chmod(0o755)
    command = [sys.executable, "-c", AS_NOBODY, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert not done.stderr
    return done.stdout.splitlines()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
class TestPermissions:
    def test_a_read_only_folder_and_file(self, opened: OpenJournal, path: Path) -> None:
        journal = opened()
        journal.append([start(1)])
        journal.close()
        path.parent.chmod(0o755)
        path.chmod(0o644)
        read, written = as_nobody(path)
        assert read == "read ['run-1']"
        assert written.startswith("JournalError")
        assert str(path) in written
        assert "read-only" in written or "may not write" in written

    def test_a_file_that_may_not_be_read(self, opened: OpenJournal, path: Path) -> None:
        opened().close()
        path.parent.chmod(0o755)
        path.chmod(0o600)
        for line in as_nobody(path):
            assert line.startswith("JournalError")
            assert "may not read it" in line


# ---------------------------------------------------------------------- where it lies


def mounts(tmp_path: Path, kind: str) -> Path:
    device = tmp_path.stat().st_dev
    file = tmp_path / "mountinfo"
    file.write_text(
        "22 1 0:999 / / rw - ext4 /dev/sda rw\n"
        f"23 22 {os.major(device)}:{os.minor(device)} / {tmp_path} rw shared:1 - {kind} source rw\n"
    )
    return file


@pytest.mark.parametrize("kind", ["nfs4", "cifs"])
def test_a_network_file_system_is_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(JournalError, match=rf"app\.db lies on a network file system \({kind}\)"):
        filesystem.check(tmp_path / "app.db", allow_tmpfs=True, mounts=mounts(tmp_path, kind))


def test_memory_is_warned_of(tmp_path: Path) -> None:
    table = mounts(tmp_path, "tmpfs")
    with pytest.warns(UserWarning, match=r"app\.db lies in memory \(tmpfs\)"):
        filesystem.check(tmp_path / "app.db", allow_tmpfs=False, mounts=table)
    filesystem.check(tmp_path / "app.db", allow_tmpfs=True, mounts=table)


def test_a_disk_or_an_unknown_place_is_fine(tmp_path: Path) -> None:
    filesystem.check(tmp_path / "app.db", allow_tmpfs=False, mounts=mounts(tmp_path, "ext4"))
    assert filesystem.kind_of(tmp_path, tmp_path / "no such table") == ""
    assert filesystem.kind_of(Path("/proc")) == "proc"


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="this host has no /dev/shm")
def test_a_real_tmpfs(opened: OpenJournal) -> None:
    path = Path(f"/dev/shm/weftrun-test-{os.getpid()}.db")
    try:
        with pytest.warns(UserWarning, match="lies in memory"):
            opened(at=path, allow_tmpfs=False).close()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            opened(at=path).close()
    finally:
        path.unlink()


# ---------------------------------------------------------------------- migrations


def test_an_older_journal_is_brought_forward_and_stays_whole(opened: OpenJournal, path: Path) -> None:
    opened().append([start(1)])
    newer = (*SCHEMA, "ALTER TABLE run ADD COLUMN tenant TEXT NOT NULL DEFAULT ''")
    connection = apsw.Connection(str(path))
    schema.bring_up_to_date(connection, path, WriteTurn(SystemEntropy(), pause, 1.0), 1, newer)
    assert connection.execute("SELECT id, tenant FROM run").fetchall() == [("run-1", "")]
    assert connection.pragma("user_version") == len(newer)
    connection.close()
    with pytest.raises(JournalNewer):
        opened()


def test_a_migration_that_fails_changes_nothing(opened: OpenJournal, path: Path) -> None:
    opened().append([start(1)])
    broken = (*SCHEMA, "ALTER TABLE run ADD COLUMN tenant TEXT; ALTER TABLE nowhere ADD COLUMN x")
    connection = apsw.Connection(str(path))
    with pytest.raises(InternalError, match="no such table: nowhere"):
        schema.bring_up_to_date(connection, path, WriteTurn(SystemEntropy(), pause, 1.0), 1, broken)
    connection.close()
    found = opened().find(RunId("run-1"))
    assert found is not None
    assert found.uid == uid(1)


def test_a_reader_can_not_read_an_older_format(opened: OpenJournal, path: Path) -> None:
    opened().close()
    older = apsw.Connection(str(path))
    older.pragma("user_version", -1)
    older.close()
    with pytest.raises(JournalError, match="older format -1"):
        SqliteReader(path)


OPENS = """
import sys
from pathlib import Path
from typing import cast
from weftrun.adapters.sqlite.journal import SqliteJournal
from weftrun.adapters.system.clock import pause
from weftrun.adapters.system.entropy import SystemEntropy
for line in sys.stdin:
    SqliteJournal(Path(line.strip()), SystemEntropy(), pause).close()
    print("opened", flush=True)
"""


@pytest.mark.parametrize("reads_before", range(4))
def test_a_file_that_is_made_between_two_looks_at_it_is_a_journal(reads_before: int) -> None:
    """One transaction of another process makes the tables and both numbers, whenever it commits."""
    made = {"schema_version": 12, "user_version": 3, "application_id": schema.APPLICATION_ID}
    read: list[str] = []

    class Looked:
        def pragma(self, name: str) -> int:
            read.append(name)
            return made[name] if len(read) > reads_before else 0

    assert schema.version_of(cast("apsw.Connection", Looked()), Path("j.db"), 3) in (0, 3)
    assert sorted(read) == sorted(made)


def test_several_processes_make_the_same_file_at_once(tmp_path: Path) -> None:
    """Whoever is later waits until it is made."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPENS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        for _ in range(3)
    ]
    try:
        for number in range(30):
            for process in processes:
                assert process.stdin is not None
                process.stdin.write(f"{tmp_path}/{number}.db\n")
                process.stdin.flush()
            assert [process.stdout.readline() for process in processes if process.stdout] == ["opened\n"] * 3
    finally:
        for process in processes:
            process.kill()
            process.communicate()
