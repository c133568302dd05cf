"""What a Step's transaction does is there exactly if its record is (T1)."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import apsw
import pytest
from tests.conftest import assert_closed
from tests.engine import ordering as o
from tests.engine.test_budget import ENDS, counted
from tests.engine.transactions import TransactionsOfSteps
from tests.sweeping import shared

import weftrun
from weftrun.adapters.sqlite.transactions import SqliteTransaction
from weftrun.assembly import open_engine, open_reader
from weftrun.model.errors import CommitUnknown, JournalFull, WeftrunError
from weftrun.model.limits import Limits
from weftrun.model.records import Row
from weftrun.ports.journal import Appended
from weftrun.views.story import story


def orders(url: str) -> list[tuple[object, ...]]:
    connection = apsw.Connection(url.removeprefix("sqlite:///"))
    try:
        return list(connection.execute("SELECT item, amount FROM app_orders ORDER BY item"))
    finally:
        connection.close()


def make_table(url: str) -> None:
    weftrun.open(url, sandboxes=1).close()
    connection = apsw.Connection(url.removeprefix("sqlite:///"))
    connection.execute(o.TABLE)
    connection.close()


@pytest.fixture
def shop(url: str) -> str:
    """Return the URL of a Journal beside which there is a table."""
    make_table(url)
    return url


@pytest.fixture(scope="module")
def shared_shop(shared_engine: weftrun.Engine, shared_url: str) -> weftrun.Engine:
    """Return an engine of the whole file, with a table beside its Journal in which nothing ever is."""
    make_table(shared_url)
    return shared_engine


class TestOnSqlite(TransactionsOfSteps):
    takes_turns = True
    doubled = (
        r"SQLite refused a statement: UNIQUE constraint failed: app_orders\.item\.",
        "SQLITE_CONSTRAINT_PRIMARYKEY",
    )
    unknown = ("no such table: nowhere", "SQLITE_ERROR")

    @pytest.fixture
    def fresh(self, url: str) -> str:
        return url

    def orders(self, url: str) -> list[tuple[object, ...]]:
        return orders(url)

    def make_table(self, url: str) -> None:
        make_table(url)

    def another(self, url: str, number: int) -> str:
        made = url.replace("journal.db", f"{number}.db")
        make_table(made)
        return made


def test_who_holds_the_lock_for_too_long_is_ended(shop: str, tmp_path: Path) -> None:
    with open_engine(shop, sandboxes=2, limits=Limits(transaction_hold_s=0.3)) as engine:
        run = engine.start(o.stumbles.options(id="r"), "stays", str(tmp_path / "ledger"))
        others = [engine.start(o.after, n) for n in range(5)]
        assert [other.result(60) for other in others] == list(range(5))
        assert run.result(60) == "stays"
        assert run.steps()[0].attempts == 2
    assert orders(shop) == [("stays", 1)]
    with open_engine(shop, sandboxes=2, limits=Limits(transaction_hold_s=0.3)) as engine:
        engine.run(o.says, "DELETE FROM app_orders")
        once = o.stumbles.options(retries=0, id="s")
        with pytest.raises(weftrun.StepTimedOut, match=r"longer than 0.3 s \(transaction_hold_s\)"):
            engine.run(once, "stays", str(tmp_path / "again"))
    assert_closed(shop)


def test_an_endless_statement_is_ended(shop: str) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    with open_engine(shop, sandboxes=1, limits=Limits(transaction_hold_s=0.2)) as engine:
        with pytest.raises(weftrun.StepTimedOut, match="transaction_hold_s"):
            engine.run(o.says, endless)
        assert engine.run(o.after, 1) == 1


def test_an_error_that_leaves_the_block_undoes_it(shop: str) -> None:
    with weftrun.open(shop, sandboxes=1) as engine:
        assert engine.run(o.thinks_better, "a") == "left it"
        assert engine.run(o.order, "b", 2) == 2
    assert orders(shop) == [("b", 2)]
    assert_closed(shop)


def test_values_and_async_functions(shop: str) -> None:
    values = (None, True, -5, 0.5, "ü", b"\x00")
    with weftrun.open(shop, sandboxes=1) as engine:
        assert engine.run(o.says, "SELECT ?, ?, ?, ?, ?, ?", *values) == [(None, 1, -5, 0.5, "ü", b"\x00")]
        assert engine.run(o.says_in_async, "SELECT 1 UNION SELECT 2") == [(1,), (2,)]
        for wrong, text in (([1], "Parameter number 1 is of type list"), (2**63, "number 1 does not fit into 64 bits")):
            with pytest.raises(weftrun.StatementRefused, match=text):
                engine.run(o.says, "SELECT ?", wrong)


def test_a_large_value_goes_with_it(shop: str) -> None:
    with weftrun.open(shop, sandboxes=1) as engine:
        assert len(engine.run(o.large.options(id="r"), "a")) == 300_000
    with weftrun.open(shop, sandboxes=1) as engine:
        assert len(engine.get("r").result(60)) == 300_000
    assert orders(shop) == [("a", 1)]
    assert_closed(shop)


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (o.without_saying, 'in a Function without effects="transaction". Say so on its decorator'),
        (o.body_with_one, "in the body of a workflow, which is replayed after a crash. Put it into a Function"),
        (o.twice, "A Step has one transaction, and this one has begun before"),
        (o.never_left, "The body returned while its transaction was open"),
        (o.too_early, "The transaction has not begun: write `with weftrun.current().transaction() as db:`"),
        (o.too_late, "The transaction is over: its `with` block was left"),
        (o.in_a_thread, "A transaction is of the thread that began it"),
        (o.order.options(durable=False), "this Run was started with durable=False, which keeps none"),
    ],
)
def test_where_there_is_none(
    function: weftrun.Function[..., object], text: str, shared_shop: weftrun.Engine, shared_url: str
) -> None:
    arguments = ("a", 1) if function.spec.label == "order" else ()
    with pytest.raises(weftrun.UsageError, match=re.escape(text)):
        shared_shop.run(function.options(retries=0) if arguments else function, *arguments)
    assert shared_shop.run(o.after, 1) == 1
    assert orders(shared_url) == []


def test_the_story_says_that_none_was_begun(shop: str) -> None:
    with weftrun.open(shop, sandboxes=1) as engine:
        assert engine.run(o.begins_none.options(id="none"), begin=False) == "done"
        assert engine.run(o.begins_none.options(id="one"), begin=True) == "done"
        with pytest.raises(ValueError, match="told"):
            engine.run(o.begins_none_and_fails.options(id="failed"))
    sentence = 'begins_none has effects="transaction" and succeeded without beginning one: '
    assert [text.startswith(sentence) for text in notes(shop, "none")] == [True]
    assert notes(shop, "one") == [] == notes(shop, "failed")


def notes(url: str, id: str) -> list[str]:
    """Return what the story of a Run says of transactions that were not begun."""
    reader = open_reader(url)
    try:
        info = reader.find(id)
        assert info is not None
        told = story(reader.load(info.uid), reader.trace(info.uid))
    finally:
        reader.close()
    return [one.text for one in told if "without beginning one" in one.text]


def test_a_map_is_refused() -> None:
    with pytest.raises(weftrun.UsageError, match=r"order.map: order has a transaction.*\[order\(x\) for x in items\]"):
        o.order.map(["a"], [1])


def test_a_local_run_has_none() -> None:
    with pytest.raises(weftrun.UsageError, match=r"a local run, which has no Journal.*weftrun.open\(f\"sqlite:///"):
        o.one_of("a")


def test_no_outcome_may_be_put_off() -> None:
    for checkpoint in ("async", "none"):
        with pytest.raises(weftrun.PolicyError, match="its record commits with what it did"):
            o.order.options(checkpoint=checkpoint)  # type: ignore[arg-type]
    assert o.order.spec.checkpoint == "sync"


def test_a_cancelled_run_leaves_nothing(shop: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    with weftrun.open(shop, sandboxes=1) as engine:
        run = engine.start(o.stumbles.options(id="r"), "stays", str(ledger))
        while not ledger.exists():
            time.sleep(0.01)
        run.cancel()
        with pytest.raises(weftrun.RunCancelled):
            run.result(60)
        assert engine.run(o.order, "b", 1) == 1
    assert orders(shop) == [("b", 1)]


def test_an_engine_that_is_closed_leaves_nothing(shop: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    engine = weftrun.open(shop, sandboxes=1)
    run = engine.start(o.stumbles.options(id="r"), "stays", str(ledger))
    while not ledger.exists():
        time.sleep(0.01)
    engine.close(drain_s=0.1)
    with pytest.raises(weftrun.EngineClosed):
        run.result(60)
    assert orders(shop) == []
    with weftrun.open(shop, sandboxes=1) as engine:
        assert engine.get("r").result(60) == "stays"
    assert orders(shop) == [("stays", 1)]
    assert_closed(shop)


@pytest.mark.parametrize(
    ("error", "happened"),
    [(JournalFull("no room"), False), (CommitUnknown("who knows"), False), (CommitUnknown("who knows"), True)],
    ids=["full", "unknown", "unknown but done"],
)
@pytest.mark.parametrize("flow", shared([o.order, o.one_of]), ids=lambda f: f.spec.label)
def test_a_commit_that_did_not_happen_or_may_have(
    flow: weftrun.Function[..., int], error: WeftrunError, happened: bool, shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Run goes on from what the Journal holds."""
    commits: list[int] = []
    real = SqliteTransaction.commit

    def commit(self: SqliteTransaction, rows: list[Row], *, renew: bool) -> Appended:
        commits.append(len(rows))
        if len(commits) > 1:
            return real(self, rows, renew=renew)
        if happened:
            real(self, rows, renew=renew)
        else:
            self.roll_back()
        raise error

    monkeypatch.setattr(SqliteTransaction, "commit", commit)
    with weftrun.open(shop, sandboxes=2) as engine:
        run = engine.start(flow.options(id="r"), "a", *(() if flow is o.one_of else (7,)))
        assert run.result(60) == 7
        assert engine.run(o.order, "b", 1) == 8
    assert len(commits) == (2 if happened else 3)
    assert orders(shop) == [("a", 7), ("b", 1)]
    assert_closed(shop)


