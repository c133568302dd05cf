"""The version of a Journal's file, and the way from an older one to the current one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import apsw

from weftrun.adapters.sqlite.connection import WriteTurn, patiently, transact
from weftrun.adapters.sqlite.statements import SCHEMA, SQL
from weftrun.model.errors import JournalCorrupt, JournalError, JournalMissing, JournalNewer

APPLICATION_ID = 0x77656674
"""`weft`: stands in the file's header, so that `file` and we can tell a Journal from other databases."""


MOVED_ID = 0x7765666D
"""`wefm`: stands there where the Journal was moved to another place; its table `moved` says which."""


def version_of(connection: apsw.Connection, path: Path, newest: int) -> int:
    """Return the schema of an open file, 0 for one that is empty; refuse what is no Journal, or a newer one."""
    # In this order: another process may be making the tables, and its one transaction sets all three between two of
    # these. Then what marks a Journal is read last, so that nothing else is seen without it.
    tables = connection.pragma("schema_version")
    version = connection.pragma("user_version")
    application = connection.pragma("application_id")
    if application == 0 and version == 0 and tables == 0:
        return 0
    if application == MOVED_ID:
        place = connection.execute(SQL["moved"]).fetchall()[0][0]
        raise JournalError(f"The Journal {path} was moved to {place}: give that URL.")
    if application != APPLICATION_ID:
        raise JournalError(f"{path} is a SQLite database, but not a Journal of weftrun. Give another path.")
    if version > newest:
        raise JournalNewer(
            f"{path} was written by a newer weftrun (format {version}; this one knows up to {newest})."
            " Nothing was changed. Install a newer weftrun to open it."
        )
    return int(version)


def bring_up_to_date(
    connection: apsw.Connection, path: Path, turn: WriteTurn, hash_seed: int, scripts: Sequence[str] = SCHEMA
) -> None:
    """Make the tables of an empty file, or migrate those of an older one, in one transaction.

    Args:
        hash_seed: kept in a new file; an existing one has its own (B4).
        scripts: script number k makes schema k from schema k - 1.
    """
    if patiently(turn, lambda: version_of(connection, path, len(scripts))) == len(scripts):
        return

    def migrate(connection: apsw.Connection) -> None:
        # Again under the write lock: another process may have been quicker.
        version = version_of(connection, path, len(scripts))
        for script in scripts[version:]:
            connection.execute(script)
        if version == 0:
            connection.execute(SQL["set_meta"], (hash_seed,))
        connection.pragma("application_id", APPLICATION_ID)
        connection.pragma("user_version", len(scripts))

    transact(connection, turn, path, "bringing it up to date", migrate)


def require_current(connection: apsw.Connection, path: Path) -> None:
    """Refuse to read a file that is not of the current schema: a reader can't migrate it."""
    version = version_of(connection, path, len(SCHEMA))
    if version == 0:
        raise JournalMissing(f"{path} is empty: no Run was ever recorded there. Give another path.")
    if version < len(SCHEMA):
        raise JournalError(
            f"{path} is of the older format {version}. Open it once with an engine to bring it up to date."
        )


def hash_seed_of(connection: apsw.Connection, path: Path) -> int:
    """Return the hash seed of the Journal."""
    row = connection.execute(SQL["meta"]).fetchone()
    if row is None:
        raise JournalCorrupt(f"{path} is damaged: its meta row is missing. Restore it from a backup.")
    return int(row[0])
