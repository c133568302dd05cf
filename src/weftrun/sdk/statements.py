"""A body's transaction inside of a Sandbox: each word goes to the engine, and the body waits for the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from weftrun.model import errors
from weftrun.model.messages import (
    FromSandbox,
    TransactionAnswer,
    TransactionBegin,
    TransactionLeft,
    TransactionStatement,
)
from weftrun.model.values import Scalar
from weftrun.sdk.transaction import Rows, Transaction

Ask = Callable[[FromSandbox], TransactionAnswer]

_RAISED: Final = {
    kind.__name__: kind
    for kind in (errors.StatementRefused, errors.LimitExceeded, errors.UsageError, errors.JournalError)
}


class Statements:
    """Carries the words of the body at `index` of Batch `no` (`sdk.transaction.StatementCarrier`)."""

    def __init__(self, ask: Ask, no: int, index: int, bytes_max: int) -> None:
        """Ask through `ask`."""
        self._ask = ask
        self._no = no
        self._index = index
        self._bytes_max = bytes_max
        self._made: Transaction | None = None

    def open(self) -> Transaction:
        """Return the transaction of this body, of which there is one."""
        if self._made is None:
            self._made = Transaction(self, self._bytes_max)
        return self._made

    @property
    def has_begun(self) -> bool:
        """Whether the body has begun its transaction."""
        return self._made is not None and self._made.has_begun

    def check_left(self) -> None:
        """Refuse a body that has returned while its transaction was open."""
        if self._made is not None and self._made.is_open:
            raise errors.UsageError(
                "The body returned while its transaction was open. Use it by `with weftrun.current().transaction():`."
            )

    def begin(self) -> None:
        """Begin; returns when the transaction has the lock that it needs."""
        self._asked(TransactionBegin(self._no, self._index))

    def execute(self, sql: str, parameters: tuple[Scalar, ...] | dict[str, Scalar]) -> Rows:
        """Say one statement."""
        given = cast("tuple[object, ...] | dict[str, object]", parameters)
        answer = self._asked(TransactionStatement(self._no, self._index, sql, given))
        return Rows(cast("tuple[tuple[Any, ...], ...]", answer.rows), answer.columns, answer.changed)

    def leave(self, *, keep: bool) -> None:
        """Say no more."""
        self._asked(TransactionLeft(self._no, self._index, keep))

    def _asked(self, message: FromSandbox) -> TransactionAnswer:
        answer = self._ask(message)
        if answer.kind == "StatementRefused":
            raise errors.StatementRefused(answer.error, answer.code)
        if answer.error:
            raise _RAISED.get(answer.kind, errors.JournalError)(answer.error)
        return answer
