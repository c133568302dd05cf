"""Buckets in PostgreSQL keep the contract of buckets, and lines of a value are chosen by SQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.postgres.server import Server
from tests.wasm import conftest as of_wasm
from tests.wasm import modules

from weftrun.adapters.buckets.postgres import PostgresBuckets
from weftrun.adapters.buckets.remote import RemoteBuckets
from weftrun.adapters.buckets.stores import buckets_at
from weftrun.adapters.wasm.call import CallReach
from weftrun.adapters.wasm.compiled import compiled
from weftrun.adapters.wasm.runner import cache_folder, run
from weftrun.entrypoints.http.roles import StorageRole
from weftrun.model.errors import UsageError
from weftrun.model.selecting import Selection
from weftrun.model.wasm import WasmLimits
from weftrun.ports.buckets import Buckets, BucketsUnreachable
from weftrun.testing.contracts.buckets import BucketsContract

cache, forgotten = of_wasm.cache, of_wasm.forgotten


@pytest.fixture(scope="module")
def store(server: Server) -> Iterator[PostgresBuckets]:
    buckets = buckets_at(server.url("postgres"))
    assert isinstance(buckets, PostgresBuckets)
    yield buckets
    buckets.close()


@pytest.fixture
def empty(server: Server, store: PostgresBuckets) -> PostgresBuckets:
    store.stat("b", "k")
    with server.connect() as connection:
        connection.execute("TRUNCATE weftrun_buckets.value, weftrun_buckets.once")
    return store


class TestPostgresBuckets(BucketsContract):
    @pytest.fixture
    def buckets(self, empty: PostgresBuckets) -> Buckets:
        return empty


def test_lines_are_chosen_by_sql_where_that_can(empty: PostgresBuckets) -> None:
    empty.write("b", "k", b"a 1\nb 2\n")
    found = empty.select("b", "k", Selection("b", gives="count"))
    assert found is not None
    assert (found.data, found.where, found.reason) == (b"1", "near", "chosen by SQL")
    empty.write("b", "k", b"a\0\n")
    found = empty.select("b", "k", Selection("a"))
    assert found is not None
    assert (found.data, found.where, found.reason) == (b"a\0\n", "here", "SQL can't choose of zero bytes")


class _Dropped(PostgresBuckets):
    """The server drops the connection before what is said is committed, once."""

    def __init__(self, server: Server) -> None:
        super().__init__(server.url("postgres"))
        self._server: Server | None = server

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        with super()._transaction() as connection:
            yield connection
            if self._server is not None:
                with self._server.connect() as other:
                    other.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))
                self._server = None


def test_a_write_whose_commit_fails_is_done_by_the_next_try_and_once(empty: PostgresBuckets, server: Server) -> None:
    empty.write("b", "k", b"before")
    buckets = _Dropped(server)
    with pytest.raises(BucketsUnreachable, match="can't be used"):
        buckets.write("b", "k", b"mine", once="run/step#1")
    assert (empty.read("b", "k") or (None, b""))[1] == b"before"
    buckets.write("b", "k", b"mine", once="run/step#1")
    empty.write("b", "k", b"theirs")
    buckets.write("b", "k", b"mine", once="run/step#1")
    assert (empty.read("b", "k") or (None, b""))[1] == b"theirs"
    buckets.close()


def test_a_server_that_is_away_or_no_url_is_told() -> None:
    with pytest.raises(BucketsUnreachable, match=r"The store postgresql://u@127\.0\.0\.1:9/d can't be used: .*refused"):
        PostgresBuckets("postgresql://u@127.0.0.1:9/d").read("b", "k")
    with pytest.raises(UsageError, match="leave the password out of it"):
        PostgresBuckets("postgresql://u:secret@127.0.0.1:9/d")
    for url in ("postgresql://[", "mysql://x"):
        with pytest.raises(UsageError, match="This is no database"):
            PostgresBuckets(url)
    with pytest.raises(UsageError, match="is no store of values"):
        buckets_at("mysql://x")


@pytest.mark.sweep
def test_a_call_runs_and_lines_are_chosen_near_what_is_kept_in_postgres(
    empty: PostgresBuckets, server: Server, tmp_path: Path
) -> None:
    """The storage role is beside the server: the value moves to neither."""
    role = StorageRole(tmp_path, "127.0.0.1", 0, store=server.url("postgres"))
    remote = RemoteBuckets(role.url)
    try:
        empty.write("b", "k", b"abc 7\n" * 10_000)
        place = CallReach("b", remote, remote, "require")
        summed = run(compiled(modules.SUM_NEAR, "m", cache_folder()), "_start", "sum", b"k", place, WasmLimits())
        here = run(compiled(modules.SUM_NEAR, "m", cache_folder()), "_start", "sum", b"k",
                   CallReach("b", empty, named=server.url("postgres")), WasmLimits())  # fmt: skip
        assert summed.output == here.output
        assert (summed.moved[0].where, summed.moved[0].bytes_back < 1_000) == ("near", True)
        found = remote.select("b", "k", Selection("bc", 2, gives="sum"))
        assert found is not None
        assert (found.data, found.reason, remote.bytes_back < 2_000) == (b"70000", "chosen by SQL", True)
    finally:
        remote.close()
        role.close()
