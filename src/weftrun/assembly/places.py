"""Which Journal a URL names, and where the files that belong to it lie."""

from __future__ import annotations

import hashlib
import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from msgspec import Struct

from weftrun.adapters.files.hints import FileHints
from weftrun.adapters.sqlite.journal import SqliteJournal
from weftrun.adapters.sqlite.reading import SqliteReader
from weftrun.adapters.sqlite.transactions import SqliteTransactions
from weftrun.adapters.system.clock import pause
from weftrun.model.emits import Emitted
from weftrun.model.errors import UsageError
from weftrun.model.ids import RunId, RunUid
from weftrun.model.lease import Session
from weftrun.model.outcomes import Status
from weftrun.model.records import Row
from weftrun.ports.entropy import Entropy
from weftrun.ports.hints import Hints
from weftrun.ports.journal import Journal, RunInfo
from weftrun.ports.transactions import Transactions

_DEFAULT_URL = "sqlite:///.weftrun/journal.db"
_SQLITE = "sqlite:///"
_POSTGRES = ("postgresql://", "postgres://")


class JournalReader(Protocol):
    """The reading half of a Journal, for those who only look on."""

    def find(self, run: RunId) -> RunInfo | None:
        """Return what is known of the Run with this id, tombstones included."""

    def runs(self, *, status: Status | None = None, limit: int = 100) -> list[RunInfo]:
        """Return Runs, newest first; without tombstones."""

    def infos(self, uids: Sequence[RunUid]) -> list[RunInfo]:
        """Return what is known of these Runs; unknown ones are left out."""

    def load(self, uid: RunUid) -> list[Row]:
        """Return all rows of a Run in order."""

    def emitted(self, run: RunUid) -> list[Emitted]:
        """Return what a Run has emitted, in the order of commits."""

    def undelivered(self, limit: int) -> list[Emitted]:
        """Return emits that wait, are unknown or were refused, of all Runs, oldest first."""

    def emits_left(self, uids: Sequence[RunUid]) -> dict[RunUid, dict[str, int]]:
        """Return how many emits of these Runs wait, are unknown or were refused, by Run and by sink."""

    def sessions(self) -> list[Session]:
        """Return all sessions, oldest first."""

    def close(self) -> None:
        """Let go of the file or the connection. Idempotent."""


class Place(Struct, frozen=True):
    """Where a Journal is.

    Attributes:
        url: names it.
        path: its file; None where it lies in a server.
        folder: beside it: blobs, spilled Objects, locks, the trace. All engines of the Journal must see the same one.
    """

    url: str
    path: Path | None
    folder: Path

    @property
    def shown(self) -> str:
        """The URL for people, also for those who look at a log: absolute, without a password or parameters."""
        if self.path is not None:
            return f"{_SQLITE}{self.path}"
        scheme, _, rest = self.url.partition("?")[0].partition("://")
        user, at, host = rest.rpartition("@")
        return f"{scheme}://{user.partition(':')[0]}{at}{host}"

    def open(self, entropy: Entropy) -> Journal:
        """Open the Journal for an engine; make it if it is not there."""
        if self.path is not None:
            return SqliteJournal(self.path, entropy, pause)
        journal: Journal = _postgres("journal").PostgresJournal(self.url, entropy)
        return journal

    def open_to_mend(self, entropy: Entropy) -> Journal:
        """Open a Journal that must be there, to leave a message or to delete a Run."""
        if self.path is not None:
            return SqliteJournal(self.path, entropy, pause, create=False, allow_tmpfs=True)
        journal: Journal = _postgres("journal").PostgresJournal(self.url, entropy, create=False)
        return journal

    def open_to_read(self) -> JournalReader:
        """Open a Journal that must be there, to look on."""
        if self.path is not None:
            return SqliteReader(self.path)
        reader: JournalReader = _postgres("reading").PostgresReader(self.url)
        return reader


def place_of(url: str | None) -> Place:
    """Return the place that a Journal's URL names.

    Args:
        url: `sqlite:///relative/or/absolute.db` or `postgresql://user@host/database`; None takes
            `$WEFTRUN_DATABASE_URL`, else `.weftrun/journal.db`.

    Raises:
        UsageError: the URL is of another kind, or names nothing.
    """
    given = url if url is not None else os.environ.get("WEFTRUN_DATABASE_URL") or _DEFAULT_URL
    if "\0" not in given:
        if given.startswith(_SQLITE) and len(given) > len(_SQLITE):
            path = Path(given[len(_SQLITE) :]).absolute()
            return Place(given, path, path.with_name(path.name + ".d"))
        if given.startswith(_POSTGRES):
            return Place(given, None, _folder_of(given))
    raise UsageError(
        f"{_without_password(given)!r} is not the URL of a Journal: write sqlite:///path/to/file.db "
        "(four slashes before an absolute path) or postgresql://user@host/database."
    )


def hints_of(place: Place) -> Sequence[Hints]:
    """Return what tells of changes in a Journal as they happen."""
    engines = place.folder / "engines"
    if place.path is not None:
        return (FileHints(engines, place.path.with_name(place.path.name + "-wal")),)
    return (FileHints(engines), _postgres("hints").PostgresHints(place.url))


def transactions_of(journal: Journal) -> Transactions:
    """Return what opens transactions of authors in the database of a Journal."""
    if isinstance(journal, SqliteJournal):
        return SqliteTransactions(journal)
    made: Transactions = _postgres("transactions").PostgresTransactions(journal)
    return made


def _folder_of(url: str) -> Path:
    """Return the folder for a Journal in a server: `$WEFTRUN_FOLDER`, else one under `.weftrun` by its name."""
    named = os.environ.get("WEFTRUN_FOLDER")
    if named:
        return Path(named).absolute()
    name = hashlib.sha256(str(_postgres("connection").connect_text(url)).encode()).hexdigest()[:12]
    return Path(".weftrun").absolute() / f"postgres-{name}.d"


def _without_password(url: str) -> str:
    head, at, tail = url.rpartition("@")
    return f"…{at}{tail}" if at and "://" in head else url


def _postgres(module: str) -> Any:
    """Import a module of the adapter, whose driver is an extra."""
    try:
        return importlib.import_module(f"weftrun.adapters.postgres.{module}")
    except ModuleNotFoundError as error:
        if error.name != "psycopg":
            raise
        raise UsageError(
            "A Journal in PostgreSQL needs the extra `postgres`: pip install 'weftrun[postgres]'."
        ) from None
