"""Transactions as a server gives them: many at once, beside the Journal; nothing is locked before they commit."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from weftrun.model.errors import JournalError
from weftrun.model.ids import RunUid
from weftrun.model.records import Row
from weftrun.ports.journal import Appended
from weftrun.ports.transactions import Parameters, StatementResult, Transaction, TransactionLost, Transactions
from weftrun.testing.sim.chance import Chance


class SideBySide:
    """Gathers what each transaction says, and carries it out in one that has the Journal alone when it commits.

    Args:
        alone: transactions of the same Journal, one at a time.
        loses: how often the server ends a transaction while it is spoken to.
    """

    exclusive = False

    def __init__(self, alone: Transactions, chance: Chance, loses: float) -> None:
        """Commit over `alone`."""
        self._alone = alone
        self._chance = chance
        self._loses = loses

    def open(self, *, rows_max: int, bytes_max: int) -> Transaction:
        """Begin one: nobody else notices."""
        return _Gathered(self, lambda: self._alone.open(rows_max=rows_max, bytes_max=bytes_max))

    def is_lost(self) -> bool:
        """Draw whether the server ends a transaction now."""
        return self._chance.happens(self._loses)

    def wait_over(self, run: RunUid) -> None:
        """A commit is one call, and nothing goes on behind it."""
        self._alone.wait_over(run)

    def close(self) -> None:
        """Release it."""
        self._alone.close()


class _Gathered:
    def __init__(self, owner: SideBySide, alone: Callable[[], Transaction]) -> None:
        self._owner = owner
        self._alone = alone
        self._said: list[tuple[str, Parameters]] = []
        self._is_over = False

    def execute(self, sql: str, parameters: Parameters) -> StatementResult:
        """Keep a statement for later: what it gives, no scripted Function looks at."""
        self._check_open()
        if self._owner.is_lost():
            self._is_over = True
            raise TransactionLost("The server has ended the transaction (drawn).")
        self._said.append((sql, parameters))
        return StatementResult()

    def check(self) -> None:
        """Nothing waits for the end to be checked."""
        self._check_open()

    def commit(self, rows: Sequence[Row], *, renew: bool) -> Appended:
        """Say everything, append, and commit."""
        self._check_open()
        self._is_over = True
        inner = self._alone()
        try:
            for sql, parameters in self._said:
                inner.execute(sql, parameters)
        except BaseException:
            inner.roll_back()
            raise
        return inner.commit(rows, renew=renew)

    def roll_back(self) -> None:
        """Forget it."""
        self._is_over = True

    def interrupt(self) -> None:
        """No statement takes any time."""

    def _check_open(self) -> None:
        if self._is_over:
            raise JournalError("The transaction is over.")