SHELF = """
import sys
import weftrun
from tests.engine import ordering as o
with weftrun.open(sys.argv[1], sandboxes=2) as engine:
    runs = [engine.start(o.shelf.options(id=f"{sys.argv[2]}-{n}"), f"{sys.argv[2]}-{n}", 10) for n in range(3)]
    for run in runs:
        run.result(60)
"""


@pytest.mark.sweep
def test_several_engines_take_turns(shop: str) -> None:
    """Three processes want the write lock of one file all the time; each gets it."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    processes = [
        subprocess.Popen([sys.executable, "-c", SHELF, shop, name], env=environment, stderr=subprocess.PIPE, text=True)
        for name in "abc"
    ]
    for process in processes:
        _, said = process.communicate(timeout=90)
        assert process.returncode == 0, said
    assert len(orders(shop)) == 3 * 3 * 10
    assert_closed(shop)


def test_what_a_step_with_a_transaction_costs(shop: str) -> None:
    """Its outcome, as any other."""
    with weftrun.open(shop, sandboxes=1) as engine:
        engine.run(o.one_of.options(id="one"), "a")
    reader = open_reader(shop)
    info = reader.find("one")
    assert info is not None
    told = [one.text for one in story(reader.load(info.uid)) if one.step == "order[0]"]
    reader.close()
    assert told[-1].endswith(" What it did in a transaction committed with this record.")
    assert counted(shop, "one") == ENDS | {"Graphed": 1, "Settled": 3}
