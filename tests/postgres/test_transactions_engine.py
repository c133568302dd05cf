"""What a Step's transaction does is there exactly if its record is, with a Journal in PostgreSQL (T1)."""

from __future__ import annotations

import contextlib
import signal
import time
from pathlib import Path

import psycopg
import pytest
from tests.conftest import assert_closed
from tests.engine import ordering as o
from tests.engine.conftest import until
from tests.engine.transactions import TransactionsOfSteps
from tests.postgres.server import Server

import weftrun
from weftrun.adapters.postgres.transactions import PostgresTransaction
from weftrun.assembly import open_reader
from weftrun.model.records import Row
from weftrun.ports.journal import Appended
from weftrun.views.story import story


@pytest.fixture
def fresh(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the URL of an empty Journal without a table beside it."""
    monkeypatch.setenv("WEFTRUN_FOLDER", str(tmp_path / "beside"))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS app_orders")
    return url


def make_table(url: str) -> None:
    weftrun.open(url, sandboxes=1).close()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(o.TABLE)


@pytest.fixture
def shop(fresh: str) -> str:
    """Return the URL of an empty Journal beside which there is an empty table."""
    make_table(fresh)
    return fresh


def orders(url: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute("SELECT item, amount FROM app_orders ORDER BY item").fetchall()


class TestOnPostgresql(TransactionsOfSteps):
    takes_turns = False
    doubled = (
        'PostgreSQL refused a statement: duplicate key value violates unique constraint "app_.*',
        "23505",
    )
    unknown = ('relation "nowhere" does not exist', "42P01")

    @pytest.fixture
    def fresh(self, fresh: str) -> str:
        return fresh

    def orders(self, url: str) -> list[tuple[object, ...]]:
        return orders(url)

    def make_table(self, url: str) -> None:
        make_table(url)

    def another(self, url: str, number: int) -> str:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DROP SCHEMA IF EXISTS weftrun CASCADE")
            connection.execute("TRUNCATE app_orders")
        return url


def test_a_body_may_take_its_time_and_be_cancelled(shop: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    with weftrun.open(shop, sandboxes=2) as engine:
        run = engine.start(o.stumbles.options(id="r"), "stays", str(ledger))
        while not ledger.exists():
            time.sleep(0.01)
        assert engine.run(o.order, "b", 1) == 1  # nobody waits for it
        run.cancel()
        with pytest.raises(weftrun.RunCancelled):
            run.result(60)
    assert orders(shop) == [("b", 1)]


@pytest.mark.parametrize("happened", [False, True])
@pytest.mark.parametrize("flow", [o.one_of, o.order], ids=lambda f: f.spec.label)
def test_a_commit_without_an_answer(
    flow: weftrun.Function[..., int], happened: bool, shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is lost at COMMIT: before the server has it, or before its answer has come."""
    commits: list[int] = []
    real = PostgresTransaction.commit

    class Cut:
        def __init__(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
            self._connection = connection

        def __getattr__(self, name: str) -> object:
            return getattr(self._connection, name)

        def execute(self, sql: str, *args: object, **kwargs: object) -> object:
            if sql != "COMMIT":
                return self._connection.execute(sql, *args, **kwargs)
            if happened:
                self._connection.execute(sql)
            return self._connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    def commit(self: PostgresTransaction, rows: list[Row], *, renew: bool) -> Appended:
        commits.append(len(rows))
        if len(commits) == 1:
            self._connection = Cut(self._connection)
        return real(self, rows, renew=renew)

    monkeypatch.setattr(PostgresTransaction, "commit", commit)
    with weftrun.open(shop, sandboxes=2) as engine:
        run = engine.start(flow.options(id="r"), "a", *(() if flow is o.one_of else (7,)))
        assert run.result(60) == 7
        assert engine.run(o.order, "b", 1) == 8
    assert len(commits) == (2 if happened else 3)
    assert orders(shop) == [("a", 7), ("b", 1)]
    assert_closed(shop)


@pytest.mark.sweep
def test_a_server_that_dies_costs_no_retry(server: Server, shop: str, tmp_path: Path) -> None:
    """Nothing was said of retries, and another Attempt follows."""
    ledger, go = tmp_path / "ledger", tmp_path / "go"
    with weftrun.open(shop, sandboxes=1) as engine:
        run = engine.start(o.is_interrupted.options(id="r"), "a", str(ledger), str(go))
        until(ledger.exists)
        server.stop(signal.SIGKILL)
        go.touch()
        server.start_again()
        assert run.result(60) == 1
        assert run.steps()[0].attempts == 2
    assert orders(shop) == [("a", 1)]
    with contextlib.closing(open_reader(shop)) as reader:
        info = reader.find("r")
        assert info is not None
        told = [one.text for one in story(reader.load(info.uid))]
    assert any("because a lost transaction is not the Function's fault" in text for text in told)
    assert_closed(shop)
