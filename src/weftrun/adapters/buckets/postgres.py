"""Buckets in PostgreSQL: a row for each key, replaced under the row's lock; selections are SQL.

    weftrun_buckets.value   bucket, key, value, version
    weftrun_buckets.once    tokens of writes that were carried out

A write and its token are one transaction, so a write that comes again after a crash finds both or neither. Names are
kept quoted, since a text of PostgreSQL has no zero byte. Values are kept as they are (`EXTERNAL`), so that a part is
read as a part.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeAlias
from urllib.parse import quote, unquote

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from weftrun.adapters.buckets.names import name_of
from weftrun.model.errors import UsageError
from weftrun.model.selecting import NUMBER, Selection, selected
from weftrun.ports.buckets import ABSENT, BucketsUnreachable, KeyChanged, Selected, Stat

_Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]
_SCHEMA: Final = """
SELECT pg_advisory_xact_lock(hashtext('weftrun_buckets'));
CREATE SCHEMA IF NOT EXISTS weftrun_buckets;
CREATE SEQUENCE IF NOT EXISTS weftrun_buckets.version;
CREATE TABLE IF NOT EXISTS weftrun_buckets.value (
    bucket text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    value bytea NOT NULL,
    version bigint NOT NULL DEFAULT nextval('weftrun_buckets.version'),
    PRIMARY KEY (bucket, key));
ALTER TABLE weftrun_buckets.value ALTER value SET STORAGE EXTERNAL;
CREATE TABLE IF NOT EXISTS weftrun_buckets.once (token bytea PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());
"""
_KEY: Final = "FROM weftrun_buckets.value WHERE bucket = %(bucket)s AND key = %(key)s"
_STAT: Final = f"SELECT length(value), version {_KEY}"
_READ: Final = f"SELECT length(value), version, substring(value FROM %(offset)s + 1 FOR %(nbytes)s) {_KEY}"
_READ_REST: Final = f"SELECT length(value), version, substring(value FROM %(offset)s + 1) {_KEY}"
_ONCE: Final = "INSERT INTO weftrun_buckets.once (token) VALUES (%(token)s) ON CONFLICT DO NOTHING"
_SET: Final = """
INSERT INTO weftrun_buckets.value (bucket, key, value) VALUES (%(bucket)s, %(key)s, %(value)s)
ON CONFLICT (bucket, key) DO UPDATE SET value = excluded.value, version = excluded.version RETURNING version"""
_MAKE: Final = """
INSERT INTO weftrun_buckets.value (bucket, key, value) VALUES (%(bucket)s, %(key)s, %(value)s)
ON CONFLICT (bucket, key) DO NOTHING RETURNING version"""
_REPLACE: Final = """
UPDATE weftrun_buckets.value SET value = %(value)s, version = nextval('weftrun_buckets.version')
WHERE bucket = %(bucket)s AND key = %(key)s AND version::text = %(guard)s RETURNING version"""
_KEYS: Final = "SELECT key FROM weftrun_buckets.value WHERE bucket = %(bucket)s AND starts_with(key, %(prefix)s)"
# Bytes are looked at as Latin 1, in which each byte is a letter: so any text is found in any other as its bytes are.
_CHOSEN: Final = f"""
WITH one AS (SELECT length(value) AS nbytes, version, convert_from(value, 'LATIN1') COLLATE "C" AS text {_KEY}),
whole AS (SELECT text || CASE WHEN text = '' OR right(text, 1) = E'\\n' THEN '' ELSE E'\\n' END AS text FROM one),
line AS (
    SELECT line, at FROM whole, string_to_table(text, E'\\n') WITH ORDINALITY AS of (line, at)
    WHERE at <= length(text) - length(replace(text, E'\\n', '')) AND strpos(line, %(contains)s) > 0),
field AS (
    SELECT line, at, CASE WHEN %(field)s > 0 THEN split_part(line, %(separator)s, greatest(%(field)s, 1)) END AS field
    FROM line),
numbered AS (SELECT line, at, CASE WHEN field ~ '{NUMBER}' THEN field::numeric END AS number FROM field),
chosen AS (
    SELECT line, at, number FROM numbered
    WHERE (%(least)s::numeric IS NULL OR number >= %(least)s) AND (%(most)s::numeric IS NULL OR number <= %(most)s))
