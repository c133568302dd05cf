"""A PostgreSQL server for one group of figures: its own, on this disk, with fsync, over a Unix socket."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from bench.figure import Absent
from psycopg import pq
from tests.postgres.server import Missing, Server


@contextmanager
def serving() -> Iterator[Server]:
    """Start a server from a wheel, or the programs that WEFTRUN_POSTGRES_BIN names; it is gone afterwards."""
    try:
        server = Server()
    except Missing as missing:
        raise Absent(f"{missing}: pip install 'weftrun[dev]'.") from None
    try:
        yield server
    finally:
        server.remove()


def require_dbos() -> None:
    """Say so where DBOS is not there."""
    if importlib.util.find_spec("dbos") is None:
        raise Absent("DBOS is not installed here: pip install 'weftrun[bench]'.")


class CommitRoundTrip:
    """One row in a transaction of its own: a prepared INSERT with autocommit, said to libpq without a driver."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True)
        columns = "run integer, seq integer, body bytea, PRIMARY KEY (run, seq)"
        self._connection.execute(f"CREATE TABLE floor ({columns})")
        self._connection.pgconn.prepare(b"floor", b"INSERT INTO floor VALUES (1, $1, $2)")
        self._seq = 0

    def __call__(self) -> None:
        self._seq += 1
        done = self._connection.pgconn.exec_prepared(b"floor", [b"%d" % self._seq, bytes(200)], [0, 1])
        if done.status != pq.ExecStatus.COMMAND_OK:
            raise RuntimeError(done.get_error_message())

    def settings(self) -> str:
        """Return what the server is, and what a commit waits for."""
        parts = []
        for name in ("server_version", "fsync", "synchronous_commit"):
            row = self._connection.execute(f"SHOW {name}").fetchone()
            assert row is not None
            parts.append(f"{name} {row[0]}")
        return ", ".join(parts)

    def __enter__(self) -> CommitRoundTrip:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
