"""What may be said inside an author's transaction, whatever the database: one statement that works on tables."""

from __future__ import annotations

import re
from collections.abc import Sequence

from weftrun.model.errors import LimitExceeded, StatementRefused

_FIRST = re.compile(r"(?:[ \t\r\n\f\v]+|--[^\n]*(?:\n|\Z)|/\*.*?\*/)*(\w*|\()", re.DOTALL)
_ALLOWED = frozenset(
    [
        "(",
        "alter",
        "analyze",
        "call",
        "comment",
        "create",
        "delete",
        "drop",
        "explain",
        "insert",
        "lock",
        "merge",
        "reindex",
        "replace",
        "select",
        "table",
        "truncate",
        "update",
        "values",
        "with",
    ]
)


def check_kind(sql: str) -> None:
    """Refuse what is no statement on tables: the transaction's own end, settings, other databases.

    Raises:
        StatementRefused: names the word.
    """
    found = _FIRST.match(sql)
    word = found[1].lower() if found is not None else ""
    if found is not None and "/*" in found[0].replace("/*", "", found[0].count("*/")):
        raise StatementRefused("A statement can't begin with a comment inside a comment. Leave the comment out.")
    if word not in _ALLOWED:
        what = word.upper() or repr(sql[:40])
        raise StatementRefused(
            f"{what} can't be said in a Step's transaction: it begins with the `with` block, ends with the Step, and "
            "is for statements on tables."
        )


def is_query(sql: str) -> bool:
    """Say whether a statement asks for rows and, as far as its first word tells, changes nothing."""
    found = _FIRST.match(sql)
    return found is not None and found[1].lower() in ("select", "values", "table", "(")


def size_of(row: Sequence[object]) -> int:
    """Return about how many bytes a row has."""
    return sum(len(value) if isinstance(value, str | bytes) else 8 for value in row)


def check_bounds(rows: int, size: int, rows_max: int, bytes_max: int) -> None:
    """Raise `LimitExceeded` where a statement gives more than one may."""
    if rows > rows_max:
        raise LimitExceeded(
            f"A statement gave more than {rows_max:,} rows, the limit transaction_rows_max. Ask for fewer by LIMIT, or "
            "for a sum."
        )
    if size > bytes_max:
        raise LimitExceeded(
            f"The rows of a statement have more than {bytes_max:,} bytes, the limit transaction_bytes_max. Ask for "
            "fewer of them."
        )
