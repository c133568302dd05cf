"""What this machine can do without weftrun: the floors that its figures are held against, measured in the same run."""

from __future__ import annotations

import mmap
import os
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import apsw

MESSAGE = b"x" * 64


def each(action: Callable[[], object], times: int) -> list[float]:
    """Return how long each of `times` calls took, in seconds."""
    took = []
    for _ in range(times):
        begin = time.perf_counter()
        action()
        took.append(time.perf_counter() - begin)
    return took


class Commit:
    """One row in a transaction of its own, on a WAL file with synchronous=FULL, as the Journal has it."""

    def __init__(self, folder: Path) -> None:
        self._connection = apsw.Connection(str(folder / "floor.db"))
        self._connection.pragma("journal_mode", "wal")
        self._connection.pragma("synchronous", "full")
        columns = "run INTEGER, seq INTEGER, body BLOB, PRIMARY KEY (run, seq)"
        self._connection.execute(f"CREATE TABLE IF NOT EXISTS record ({columns})")
        self._seq = self._last()

    def _last(self) -> int:
        return int(self._connection.execute("SELECT ifnull(max(seq), 0) FROM record").fetchall()[0][0])

    def __call__(self) -> None:
        self._seq += 1
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute("INSERT INTO record VALUES (1, ?, ?)", (self._seq, bytes(200)))
        self._connection.execute("COMMIT")

    def close(self) -> None:
        self._connection.close()


@contextmanager
def round_trip(pinned: bool) -> Iterator[Callable[[], object]]:
    """Give a round trip over a socket pair to a forked process, on two processors of their own if `pinned`."""
    here, there = socket.socketpair()
    cpus = sorted(os.sched_getaffinity(0))
    child = os.fork()
    if child == 0:
        here.close()
        if pinned and len(cpus) > 1:
            os.sched_setaffinity(0, {cpus[1]})
        while there.recv(4096):
            there.send(MESSAGE)
        os._exit(0)
    there.close()
    if pinned and len(cpus) > 1:
        os.sched_setaffinity(0, {cpus[0]})

    def trip() -> None:
        here.send(MESSAGE)
        here.recv(4096)

    try:
        yield trip
    finally:
        here.close()
        os.waitpid(child, 0)
        os.sched_setaffinity(0, set(cpus))


def plus_one(x: int) -> int:
    """The body of all small Steps."""
    return x + 1


def pool_submits(processes: int, count: int) -> float:
    """Return how many trivial calls a second a ProcessPoolExecutor does, submitted one by one; not durable."""
    with ProcessPoolExecutor(processes) as pool:
        list(pool.map(plus_one, range(processes * 4)))
        begin = time.perf_counter()
        futures = [pool.submit(plus_one, i) for i in range(count)]
        total = sum(future.result() for future in futures)
        took = time.perf_counter() - begin
    assert total == count * (count + 1) // 2
    return count / took


def pool_map(processes: int, count: int) -> float:
    """Return how many items a second `ProcessPoolExecutor.map(chunksize=64)` does; not durable."""
    with ProcessPoolExecutor(processes) as pool:
        list(pool.map(plus_one, range(processes * 4)))
        begin = time.perf_counter()
        total = sum(pool.map(plus_one, range(count), chunksize=64))
        took = time.perf_counter() - begin
    assert total == count * (count + 1) // 2
    return count / took


def write_memfd(data: memoryview) -> int:
    """Write bytes to a fresh memfd, and return its descriptor."""
    descriptor = os.memfd_create("floor", os.MFD_CLOEXEC)
    done = 0
    while done < len(data):
        done += os.write(descriptor, data[done:])
    return descriptor


def map_and_touch(descriptor: int, nbytes: int) -> int:
    """Map a file read-only and read one byte of every page."""
    with mmap.mmap(descriptor, nbytes, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ) as mapping:
        return sum(mapping[:: mmap.PAGESIZE])
