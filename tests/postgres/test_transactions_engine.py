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
from tests.engine.killing import killed_at
from tests.postgres.server import Server

import weftrun
from weftrun.adapters.postgres.transactions import PostgresTransaction
from weftrun.assembly import open_engine, open_reader
from weftrun.model.limits import Limits
from weftrun.model.records import Row
from weftrun.ports.journal import Appended
from weftrun.views.story import story


@pytest.fixture
def shop(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the URL of an empty Journal beside which there is an empty table."""
    monkeypatch.setenv("WEFTRUN_FOLDER", str(tmp_path / "beside"))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS app_orders")
    with weftrun.open(url, workers=1) as engine:
        engine.run(o.make_table)
    return url


def orders(url: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute("SELECT item, amount FROM app_orders ORDER BY item").fetchall()


@pytest.mark.parametrize("flow", [o.buy, o.buy_watched], ids=lambda f: f.spec.label)
def test_statements_commit_with_the_record(flow: weftrun.Function[..., list[int]], shop: str) -> None:
    with weftrun.open(shop, workers=2) as engine:
        assert len(engine.run(flow.options(id="r"), ["a", "b", "c"])) == 3
    assert orders(shop) == [("a", 1), ("b", 2), ("c", 3)]
    assert_closed(shop)


@pytest.mark.parametrize("most", [1, 8])
def test_many_at_once(most: int, shop: str) -> None:
    with open_engine(shop, workers=4, limits=Limits(transactions_max=most)) as engine:
        runs = [engine.start(o.many, 20), *(engine.start(o.after, n) for n in range(20))]
        done = [run.result(60) for run in runs]
    assert done[1:] == list(range(20))
    assert len(orders(shop)) == 20
    assert_closed(shop)


@pytest.mark.parametrize("how", ["raises", "raises late", "dies"])
def test_an_attempt_that_fails_leaves_nothing(how: str, shop: str, tmp_path: Path) -> None:
    with weftrun.open(shop, workers=2) as engine:
        assert engine.start(o.stumbles, how, str(tmp_path / "ledger")).result(60) == how
    assert orders(shop) == [(how, 1)]
    assert_closed(shop)


def test_a_body_may_take_its_time_and_be_cancelled(shop: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    with weftrun.open(shop, workers=2) as engine:
        run = engine.start(o.stumbles.options(id="r"), "stays", str(ledger))
        while not ledger.exists():
            time.sleep(0.01)
        assert engine.run(o.order, "b", 1) == 1  # nobody waits for it
        run.cancel()
        with pytest.raises(weftrun.RunCancelled):
            run.result(60)
    assert orders(shop) == [("b", 1)]


def test_a_statement_that_is_refused_may_be_caught(shop: str) -> None:
    with weftrun.open(shop, workers=1) as engine:
        sentence, code = engine.run(o.mends, "a")
    assert sentence.startswith('PostgreSQL refused a statement: duplicate key value violates unique constraint "app_')
    assert code == "23505"
    assert orders(shop) == [("a", 2)]


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
                return self._connection.execute(sql, *args, **kwargs)  # type: ignore[arg-type]
            if happened:
                self._connection.execute(sql)
            return self._connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    def commit(self: PostgresTransaction, rows: list[Row], *, renew: bool) -> Appended:
        commits.append(len(rows))
        if len(commits) == 1:
            self._connection = Cut(self._connection)  # type: ignore[assignment]
        return real(self, rows, renew=renew)

    monkeypatch.setattr(PostgresTransaction, "commit", commit)
    with weftrun.open(shop, workers=2) as engine:
        run = engine.start(flow.options(id="r"), "a", *(() if flow is o.one_of else (7,)))
        assert run.result(60) == 7
        assert engine.run(o.order, "b", 1) == 8
    assert len(commits) == (2 if happened else 3)
    assert orders(shop) == [("a", 7), ("b", 1)]
    assert_closed(shop)


def test_a_server_that_dies_costs_no_retry(server: Server, shop: str, tmp_path: Path) -> None:
    """Nothing was said of retries, and another Attempt follows."""
    ledger, go = tmp_path / "ledger", tmp_path / "go"
    with weftrun.open(shop, workers=1) as engine:
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


@pytest.mark.parametrize("first", [1, 2])
def test_killed_at_every_point(first: int, shop: str) -> None:
    """Whatever an engine was about to say to the database: what the transaction did is there once (P10)."""
    found = set()
    for at in range(first, 100, 2):
        with psycopg.connect(shop, autocommit=True) as connection:
            connection.execute("DROP SCHEMA IF EXISTS weftrun CASCADE")
            connection.execute("TRUNCATE app_orders")
        if not killed_at(shop, at):
            break
        found.add(len(orders(shop)))
        with weftrun.open(shop, workers=2) as engine:
            assert engine.start(o.one_of.options(id="r"), "a").result(60) == 7
        assert orders(shop) == [("a", 7)]
        assert_closed(shop)
    assert found <= {0, 1}
    assert at > 12, "there are many points"
