"""One PostgreSQL connection to a Journal: opening it, and the one place where a driver's error is translated.

Nothing here knows what a Run is.
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple, TypeAlias, cast

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import class_row

from weftrun.adapters.postgres.statements import SQL
from weftrun.model.errors import (
    CommitUnknown,
    InternalError,
    JournalBusy,
    JournalError,
    JournalFull,
    LeaseLost,
    WeftrunError,
)

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

RELEASE_MIN = 15
"""Major release of PostgreSQL from which on a Journal may lie in it."""

STATEMENT_TIMEOUT_S = 600
"""No statement of ours takes that long on a server that works."""

# A host that is gone without a word is noticed in about half a minute, not in a quarter of an hour. A URL may say
# otherwise. (tcp_user_timeout is in milliseconds, all others are in seconds.)
DEFAULTS = {
    "connect_timeout": "10",
    "application_name": "weftrun",
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}

SESSION_GONE = "WF001"
"""SQLSTATE that our functions raise where the session is not there any more; `WF002`: rows that may not be added."""

_TOO_MANY = "too many"

# What a server says in English when it refuses a connection, and what to do. It gives no code.
ADVICE = {
    "password authentication failed": "Correct user and password in the URL",
    "no password supplied": "Add the password to the URL, or to a password file",
    "no pg_hba.conf entry": "Allow this host and user in the server's pg_hba.conf",
    "does not exist": "Make it, or correct the URL",
    _TOO_MANY: "End other connections, or raise max_connections or the limit of the role",
    "starting up": "Wait until the server is up",
    "shutting down": "Start the server again",
    "Connection refused": "Start the server, or correct host and port in the URL",
    "No such file or directory": "Start the server, or correct the folder of its socket in the URL",
}


class Looks(NamedTuple):
    """What a server and a database are like, seen from a new connection."""

    release: int
    encoding: str
    fsync: str
    standby: bool
    has_schema: bool
    has_relations: bool
    has_meta: bool


def connect_text(url: str) -> str:
    """Return what may be shown of the URL of a database: never its password."""
    given = _parts(url)
    user = f"{given['user']}@" if given.get("user") else ""
    # What stands before an `@` in a host is the rest of a password that was not percent-encoded.
    host = str(given.get("host") or "").rpartition("@")[2]
    port = f":{given['port']}" if given.get("port") else ""
    folder = f" in {host}" if host.startswith("/") else ""
    return f"postgresql://{user}{'' if folder else host}{port}/{given.get('dbname') or ''}{folder}"


def _parts(url: str) -> dict[str, Any]:
    """Take a URL apart. What the driver says of a wrong one is not passed on: it quotes it, passwords included."""
    try:
        given = conninfo_to_dict(url)
    except psycopg.Error:
        raise JournalError(
            "The URL of the database can't be read. Write postgresql://user:password@host:port/database, with every"
            " character of user and password that is not a letter or digit percent-encoded."
        ) from None
    return cast(dict[str, Any], given)


def connect(
    url: str, *, patience_s: float, writes: bool, plans_for_all: bool = False, idle_s: int = STATEMENT_TIMEOUT_S
) -> Connection:
    """Open a connection, set it up, and see that a Journal may lie behind it; nothing is changed there.

    Args:
        patience_s: how long a statement waits for a lock before `JournalBusy`, in seconds.
        writes: False to look on only: then a standby is as good.
        plans_for_all: leave the plans of statements to the server: they are not the Journal's.
        idle_s: the server ends a transaction in which nothing was said for so long, in seconds.
    """
    where = connect_text(url)
    if "@" in str(_parts(url).get("host") or ""):
        raise JournalError(f"The URL of {where} has an @ in its password. Write it as %40.")
    try:
        connection = reach(url)
    except psycopg.Error as error:
        raise _cannot_connect(error, where) from None
    try:
        set_up(connection, patience_s, writes=writes, plans_for_all=plans_for_all, idle_s=idle_s)
        _check(look(connection), where, writes=writes)
    except psycopg.Error as error:
        connection.close()
        raise told(error, where, "opening it") from None
    except BaseException:
        connection.close()
        raise
    return connection


def reach(url: str) -> Connection:
    """Open a connection, not set up; errors are the driver's."""
    given = _parts(url)
    options = {key: value for key, value in DEFAULTS.items() if key not in given}
    connection: Connection = psycopg.connect(make_conninfo(url, client_encoding="utf8", **options), autocommit=True)
    return connection


