"""`current().transaction()`: statements to the Journal's database that commit with the Step's record (T1).

The engine owns the connection. What stands here hands each statement to whoever speaks for the Sandbox, and waits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, cast

from weftrun.model.errors import LimitExceeded, StatementRefused, UsageError
from weftrun.model.telling import writable
from weftrun.model.values import Scalar
from weftrun.sdk.inspection import with_article

_SCALARS = frozenset({bool, int, float, str, bytes, type(None)})
_AS_TEXT = frozenset(
    {"decimal.Decimal", "datetime.date", "datetime.datetime", "datetime.time", "uuid.UUID"}  # none is imported here
)
_INT_MAX = 2**63


_MANY = (
    "Put many rows into one statement, INSERT INTO t VALUES (?, ?), (?, ?), or SELECT from json_each(?); "
    "for a few, say execute for each."
)
_ENDS = (
    "What it did commits when the body returns, with the Step's record, and an error that leaves the block undoes it."
)
_ROWS = "execute returns the rows as a list of tuples: rows = db.execute(...), then rows[0], or a loop over them."
_NOT_HERE = {
    "executemany": _MANY,
    "copy": _MANY,
    "executescript": "Say execute for each statement.",
    "commit": _ENDS,
    "rollback": _ENDS,
    "close": _ENDS,
    "begin": "The `with` block has begun it.",
    "savepoint": "A statement that is refused leaves the transaction as it was: catch StatementRefused and go on.",
    "cursor": _ROWS.replace("execute returns", "There are no cursors: db.execute returns", 1),
    "fetchone": _ROWS,
    "fetchall": _ROWS,
    "fetchmany": _ROWS,
    "fetchval": _ROWS,
    "fetch": _ROWS,
    "fetchrow": _ROWS,
    "description": "The names of columns are rows.columns of what execute has returned.",
    "rowcount": "How many rows a statement changed is rows.changed of what execute has returned.",
    "lastrowid": "Say INSERT ... RETURNING id: execute returns the row.",
}
"""What drivers of databases have, and how it is said here."""


def _no_attribute(what: str, name: str) -> AttributeError:
    instead = _NOT_HERE.get(name)
    return AttributeError(f"{what} has no {name!r}{f'. {instead}' if instead else '; it has execute.'}")


class Rows(list[tuple[Any, ...]]):
    """The rows that a statement gave, as tuples of `None`, `bool`, `int`, `float`, `str` and `bytes`.

    Attributes:
        columns: their names; empty where the statement gives no rows.
        changed: how many rows it added, changed or removed.
    """

    def __init__(self, rows: Sequence[tuple[Any, ...]] = (), columns: tuple[str, ...] = (), changed: int = 0) -> None:
        super().__init__(rows)
        self.columns = columns
        self.changed = changed

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name in _NOT_HERE:
                raise _no_attribute("What execute returns", name)
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


class StatementCarrier(Protocol):
    """Who carries a transaction's words to the engine and returns with its answers, raising what it refuses."""

    def begin(self) -> None:
        """Begin; returns when the transaction has the lock that it needs."""

    def execute(self, sql: str, parameters: tuple[Scalar, ...] | dict[str, Scalar]) -> Rows:
        """Say one statement."""

    def leave(self, *, keep: bool) -> None:
        """Say no more: what was said is to commit with the Step, or is to be undone."""