SELECT nbytes, version, convert_to(GIVES, 'LATIN1') FROM one"""
_GIVES: Final = {
    "lines": "coalesce((SELECT string_agg(line || E'\\n', '' ORDER BY at) FROM chosen), '')",
    "count": "(SELECT count(*) FROM chosen)::text",
    "sum": "coalesce((SELECT trim_scale(sum(number)) FROM chosen), 0)::text",
}
_STATEMENT_TIMEOUT_MS: Final = 60_000
_SCHEMES: Final = ("postgresql://", "postgres://")


class PostgresBuckets:
    """Buckets in a database of PostgreSQL 15 or later; any number of threads and processes may use them at once."""

    def __init__(self, url: str) -> None:
        """Use the database at `url`, in which the schema `weftrun_buckets` is made when it is needed first.

        Raises:
            UsageError: the URL is none of PostgreSQL, or has a password in it.
        """
        try:
            given = conninfo_to_dict(url)
        except psycopg.Error:
            given = {}
        if not url.startswith(_SCHEMES) or not given:
            raise UsageError("This is no database; one is written as postgresql://USER@HOST:PORT/DATABASE.")
        if given.get("password") or "@" in str(given.get("host") or ""):
            raise UsageError(
                "The URL of a store would be shown, and put on record: leave the password out of it, and set "
                "PGPASSWORD or write it into a password file (PGPASSFILE)."
            )
        self._url = url
        self._target = make_conninfo(
            url, connect_timeout="10", application_name="weftrun",
            options=f"-c statement_timeout={_STATEMENT_TIMEOUT_MS} -c client_encoding=UTF8",
        )  # fmt: skip
        self._idle: list[_Connection] = []
        self._is_made = False

    def stat(self, bucket: str, key: str) -> Stat | None:
        """Ask what is known of a key."""
        with self._transaction() as connection:
            return _stat(connection.execute(_STAT, _named(bucket, key)).fetchone())

    def read(self, bucket: str, key: str, offset: int = 0, nbytes: int = -1) -> tuple[Stat, bytes] | None:
        """Fetch bytes of a key."""
        said = _named(bucket, key) | {"offset": offset, "nbytes": nbytes}
        with self._transaction() as connection:
            found = connection.execute(_READ_REST if nbytes < 0 else _READ, said, binary=True).fetchone()
        return None if found is None else (Stat(found[0], str(found[1])), found[2])

    def select(self, bucket: str, key: str, selection: Selection) -> Selected | None:
        """Let the database choose lines of a key; what it can't, a value with zero bytes, is fetched for it."""
        said: dict[str, Any] = _named(bucket, key) | {
            "contains": _latin(selection.contains), "separator": _latin(selection.separator), "field": selection.field,
            "least": selection.least, "most": selection.most,
        }  # fmt: skip
        try:
            with self._transaction() as connection:
                statement = _CHOSEN.replace("GIVES", _GIVES[selection.gives])
                found = connection.execute(statement, said, binary=True).fetchone()
        except (errors.DataError, errors.ProgramLimitExceeded):
            whole = self.read(bucket, key)
            return (
                None
                if whole is None
                else Selected(whole[0], selected(selection, whole[1]), "here", "SQL can't choose of zero bytes")
            )
        return None if found is None else Selected(Stat(found[0], str(found[1])), found[2], "near", "chosen by SQL")

    def write(self, bucket: str, key: str, data: bytes | memoryview, *, once: str = "", if_version: str = "") -> Stat:
        """Set the value of a key, and note its token, in one transaction."""
        said: dict[str, Any] = _named(bucket, key) | {"value": data, "guard": if_version}
        with self._transaction() as connection:
            if once:
                token = hashlib.sha256(once.encode()).digest()
                if not connection.execute(_ONCE, {"token": token}).rowcount:
                    return _stat(connection.execute(_STAT, said).fetchone()) or Stat(len(data), "")
            statement = _MAKE if if_version == ABSENT else _REPLACE if if_version else _SET
            found = connection.execute(statement, said).fetchone()
            if found is None:
                raise KeyChanged(f"The key {key!r} of bucket {bucket!r} was written by somebody else meanwhile.")
            return Stat(len(data), str(found[0]))

    def delete(self, bucket: str, key: str) -> bool:
        """Remove a key."""
        with self._transaction() as connection:
            return connection.execute(f"DELETE {_KEY}", _named(bucket, key)).rowcount > 0

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """Ask for the keys that begin with `prefix`."""
        said = {"bucket": name_of("bucket", bucket), "prefix": quote(prefix, safe="").replace(".", "%2E")}
        with self._transaction() as connection:
            return sorted(unquote(row[0]) for row in connection.execute(_KEYS, said))

    def close(self) -> None:
        """Close the connections that are kept. A later request makes new ones."""
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def _transaction(self) -> Iterator[_Connection]:
        """Give a connection in a transaction, which is committed at the end."""
        try:
            connection = self._connected()
            try:
                with connection.transaction():
                    yield connection
            finally:
                if connection.broken:
                    connection.close()
                else:
                    self._idle.append(connection)
        except (errors.DataError, errors.ProgramLimitExceeded):
            raise
        except psycopg.Error as error:
            why = " ".join(str(error).split()) or type(error).__name__
            raise BucketsUnreachable(f"The store {self._url} can't be used: {why}.") from None

    def _connected(self) -> _Connection:
        try:
            kept = self._idle.pop()  # in one step: other threads take from the list, too
            if _answers(kept):
                return kept
            kept.close()
        except IndexError:
            pass
        fresh: _Connection = psycopg.connect(self._target, autocommit=True)
        if not self._is_made:
            with fresh.transaction():
                fresh.execute(_SCHEMA)
            self._is_made = True
        return fresh


def _answers(connection: _Connection) -> bool:
    """Say whether a server is still behind a connection that was idle; what then fails was not a statement of ours."""
    try:
        connection.execute("")
    except psycopg.Error:
        return False
    return True


def _named(bucket: str, key: str) -> dict[str, Any]:
    return {"bucket": name_of("bucket", bucket), "key": name_of("key", key)}


def _latin(text: str) -> str:
    """Return a text whose letters are the bytes of another."""
    return text.encode().decode("latin-1")


def _stat(row: tuple[Any, ...] | None) -> Stat | None:
    return None if row is None else Stat(row[0], str(row[1]))
