"""The outbox in a SQLite Journal (port Outbox): the half of the Journal that delivers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar, cast

import apsw
import msgspec

from weftrun.adapters.sql.outbox import check_deletable
from weftrun.adapters.sqlite.reading import SqliteReading
from weftrun.adapters.sqlite.statements import SQL
from weftrun.model.emits import Take, Verdict, of_emit_key
from weftrun.model.records import Record, emits_in
from weftrun.ports.journal import RunInfo
from weftrun.ports.outbox import TakenEmits

T = TypeVar("T")
_encode = msgspec.json.Encoder().encode


def add_emits(connection: apsw.Connection, run: int, records: Sequence[Record], at: float) -> None:
    """Put what the records of a new row have emitted into the outbox."""
    emits = list(emits_in(records))
    if emits:
        connection.executemany(
            SQL["add_emit"], [(run, step, e.n, e.sink, e.order_by, e.type, e.payload, at) for step, e in emits]
        )


def delete_emits(connection: apsw.Connection, run: RunInfo) -> None:
    """Forget what a Run has emitted; `UsageError` where it can't be deleted."""
    ((count,),) = connection.execute(SQL["open_emits"], (run.id,)).fetchall()
    check_deletable(run, cast(int, count))
    connection.execute(SQL["delete_emits"], (run.id,))


class SqliteOutbox(SqliteReading):
    """Takes emits out, and says how it stands with them. Subclasses own the connection."""

    def _transact(self, doing: str, work: Callable[[apsw.Connection], T]) -> T:
        raise NotImplementedError

    def _check_session(self, connection: apsw.Connection, *, renew: bool = False) -> None:
        raise NotImplementedError

    def take_emits(self, take: Take) -> TakenEmits:
        """Own a sink, mark the next emits for it, and return them; see the port."""
        keys, places = _encode(sorted(take.skip_keys)).decode(), _encode(sorted(take.skip_places)).decode()

        def work(connection: apsw.Connection) -> TakenEmits:
            self._check_session(connection, renew=True)
            if not self._own_sink(connection, take.sink):
                return TakenEmits((), owned=False)
            bound = (take.sink, keys, places, take.limit, take.nbytes, self._session, take.mark_at)
            parcels = tuple(
                self._parcel(take.sink, row) for row in connection.execute(SQL["next_emits"], bound).fetchall()
            )
            if take.mark_at is not None:
                connection.executemany(SQL["mark_emit"], [(p.place, take.mark_at, self._session) for p in parcels])
            if not parcels and not _is(connection, "has_sendable", (take.sink,)):
                connection.execute(SQL["leave_sink"], (take.sink, self._session))
                return TakenEmits((), owned=False)
            return TakenEmits(parcels, owned=True)

        return self._transact("looking into the outbox", work)

    def _own_sink(self, connection: apsw.Connection, sink: str) -> bool:
        if self._session is None:
            return True
        connection.execute(SQL["own_sink"], (sink, self._session))
        return connection.changes() == 1

    def settle_emits(self, sink: str, verdicts: Sequence[Verdict], at: float) -> bool:
        """Say how it stands with emits that were taken; see the port."""

        def work(connection: apsw.Connection) -> bool:
            self._check_session(connection)
            owns = self._session is None or connection.execute(SQL["owns_sink"], (sink, self._session)).fetchone()
            if not owns:
                return False
            settled = [(v.place, int(v.delivery_status), v.why, at, v.untried) for v in verdicts]
            connection.executemany(SQL["settle_emit"], settled)
            if not _is(connection, "has_sendable", (sink,)):
                connection.execute(SQL["leave_sink"], (sink, self._session))
                return False
            return True

        return self._transact("writing into the outbox", work)

    def sinks_left(self, names: Sequence[str]) -> list[str]:
        """Return those of these sinks to which something may be sent, and which no session owns."""
        return [name for name in names if self._rows("is_left", (name,))[0][0]]

    def decide_emit(self, key: str, *, send: bool, at: float) -> bool:
        """Let an emit that is not delivered be sent as if it never was, or drop it."""
        try:
            uid, step, n = of_emit_key(key)
        except ValueError:
            return False

        def work(connection: apsw.Connection) -> bool:
            found = connection.execute(SQL["find_emit"], (bytes.fromhex(uid), step, n)).fetchall()
            for place, _ in found:
                if send:
                    connection.execute(SQL["send_emit"], (place,))
                else:
                    connection.execute(SQL["drop_emit"], (place, at))
            return bool(found) and connection.changes() == 1

        return self._transact("writing into the outbox", work)


def _is(connection: apsw.Connection, statement: str, bound: tuple[apsw.SQLiteValue, ...]) -> bool:
    return bool(connection.execute(SQL[statement], bound).fetchall()[0][0])
