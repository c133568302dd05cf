"""What transactions of Steps do on every Journal; subclasses say where that is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.conftest import assert_closed
from tests.engine import ordering as o
from tests.engine.killing import killed_at
from tests.sweeping import shared

import weftrun
from weftrun.assembly import open_engine
from weftrun.model.limits import Limits

PARTS = 6
"""Tests that share the points at which an engine is killed, so that they run side by side."""


class TransactionsOfSteps:
    """Subclasses give the fixture `fresh` and the methods, and say what is different.

    Attributes:
        takes_turns: whether one transaction begins when the one before has ended, so that it sees what that did.
        doubled: the sentence for a key that is there already, as a pattern, and its code.
        unknown: the same for a table that is not there.
    """

    takes_turns: bool
    doubled: tuple[str, str]
    unknown: tuple[str, str]

    @pytest.fixture
    def fresh(self) -> str:
        """Return the URL of an empty Journal."""
        raise NotImplementedError

    def orders(self, url: str) -> list[tuple[object, ...]]:
        """Return the rows of the authors' table."""
        raise NotImplementedError

    def make_table(self, url: str) -> None:
        """Make a Journal and a table beside it, without a Sandbox: one takes longer than most of these tests."""
        raise NotImplementedError

    def another(self, url: str, number: int) -> str:
        """Return the URL of another empty Journal beside which there is an empty table."""
        raise NotImplementedError

    @pytest.fixture
    def shop(self, fresh: str) -> str:
        """Return the URL of an empty Journal beside which there is an empty table."""
        self.make_table(fresh)
        return fresh

    @pytest.mark.parametrize("flow", [o.buy, o.buy_watched], ids=lambda f: f.spec.label)
    def test_statements_commit_with_the_record(self, flow: weftrun.Function[..., list[int]], fresh: str) -> None:
        with weftrun.open(fresh, sandboxes=2) as engine:
            totals = engine.run(flow.options(id="r"), ["a", "b", "c"])
        assert len(totals) == 3
        assert max(totals) == 6 or not self.takes_turns
        assert self.orders(fresh) == [("a", 1), ("b", 2), ("c", 3)]
        assert_closed(fresh)

    @pytest.mark.parametrize("most", [1, 8])
    def test_many_at_once_and_other_work_beside_them(self, most: int, shop: str) -> None:
        with open_engine(shop, sandboxes=4, limits=Limits(transactions_max=most)) as engine:
            runs = [engine.start(o.many, 20), *(engine.start(o.after, n) for n in range(50))]
            largest, *others = [run.result(60) for run in runs]
        assert others == list(range(50))
        assert largest == 20 or not self.takes_turns
        assert len(self.orders(shop)) == 20
        assert_closed(shop)

    @pytest.mark.parametrize("how", ["raises", "raises late", "dies"])
    def test_an_attempt_that_fails_leaves_nothing(self, how: str, shop: str, tmp_path: Path) -> None:
        with weftrun.open(shop, sandboxes=2) as engine:
            run = engine.start(o.stumbles.options(id="r"), how, str(tmp_path / "ledger"))
            assert run.result(60) == how
            assert run.steps()[0].attempts == 2
        assert self.orders(shop) == [(how, 1)]
        assert_closed(shop)

    def test_values_by_name(self, shop: str) -> None:
        with weftrun.open(shop, sandboxes=1) as engine:
            engine.run(
                o.says_by_name, "INSERT INTO app_orders (item, amount) VALUES (:key, :val)", {"val": 5, "key": "a"}
            )
            with pytest.raises(weftrun.StatementRefused, match="takes :val, and no value of that name"):
                engine.run(o.says_by_name, "INSERT INTO app_orders (item, amount) VALUES (:key, :val)", {"key": "b"})
        assert self.orders(shop) == [("a", 5)]

    def test_a_statement_that_is_refused_may_be_caught(self, shop: str) -> None:
        with weftrun.open(shop, sandboxes=1) as engine:
            sentence, code = engine.run(o.mends, "a")
            assert re.fullmatch(self.doubled[0], sentence)
            assert code == self.doubled[1]
            with pytest.raises(weftrun.StatementRefused, match=self.unknown[0]) as refused:
                engine.run(o.says, "SELECT * FROM nowhere")
            assert refused.value.code == self.unknown[1]
        assert self.orders(shop) == [("a", 2)]

    @pytest.mark.parametrize("first", shared(range(1, PARTS + 1)))
    def test_killed_at_every_point(self, first: int, shop: str) -> None:
        """Whatever an engine was about to say to the database: what the transaction did is there once (P10)."""
        found = set()
        for at in range(first, 100, PARTS):
            url = self.another(shop, at)
            if not killed_at(url, at):
                break
            found.add(len(self.orders(url)))
            with weftrun.open(url, sandboxes=2) as engine:
                assert engine.start(o.one_of.options(id="r"), "a").result(60) == 7
            assert self.orders(url) == [("a", 7)]
            assert_closed(url)
        assert found <= {0, 1}
        assert at > 12, "there are many points"
