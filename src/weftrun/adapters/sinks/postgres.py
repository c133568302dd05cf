"""Rows of a table in PostgreSQL, each message once by its key."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import psycopg
from psycopg import sql

from weftrun.adapters.sinks.sending import DELIVERED, UNSENT, failed, unsure
from weftrun.model.outbox import Result
from weftrun.ports.sinks import SinkMessage

_MAKE = """
CREATE TABLE IF NOT EXISTS {table} (
    place    bigint GENERATED ALWAYS AS IDENTITY,
    key      text PRIMARY KEY,
    payload  bytea NOT NULL,
    type     text NOT NULL,
    order_by text,
    at       timestamptz NOT NULL
)
"""
_ADD = """
INSERT INTO {table} (key, payload, type, order_by, at) VALUES (%s, %s, %s, %s, to_timestamp(%s))
ON CONFLICT (key) DO NOTHING
"""


class PostgresSink:
    """Inserts a row for each message, all that come together in one transaction.

    A message is known again for as long as its row is there. `place` rises in the order of delivery.

    Args:
        url: `postgresql://user:password@host:port/database`, and what libpq takes more.
        table: its name, with a schema before it or without (`shop.orders`).
        create: whether the table is made where it is missing.
        timeout_s: bound of a connect and of a transaction, in seconds.
    """

    dedupes_for_s = math.inf
    keeps_order = True

    def __init__(self, url: str, table: str, *, create: bool = True, timeout_s: float = 10.0) -> None:
        self._url = url
        self._table = sql.Identifier(*table.split("."))
        self._create = create
        self._timeout_s = timeout_s
        self._connection: psycopg.Connection | None = None

    def deliver(self, messages: Sequence[SinkMessage], may_begin: Callable[[], bool]) -> list[Result]:
        """Insert the rows that are not there yet; see the port."""
        if not may_begin():
            return [UNSENT] * len(messages)
        try:
            connection = self._connected()
        except psycopg.Error as error:
            self.close()
            return [failed(error)] * len(messages)
        try:
            with connection.transaction(), connection.cursor() as cursor:
                rows = [(m.key, m.payload, m.type, m.order_by, m.at) for m in messages]
                cursor.executemany(sql.SQL(_ADD).format(table=self._table), rows)
        except psycopg.OperationalError as error:
            self.close()
            return [unsure(error)] * len(messages)
        except psycopg.Error as error:
            # The server has undone it: a missing table, a right that was not given.
            return [failed(error)] * len(messages)
        return [DELIVERED] * len(messages)

    def _connected(self) -> psycopg.Connection:
        if self._connection is None:
            timeout_ms = int(self._timeout_s * 1000)
            self._connection = psycopg.connect(
                self._url,
                autocommit=True,
                application_name="weftrun sink",
                connect_timeout=max(2, int(self._timeout_s)),
                tcp_user_timeout=timeout_ms,
                options=f"-c statement_timeout={timeout_ms}",
            )
            if self._create:
                self._connection.execute(sql.SQL(_MAKE).format(table=self._table))
        return self._connection

    def close(self) -> None:
        """Release the connection. Idempotent."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
