"""What drivers of databases have and a transaction has not is refused by a sentence that says what there is instead."""

from __future__ import annotations

from typing import Any

import pytest

from weftrun.sdk.transaction import Rows, Transaction


class Quiet:
    """Whoever carries the words; a transaction that lacks a word asks it nothing."""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "executemany",
            r"'executemany'\. Put many rows into one statement, INSERT INTO t VALUES \(\?, \?\), \(\?, \?\)",
        ),
        ("copy", "Put many rows into one statement"),
        ("executescript", "Say execute for each statement"),
        ("commit", "What it did commits when the body returns"),
        ("rollback", "an error that leaves the block undoes it"),
        ("close", "commits when the body returns"),
        ("begin", "has begun it"),
        ("savepoint", "catch StatementRefused and go on"),
        ("cursor", r"There are no cursors: db\.execute returns the rows"),
        ("fetchone", r"rows\[0\]"),
        ("fetchall", "as a list of tuples"),
        ("fetchrow", r"rows\[0\]"),
        ("lastrowid", "RETURNING id"),
        ("nothing_known", r"A transaction has no 'nothing_known'; it has execute\."),
    ],
)
def test_a_transaction_says_what_it_has_instead(name: str, said: str) -> None:
    db: Any = Transaction(Quiet(), 1_000)  # type: ignore[arg-type]
    with pytest.raises(AttributeError, match=said):
        getattr(db, name)
    assert not hasattr(db, name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("fetchone", r"What execute returns has no 'fetchone'.*rows\[0\]"),
        ("rowcount", "rows.changed"),
        ("x", "'Rows' obj"),
    ],
)
def test_rows_say_it_too(name: str, said: str) -> None:
    rows: Any = Rows([(1,)], ("a",), 1)
    with pytest.raises(AttributeError, match=said):
        getattr(rows, name)
    assert (rows[0], rows.columns, rows.changed) == ((1,), ("a",), 1)