def set_up(connection: Connection, patience_s: float, *, writes: bool, plans_for_all: bool, idle_s: int) -> None:
    """Set a connection up; see `connect`."""
    timeouts = {
        "lock_timeout": f"{max(int(patience_s * 1000), 1)}ms",
        "statement_timeout": f"{STATEMENT_TIMEOUT_S}s",
        "idle_timeout": f"{idle_s}s",
    }
    # Every statement is prepared when it is said first: there are few, and they never change.
    connection.prepare_threshold = None if plans_for_all else 0
    connection.execute(SQL["settle"], timeouts)
    if not plans_for_all:
        connection.execute(SQL["plan_by_key"], {"local": False})
    connection.execute(SQL["be_durable" if writes else "only_look"])


def look(connection: Connection) -> Looks:
    """Return what the server and the database are like."""
    with connection.cursor(row_factory=class_row(Looks)) as cursor:
        return cursor.execute(SQL["look"]).fetchall()[0]


def _check(looks: Looks, where: str, *, writes: bool) -> None:
    release = looks.release // 10_000
    if release < RELEASE_MIN:
        raise JournalError(
            f"{where} is PostgreSQL {release}. A Journal needs {RELEASE_MIN} or later: use another server."
        )
    if looks.encoding != "UTF8":
        raise JournalError(
            f"The database at {where} is encoded in {looks.encoding}. Make one with ENCODING 'UTF8' and name that."
        )
    if writes and looks.standby:
        raise JournalError(f"{where} is a standby, which only reads. Name the primary server in the URL.")
    if writes and looks.fsync != "on":
        warnings.warn(
            f"The server of {where} runs with fsync off: Runs recorded there may not survive a crash of its host.",
            UserWarning,
            stacklevel=5,
        )


def _cannot_connect(error: psycopg.Error, where: str) -> JournalError:
    # Lines that begin with a tab are advice too, and of another kind for each system.
    said = " ".join(" ".join(line.split()) for line in str(error).splitlines() if not line.startswith("\t"))
    advice = next(
        (advice for words, advice in ADVICE.items() if words in said), "Look whether server and URL are right"
    )
    return JournalError(f"{where} can't be reached: {said.removeprefix('connection failed: ').rstrip('.')}. {advice}.")


def is_full(error: JournalError) -> bool:
    """Say whether `connect` failed because the server has as many connections as it, or the role, may have."""
    return _TOO_MANY in str(error)


def said_by(error: psycopg.Error) -> str:
    """Return what the server, or the driver, says of an error in one line, without a full stop."""
    return " ".join((error.diag.message_primary or str(error)).split()).rstrip(".")


def told(error: psycopg.Error, where: str, doing: str, lost: type[JournalError] = JournalError) -> WeftrunError:
    """Return the error of this project for one of the driver's.

    Args:
        doing: completes "while …".
        lost: what is raised where the connection was lost: an engine's errors are `CommitUnknown`, and tried again.
    """
    said = said_by(error)
    match error:
        case errors.LockNotAvailable() | errors.DeadlockDetected() | errors.QueryCanceled():
            return JournalBusy(f"{where} was kept locked by others while {doing}: {said}. Try again, or end them.")
        case errors.DiskFull():
            return JournalFull(f"No room is left on the disk of {where} while {doing}. Make room; it is tried again.")
        case errors.OutOfMemory() | errors.InsufficientResources():
            return JournalFull(f"The server of {where} is short of something while {doing}: {said}. It is tried again.")
        case errors.InsufficientPrivilege():
            return JournalError(f"The user of {where} lacks a right while {doing}: {said}. Grant it.")
        case errors.ReadOnlySqlTransaction():
            return JournalError(f"{where} is read-only, met while {doing}. Name the primary, or a user who may write.")
        case (
            errors.UndefinedTable() | errors.UndefinedFunction() | errors.InvalidSchemaName() | errors.UndefinedColumn()
        ):
            return JournalError(f"The schema weftrun at {where} is no Journal, or not whole: {said}. Restore it.")
        case errors.DataCorrupted() | errors.IndexCorrupted():
            return JournalError(f"The server of {where} met damaged data while {doing}: {said}. Restore a backup.")
    if error.sqlstate == SESSION_GONE:
        return LeaseLost(f"Another engine has taken this one for dead in {where}, and its Runs with it.")
    if isinstance(error, psycopg.OperationalError):
        unknown = " What became of that is not known." if lost is CommitUnknown else ""
        return lost(f"The connection to {where} was lost while {doing}: {said}.{unknown} The next call connects again.")
    return InternalError(f"PostgreSQL refused a statement while {doing} in {where}: {said}. Please report this.")


def is_lost(connection: Connection) -> bool:
    """Say whether a connection can't be used any more."""
    return connection.closed or connection.broken


def release(connection: Connection) -> None:
    """Close, whatever state the connection is in."""
    try:
        connection.close()
    except psycopg.Error:
        pass
