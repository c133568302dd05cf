"""What this machine can do without weftrun: the floors that its figures are held against, measured in the same run."""

from __future__ import annotations

import multiprocessing
import os
import socket
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import apsw

MESSAGE = b"x" * 64


_BURSTS = 10


def per_call_us(action: Callable[[], object], times: int) -> float:
    """Return what one of so many calls took, in microseconds: the median of ten bursts, each timed as a whole.

    As a whole, since that is how a chain of Steps is timed; the median, since a floor is what the machine can do, not
    what it did while somebody else had the processor.
    """
    burst = range(max(times // _BURSTS, 1))
    took = []
    for _ in range(_BURSTS + 1):
        begin = time.perf_counter()
        for _ in burst:
            action()
        took.append((time.perf_counter() - begin) / len(burst))
    return statistics.median(took[1:]) * 1e6  # the first one woke both processors


class Commit:
    """One row in a transaction of its own, on a WAL file with synchronous=FULL, as the Journal has it."""

    def __init__(self, folder: Path) -> None:
        self._connection = apsw.Connection(str(folder / "floor.db"))
        self._connection.pragma("journal_mode", "wal")
        self._connection.pragma("synchronous", "full")
        columns = "run INTEGER, seq INTEGER, body BLOB, PRIMARY KEY (run, seq)"
        self._connection.execute(f"CREATE TABLE record ({columns})")
        self._seq = 0

    def __call__(self) -> None:
        self._seq += 1
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute("INSERT INTO record VALUES (1, ?, ?)", (self._seq, bytes(200)))
        self._connection.execute("COMMIT")

    def __enter__(self) -> Commit:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()


class RoundTrip:
    """A round trip over a socket pair to another process, which was forked before any engine was opened here."""

    def __init__(self) -> None:
        self._here, there = socket.socketpair()
        self._cpus = sorted(os.sched_getaffinity(0))
        self._child = os.fork()
        if self._child == 0:
            self._here.close()
            while there.recv(4096):
                there.send(MESSAGE)
            os._exit(0)
        there.close()

    def __call__(self) -> None:
        self._here.send(MESSAGE)
        self._here.recv(4096)

    def pinned_us(self, times: int) -> float:
        """Return what one of so many round trips took, both ends pinned to a processor each, in microseconds."""
        try:
            self._pin(self._cpus[:1], self._cpus[1:2] or self._cpus)
            return per_call_us(self, times)
        finally:
            self._pin(self._cpus, self._cpus)

    def _pin(self, here: Sequence[int], there: Sequence[int]) -> None:
        os.sched_setaffinity(0, here)
        os.sched_setaffinity(self._child, there)

    def __enter__(self) -> RoundTrip:
        return self

    def __exit__(self, *_: object) -> None:
        self._here.close()
        os.waitpid(self._child, 0)


def plus_one(x: int) -> int:
    """The body of all small Steps."""
    return x + 1


class Pool:
    """ProcessPoolExecutor with all its processes there; it keeps nothing durable."""

    def __init__(self, processes: int) -> None:
        # By fork on every Python, before this process has threads: no server stays behind.
        self._pool = ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("fork"))
        list(self._pool.map(plus_one, range(processes * 4)))

    def submits(self, count: int) -> float:
        """Return how many trivial calls a second it does, submitted one by one and all waited for."""
        begin = time.perf_counter()
        futures = [self._pool.submit(plus_one, i) for i in range(count)]
        total = sum(future.result() for future in futures)
        took = time.perf_counter() - begin
        assert total == count * (count + 1) // 2
        return count / took

    def map(self, count: int) -> float:
        """Return how many items a second its `map(chunksize=64)` does."""
        begin = time.perf_counter()
        total = sum(self._pool.map(plus_one, range(count), chunksize=64))
        took = time.perf_counter() - begin
        assert total == count * (count + 1) // 2
        return count / took

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()
