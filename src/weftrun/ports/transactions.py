"""Transactions: statements of authors to the Journal's database that commit together with rows of a Run (T1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from weftrun.model.errors import JournalError
from weftrun.model.ids import RunUid
from weftrun.model.records import Row
from weftrun.ports.journal import Appended


class TransactionLost(JournalError):
    """The database went away, and the transaction with it: nothing of it is there, and it may be tried again."""


Parameters = Sequence[object] | Mapping[str, object]
"""Values of a statement by place or by name. All are `Scalar`s."""


class StatementResult(Struct, frozen=True):
    """What a statement gave: rows of `Scalar`s, their columns' names, and how many rows it changed in any way."""

    rows: tuple[tuple[object, ...], ...] = ()
    columns: tuple[str, ...] = ()
    changed: int = 0


class Transaction(Protocol):
    """One open transaction. Called from one thread at a time, but for `interrupt`.

    Once `commit` or `roll_back` was called nothing else may be. An error other than `StatementRefused` and
    `LimitExceeded` means that nothing of it will ever be there, unless `commit` raised `CommitUnknown`.
    """

    def execute(self, sql: str, parameters: Parameters) -> StatementResult:
        """Say one statement of the author's, with a `?` for each parameter, or a `:name` where they are a mapping.

        Parameters are `Scalar`s.

        Raises `StatementRefused` where the database, or a rule of ours, refuses it: the transaction is as it was
        before. The Journal's own tables, other databases, settings and the transaction's own end are refused.
        Raises `LimitExceeded`, with the statement undone, where it gives more than was allowed at `open`.
        """

    def check(self) -> None:
        """See that what was said can be committed as far as the author is concerned; `StatementRefused` if not."""

    def commit(self, rows: Sequence[Row], *, renew: bool) -> Appended:
        """Append rows of one Run as `Journal.append` does, and commit them with all that was said.

        Where the Run is `taken` or `lost` nothing is committed, and so it is with every error but `CommitUnknown`.
        """

    def roll_back(self) -> None:
        """Undo everything. Never raises for a database that is gone: then there is nothing to undo."""

    def interrupt(self) -> None:
        """Make a statement that runs end soon. From any thread."""


class Transactions(Protocol):
    """Opens transactions in the database of one Journal.

    Attributes:
        exclusive: whether an open one keeps the Journal itself from being used; then there is one at a time, and all
            calls of it come from the thread that uses the Journal.
    """

    exclusive: bool

    def open(self, *, rows_max: int, bytes_max: int) -> Transaction:
        """Begin one; blocks until it has the lock that it needs.

        `LeaseLost` where the Journal's session is gone; `JournalBusy` where others kept the lock for too long, or the
        database can't be reached for now.

        Args:
            rows_max: rows that one statement may give.
            bytes_max: texts and bytes that they may hold together.
        """

    def wait_over(self, run: RunUid) -> None:
        """Return when no transaction of this engine that appends to the Run can be committed any more.

        After `CommitUnknown`: what the Journal holds from then on is what became of it.
        """

    def close(self) -> None:
        """Release connections. Idempotent."""
