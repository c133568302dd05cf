"""What is said for every commit of a chain, through libpq itself: the driver's own way costs a fifth of it.

Everything else is said through the driver. Both are under one roof here: what goes wrong is the driver's error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

from psycopg import OperationalError, errors, pq
from psycopg.pq.abc import PGresult

from weftrun.adapters.postgres.connection import Connection
from weftrun.adapters.postgres.statements import SQL

_NAMES: Final = {"append_one": b"append_one"}
_TEXT: Final = 0
_BINARY: Final = 1

Parameters = Sequence[bytes | None]


class Prepared:
    """Statements that one connection knows by name; each is prepared when it is said first."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: set[str] = set()

    def is_of(self, connection: Connection) -> bool:
        """Say whether it is this connection that knows them."""
        return connection is self._connection

    def say(self, name: str, parameters: Parameters, binary: Sequence[bool]) -> list[bytes | None]:
        """Say a statement that gives at most one row, and return the first column of each; a driver's error else.

        Args:
            binary: which parameters are in PostgreSQL's binary form; the others are text.
        """
        pgconn = self._connection.pgconn
        if name not in self._known:
            self._checked(pgconn.prepare(_NAMES[name], SQL[name].encode()))
            self._known.add(name)
        formats = [_BINARY if is_binary else _TEXT for is_binary in binary]
        result = self._checked(pgconn.exec_prepared(_NAMES[name], cast(Sequence[bytes], parameters), formats))
        return [result.get_value(row, 0) for row in range(result.ntuples)]

    def _checked(self, result: PGresult) -> PGresult:
        if result.status in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
            return result
        if result.error_field(pq.DiagnosticField.SQLSTATE) is None:
            raise OperationalError(self._connection.pgconn.get_error_message())
        raise errors.error_from_result(result)
