"""The version of a Journal in a database, and the way from an older one to the current one."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from weftrun.adapters.postgres.connection import Connection, Looks, look, told
from weftrun.adapters.postgres.statements import SCHEMA, SQL
from weftrun.model.errors import JournalCorrupt, JournalError, JournalMissing, JournalNewer

MIGRATION = 0x77656674
"""`weft`: number of the advisory lock under which tables are made and migrated."""


def version_of(connection: Connection, where: str, newest: int, looks: Looks | None = None) -> int:
    """Return the version of the schema, 0 where there is none; refuse what is no Journal, or a newer one."""
    looks = looks or look(connection)
    if not looks.has_meta:
        if looks.has_relations:
            raise JournalError(
                f"The database at {where} has a schema weftrun that is no Journal. Name another database."
            )
        return 0
    version = meta_of(connection, where)[0]
    if version > newest:
        raise JournalNewer(
            f"The Journal at {where} was written by a newer weftrun (format {version}; this one knows up to {newest})."
            " Nothing was changed. Install a newer weftrun to open it."
        )
    return version


def bring_up_to_date(
    connection: Connection, where: str, hash_seed: int, scripts: Sequence[str] = SCHEMA, *, create: bool = True
) -> None:
    """Make the tables where there are none, or migrate those of an older Journal, in one transaction.

    Args:
        hash_seed: kept in a new Journal; an existing one has its own (B4).
        scripts: script number k makes schema k from schema k - 1.
        create: whether a Journal is made where there is none.
    """
    try:
        version = version_of(connection, where, len(scripts))
        if version == 0 and not create:
            raise JournalMissing(
                f"There is no Journal at {where}. Name another database, or run a workflow there first."
            )
        if version < len(scripts):
            with connection.transaction():
                _migrate(connection, where, hash_seed, scripts)
    except psycopg.Error as error:
        raise told(error, where, "bringing it up to date") from None


def _migrate(connection: Connection, where: str, hash_seed: int, scripts: Sequence[str]) -> None:
    connection.execute(SQL["lock_migration"], {"number": MIGRATION})
    # Again under the lock: another engine may have been quicker.
    looks = look(connection)
    version = version_of(connection, where, len(scripts), looks)
    if not looks.has_schema:
        connection.execute(SQL["make_schema"])
    for script in scripts[version:]:
        connection.execute(script, prepare=False)
    connection.execute(SQL["set_meta"], {"version": len(scripts), "hash_seed": hash_seed})


def require_current(connection: Connection, where: str) -> None:
    """Refuse to read a Journal that is not of the current schema: a reader can't migrate it."""
    try:
        version = version_of(connection, where, len(SCHEMA))
    except psycopg.Error as error:
        raise told(error, where, "opening it to read") from None
    if version == 0:
        raise _missing(where)
    if version < len(SCHEMA):
        raise JournalError(
            f"The Journal at {where} is of the older format {version}."
            " Open it once with an engine to bring it up to date."
        )


def _missing(where: str) -> JournalMissing:
    return JournalMissing(f"There is no Journal at {where}. Name another database, or run a workflow there first.")


def meta_of(connection: Connection, where: str) -> tuple[int, int]:
    """Return version and hash seed of the Journal."""
    row = connection.execute(SQL["meta"]).fetchone()
    if row is None:
        raise JournalCorrupt(f"The Journal at {where} is damaged: its meta row is missing. Restore it from a backup.")
    return int(row[0]), int(row[1])
