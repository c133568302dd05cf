"""Places of Functions' limits in a PostgreSQL Journal (port Places)."""

from __future__ import annotations

from weftrun.adapters.postgres.queues import PostgresQueues
from weftrun.adapters.sql.places import shares_of
from weftrun.model.places import PlaceShare, PlaceShares


class PostgresPlaces(PostgresQueues):
    """Keeps what engines have of limits. Subclasses own the connection."""

    def place_shares(self, function: str) -> PlaceShares:
        """Return what engines have of a Function's limit; see the port."""
        revision = self._rows("limit_revision", (function,))  # before the shares
        return shares_of(revision, self._rows("place_shares", {"function": function, "session": self._session}))

    def put_share(self, function: str, share: PlaceShare, expected: str, revision: str) -> bool:
        """Change this session's share; see the port."""
        bound = (self._session, function, expected, revision, share.held, share.wanted)
        ((put,),) = self._said("taking places of a limit", "put_share", bound).fetchall()
        return bool(put)
