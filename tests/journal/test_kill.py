"""Real processes, really killed: what was said to be durable is there, and every transaction is whole or absent."""

from __future__ import annotations

import itertools
import os
import random
import select
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from weftrun.adapters.sqlite.journal import SqliteJournal
from weftrun.adapters.system.clock import pause
from weftrun.adapters.system.entropy import SystemEntropy
from weftrun.model.records import Row
from weftrun.testing.contracts.disk import Disk, Operation
from weftrun.testing.contracts.samples import ONE_OF_EACH, end, more, start, uid

RUNS = 3
SEQ_MAX = 200


def opened(path: Path, **options: str) -> SqliteJournal:
    return SqliteJournal(path, SystemEntropy(), pause, allow_tmpfs=True, vfs=options.get("vfs"))


def group(base: int, seq: int) -> list[Row]:
    """The rows of one transaction: row `seq` of each of three Runs."""
    if seq == 1:
        return [start(base + run) for run in range(RUNS)]
    return [more(base + run, seq, ONE_OF_EACH) for run in range(RUNS)]


def in_child(work: Callable[[int], None]) -> tuple[int, int]:
    """Fork a child that does `work` with the writing end of a pipe; return its pid and the reading end."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        try:
            work(write)
        finally:
            os._exit(0)
    os.close(write)
    return pid, read


def drained(read: int) -> bytes:
    said = b""
    while piece := os.read(read, 65536):
        said += piece
    os.close(read)
    return said


def check(path: Path, base: int, acknowledged: int) -> int:
    """Open after a crash; return how many transactions of these Runs are there."""
    journal = opened(path)
    loaded = [journal.load(uid(base + run)) for run in range(RUNS)]
    count = len(loaded[0])
    assert count >= acknowledged
    expected = [group(base, seq) for seq in range(1, count + 1)]
    assert loaded == [[rows[run] for rows in expected] for run in range(RUNS)]
    journal.close()
    return count


def test_killed_at_any_moment(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    opened(path).close()
    draw = random.Random(11)
    moments = set()
    for base in range(10, 130, 10):

        def work(said: int, base: int = base) -> None:
            journal = opened(path)
            for seq in range(1, SEQ_MAX):
                journal.append(group(base, seq))
                os.write(said, b".")

        pid, read = in_child(work)
        # From the first answer on, so that the kill falls among appends and not into the start of the process.
        assert select.select([read], [], [], 20)[0]
        pause(draw.random() * 0.02)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        moments.add(check(path, base, len(drained(read))))
    assert len(moments) > 3


@pytest.mark.parametrize("operation", ["write", "sync"])
def test_killed_inside_a_commit(tmp_path: Path, operation: Operation) -> None:
    """At each write and sync of an append in turn."""
    found = set()
    for skip in itertools.count():
        path = tmp_path / f"{skip}.db"
        opened(path).close()

        def work(said: int, path: Path = path, skip: int = skip) -> None:
            disk = Disk("deadly")
            journal = opened(path, vfs=disk.name)
            journal.append(group(1, 1))
            os.write(said, b".")
            disk.fail(operation, die, file="-wal", skip=skip)
            journal.append(group(1, 2))
            os.write(said, b".")
            os.kill(os.getpid(), signal.SIGKILL)

        pid, read = in_child(work)
        os.waitpid(pid, 0)
        acknowledged = len(drained(read))
        assert acknowledged >= 1
        found.add((acknowledged, check(path, 1, acknowledged)))
        if acknowledged == 2:
            break
    # Before its commit frame is written the append is absent; once that is in the log it is there, said or not.
    assert {(1, 1), (2, 2)} <= found if operation == "write" else {(1, 2), (2, 2)} <= found


def die() -> Exception:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


def test_two_writers_take_turns(tmp_path: Path) -> None:
    """Two processes append to one file as fast as they can: neither starves, and both find all they wrote."""
    path = tmp_path / "app.db"
    opened(path).close()
    each = 150

    def writer(base: int) -> Callable[[int], None]:
        def work(said: int) -> None:
            journal = opened(path)
            journal.append([start(base)])
            for seq in range(2, each + 1):
                journal.append([more(base, seq)])
                os.write(said, b".")
            journal.append([end(base, each + 1)])
            os.write(said, b"!")

        return work

    children = [in_child(writer(base)) for base in (1, 2)]
    for pid, read in children:
        said = drained(read)
        os.waitpid(pid, 0)
        assert said == b"." * (each - 1) + b"!"
    journal = opened(path)
    for base in (1, 2):
        rows = journal.load(uid(base))
        assert rows == [start(base), *(more(base, seq) for seq in range(2, each + 1)), end(base, each + 1)]
    assert journal.open_runs() == []
    journal.close()
