"""Places of Functions' limits in a SQLite Journal (port Places)."""

from __future__ import annotations

import apsw

from weftrun.adapters.sql.places import shares_of
from weftrun.adapters.sqlite.queues import SqliteQueues
from weftrun.adapters.sqlite.statements import SQL
from weftrun.model.places import PlaceShare, PlaceShares


class SqlitePlaces(SqliteQueues):
    """Keeps what engines have of limits. Subclasses own the connection."""

    def place_shares(self, function: str) -> PlaceShares:
        """Return what engines have of a Function's limit; see the port."""
        revision = self._rows("limit_revision", (function,))  # before the shares
        return shares_of(revision, self._rows("place_shares", (function, self._session)))

    def put_share(self, function: str, share: PlaceShare, expected: str, revision: str) -> bool:
        """Change this session's share; see the port."""

        def work(connection: apsw.Connection) -> bool:
            self._check_session(connection)
            statement = "change_limit_again" if expected else "change_limit"
            connection.execute(SQL[statement], (function, expected, revision))
            if connection.changes() != 1:
                return connection.execute(SQL["limit_revision"], (function,)).fetchone() == (revision,)
            connection.execute(SQL["remove_shares"], (function, self._session))
            if share != PlaceShare():
                connection.execute(SQL["add_share"], (function, self._session, share.held, share.wanted))
            return True

        return self._transact("taking places of a limit", work)