class Transaction:
    """The one transaction of a Step, as `with weftrun.current().transaction() as db:` gives it.

    What its statements do commits together with the record of the Step's outcome, once the body has returned: each is
    there exactly if the other is. An error that leaves the `with` block, or the body, undoes it.
    """

    def __init__(self, asked: StatementCarrier, bytes_max: int) -> None:
        """Speak through `asked`, with at most `bytes_max` bytes in one statement."""
        self._asked = asked
        self._bytes_max = bytes_max
        self._state = "new"
        self._thread = 0

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            raise _no_attribute("A transaction", name)

    @property
    def is_open(self) -> bool:
        """Whether its `with` block has been entered and not left."""
        return self._state == "open"

    @property
    def has_begun(self) -> bool:
        """Whether its `with` block has been entered, ever."""
        return self._state != "new"

    def __enter__(self) -> Transaction:
        """Take the lock that it needs; waits for its turn."""
        if self._state != "new":
            raise UsageError(
                "A Step has one transaction, and this one has begun before. Put all statements into one `with` block."
            )
        self._state = "over"
        self._asked.begin()
        self._state, self._thread = "open", threading.get_ident()
        return self

    def execute(self, sql: str, parameters: Iterable[object] | Mapping[str, object] = ()) -> Rows:
        """Say one statement and return the rows it gives.

        A statement that is refused leaves the transaction as it was before it; the body may catch the error and go on.

        Args:
            sql: with a `?` for each parameter, or a `:name` where they are a mapping.
            parameters: None, bool, int (of 64 bits), float, str or bytes each. A Decimal, date, datetime, time or UUID
                is handed on as its text; a scalar of NumPy as Python's own.

        Raises:
            StatementRefused: the database's own sentence, or why weftrun does not let it through.
            LimitExceeded: the parameters, or the rows, are more than `Limits` allow.
            UsageError: outside of the `with` block, or this is another thread.
        """
        if self._state == "new":
            raise UsageError("The transaction has not begun: write `with weftrun.current().transaction() as db:`.")
        if self._state != "open":
            raise UsageError("The transaction is over: its `with` block was left. Put all statements into it.")
        if self._thread != threading.get_ident():
            raise UsageError("A transaction is of the thread that began it. Say its statements there.")
        if type(sql) is not str:
            raise StatementRefused(f"A statement is a text, and this is {with_article(sql)}.")
        given: tuple[Scalar, ...] | dict[str, Scalar]
        if isinstance(parameters, Mapping):
            given = {_checked_name(name): _scalar(value, f":{name}") for name, value in parameters.items()}
        else:
            given = tuple(_scalar(value, f"number {place}") for place, value in enumerate(_ordered(parameters), 1))
        values = given.values() if isinstance(given, dict) else given
        size = sum((len(value) if isinstance(value, str | bytes) else 8 for value in values), len(sql))
        if size > self._bytes_max:
            raise LimitExceeded(
                f"A statement with its parameters has {size:,} bytes; the limit transaction_bytes_max is "
                f"{self._bytes_max:,}. Say it in parts."
            )
        _check_text(sql, "The statement")
        return self._asked.execute(sql, given)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Keep what was said until the body's end, or undo it where an error leaves the block."""
        self._state = "over"
        self._asked.leave(keep=kind is None)


def _ordered(parameters: object) -> Iterable[object]:
    """Return parameters that have an order."""
    if isinstance(parameters, str | bytes | bytearray | memoryview):
        raise StatementRefused("The parameters of a statement are a text, not a sequence of values: write (value,).")
    if isinstance(parameters, Set) or not isinstance(parameters, Iterable):
        what = with_article(parameters)
        raise StatementRefused(
            f"The parameters of a statement are {what}, which has no order: hand over a list or a dict."
        )
    return parameters


def _checked_name(name: object) -> str:
    if type(name) is not str or not name.isidentifier():
        raise StatementRefused(f"{name!r} is no name of a parameter: a key is a text such as 'key', for `:key`.")
    return name


def _scalar(value: object, which: str) -> Scalar:
    """Return a value as a database takes it."""
    kind = type(value)
    if kind.__module__ == "numpy" and hasattr(kind, "dtype") and getattr(value, "shape", None) == ():
        value = value.item() if value.dtype.kind in "biufSU" else value  # type: ignore[attr-defined]
    elif f"{kind.__module__}.{kind.__qualname__}" in _AS_TEXT:
        value = str(value)
    elif kind is bytearray or kind is memoryview:
        value = bytes(cast("bytearray", value))
    if type(value) not in _SCALARS:
        many = isinstance(value, list | tuple | Mapping)
        advice = (
            "put many rows into one statement, VALUES (?, ?), (?, ?), and their values into one list"
            if many
            else "hand over None, bool, int, float, str or bytes"
        )
        raise StatementRefused(f"Parameter {which} is of type {kind.__name__}; {advice}.")
    if type(value) is int and not -_INT_MAX <= value < _INT_MAX:
        raise StatementRefused(f"Parameter {which} does not fit into 64 bits; hand it over as a text.")
    if type(value) is str:
        _check_text(value, f"Parameter {which}")
    return value  # type: ignore[return-value]


def _check_text(text: str, what: str) -> None:
    """Refuse text that no database takes."""
    if not text.isascii() and writable(text) != text:
        raise StatementRefused(
            f"{what} holds a lone surrogate, as of a file name that is no UTF-8: hand it over as bytes, or escape it."
        )


Opener = Callable[[], Transaction]
"""Makes the transaction of what runs now, or raises why it can have none."""


def none_for(sentence: str) -> Opener:
    """Return what refuses a transaction with a sentence."""

    def refuse() -> Transaction:
        raise UsageError(sentence)

    return refuse


NOT_SAID = none_for(
    'current().transaction() was called in a Function without effects="transaction". Say so on its decorator: '
    '@function(effects="transaction").'
)
IN_A_BODY = none_for(
    "current().transaction() was called in the body of a workflow, which is replayed after a crash. Put it into a "
    'Function with effects="transaction" and call that.'
)
NO_JOURNAL = none_for(
    "current().transaction() was called in a local run, which has no Journal to commit to. In a test, open an engine "
    "on a Journal of its own, weftrun.open(f\"sqlite:///{tmp_path / 'journal.db'}\"), and run it there."
)
