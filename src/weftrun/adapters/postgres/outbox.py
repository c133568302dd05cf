"""The outbox in a PostgreSQL Journal (port Outbox): the half of the Journal that delivers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from weftrun.adapters.postgres.reading import PostgresReading
from weftrun.adapters.sql.reading import Bindings, Columns
from weftrun.model.emits import Take, Verdict, of_emit_key
from weftrun.model.records import Row, emits_in
from weftrun.ports.outbox import TakenEmits


def emits_binding(rows: Sequence[Row]) -> tuple[Any, ...]:
    """Return what the function `append_emitting` takes beyond `append`; nothing where nothing was emitted."""
    found = [(row, step, emit) for row in rows for step, emit in emits_in(row.records)]
    if not found:
        return ()
    return (
        [row.uid for row, _, _ in found],
        [row.at for row, _, _ in found],
        [step for _, step, _ in found],
        [emit.n for _, _, emit in found],
        [emit.sink for _, _, emit in found],
        [emit.order_by for _, _, emit in found],
        [emit.type for _, _, emit in found],
        [emit.payload for _, _, emit in found],
    )


class PostgresOutbox(PostgresReading):
    """Takes emits out, and says how it stands with them. Subclasses own the connection."""

    def _said(self, doing: str, statement: str, bindings: Bindings) -> psycopg.Cursor[Columns]:
        raise NotImplementedError

    def take_emits(self, take: Take) -> TakenEmits:
        """Own a sink, mark the next emits for it, and return them; see the port."""
        skip = (list(take.skip_keys), list(take.skip_places))
        bound = (self._session, take.sink, take.limit, take.nbytes, take.mark_at, *skip)
        found = self._said("looking into the outbox", "take_emits", bound).fetchall()
        parcels = tuple(self._parcel(take.sink, row[1:]) for row in found if row[1] is not None)
        return TakenEmits(parcels, owned=found[0][0] or (self._session is None and bool(parcels)))

    def settle_emits(self, sink: str, verdicts: Sequence[Verdict], at: float) -> bool:
        """Say how it stands with emits that were taken; see the port."""
        bound = (
            self._session,
            sink,
            at,
            [verdict.place for verdict in verdicts],
            [int(verdict.delivery_status) for verdict in verdicts],
            [verdict.why for verdict in verdicts],
            [verdict.untried for verdict in verdicts],
        )
        ((owned,),) = self._said("writing into the outbox", "settle_emits", bound).fetchall()
        return bool(owned)

    def sinks_left(self, names: Sequence[str]) -> list[str]:
        """Return those of these sinks to which something may be sent, and which no session owns."""
        return [name for (name,) in self._rows("sinks_left", (list(names),))]

    def decide_emit(self, key: str, *, send: bool, at: float) -> bool:
        """Let an emit that is not delivered be sent as if it never was, or drop it."""
        try:
            uid, step, n = of_emit_key(key)
        except ValueError:
            return False
        facts = {"uid": uid, "step": step, "n": n, "at": at}
        return self._said("writing into the outbox", "send_emit" if send else "drop_emit", facts).rowcount == 1
