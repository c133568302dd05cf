"""Which Journal a URL names, and where the files that belong to it lie."""

from __future__ import annotations

import hashlib
import importlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from msgspec import Struct

from weftrun.adapters.files.hints import FileHints, hint
from weftrun.adapters.sqlite.journal import SqliteJournal
from weftrun.adapters.sqlite.reading import SqliteReader
from weftrun.adapters.sqlite.transactions import SqliteTransactions
from weftrun.adapters.system.clock import pause
from weftrun.adapters.system.entropy import SystemEntropy
from weftrun.assembly.urls import current_folder, fault_of, nearest
from weftrun.model.errors import UsageError
from weftrun.ports.entropy import Entropy
from weftrun.ports.hints import Hints
from weftrun.ports.journal import Journal, JournalReader
from weftrun.ports.transactions import Transactions

_FOLDER = ".weftrun"
_FILE = "journal.db"
_VARIABLE = "WEFTRUN_DATABASE_URL"
_SQLITE = "sqlite:///"


class Place(Struct, frozen=True):
    """Where a Journal is.

    Attributes:
        url: names it.
        path: its file; None where it lies in a server.
        folder: beside it: blobs, spilled Objects, locks, the trace. All engines of the Journal must see the same one.
        named_by: what named it, for people; empty where its URL was given.
    """

    url: str
    path: Path | None
    folder: Path
    named_by: str = ""

    @property
    def shown(self) -> str:
        """The URL for people, also for those who look at a log: absolute, without a password or parameters."""
        if self.path is not None:
            return f"{_SQLITE}{self.path}"
        scheme, _, rest = self.url.partition("?")[0].partition("://")
        user, at, host = rest.rpartition("@")
        return f"{scheme}://{user.partition(':')[0]}{at}{host}"

    @property
    def is_missing(self) -> bool:
        """Whether there is no file of it yet, so that opening it makes a new one."""
        return self.path is not None and not self.path.exists()

    def check_folder(self) -> None:
        """Check that the folder is there in which a Journal is to lie; that of the default one is made.

        Raises:
            UsageError: it is not there: the URL may be misspelt, and a Journal made elsewhere would know no Run.
        """
        if self.path is not None and not self.path.parent.exists() and self.path.parent.name != _FOLDER:
            raise UsageError(
                f"There is no folder {self.path.parent} for the Journal {self.path.name}: make it, or mend the URL."
            )

    def open(self, entropy: Entropy) -> Journal:
        """Open the Journal for an engine; make it if it is not there."""
        return self._kind.journal(self, entropy, create=True)

    def open_to_mend(self, entropy: Entropy) -> Journal:
        """Open a Journal that must be there, to leave a message or to delete a Run."""
        return self._kind.journal(self, entropy, create=False)

    def open_to_read(self) -> JournalReader:
        """Open a Journal that must be there, to look on."""
        return self._kind.reader(self)

    @property
    def _kind(self) -> _Kind:
        return _KINDS[self.url.partition("://")[0]]


def place_of(url: str | None) -> Place:
    """Return the place that a Journal's URL names.

    Args:
        url: `sqlite:///relative/or/absolute.db` or `postgresql://user@host/database`; None takes
            `$WEFTRUN_DATABASE_URL`, else `.weftrun/journal.db` of the current folder or of the nearest one above it.

    Raises:
        UsageError: the URL is of another kind, or names no file.
    """
    named = os.environ.get(_VARIABLE)
    if url is not None:
        return _named(url, "")
    if named:
        return _named(named, f"${_VARIABLE}")
    here = current_folder()
    home = nearest(here, f"{_FOLDER}/{_FILE}")
    found = f"{_FOLDER} of the current folder" if home == here else f"{_FOLDER} of {home}, above the current folder"
    return _in_file(home / _FOLDER / _FILE, found)


def _named(url: str, named_by: str) -> Place:
    fault = fault_of(url)
    if fault:
        where = f" in {named_by}" if named_by else ""
        raise UsageError(f"{_without_password(str(url))!r}{where} is not the URL of a Journal: {fault}.")
    if url.startswith(_SQLITE):
        return _in_file(current_folder() / url.removeprefix(_SQLITE), named_by)
    return Place(url, None, _folder_of(url), named_by)


def _in_file(path: Path, named_by: str) -> Place:
    return Place(f"{_SQLITE}{path}", path, path.with_name(path.name + ".d"), named_by)


@contextmanager
def changing(url: str | None, *, makes: bool) -> Iterator[tuple[Journal, Entropy]]:
    """Open a Journal without an engine for as long as the block lasts; engines look at it again when it ends.

    Args:
        makes: whether a Journal is made where there is none.
    """
    place, entropy = place_of(url), SystemEntropy()
    if makes:
        place.check_folder()
    journal = place.open(entropy) if makes else place.open_to_mend(entropy)
    try:
        yield journal, entropy
    finally:
        journal.close()
    hint(place.folder / "engines")


def made_sentence(place: Place) -> str:
    """Say that a Journal was made anew, and why there."""
    why = f", named by {place.named_by}" if place.named_by else ""
    return f"A new Journal was made: {place.path}{why}. It knows no Run that was started elsewhere."


def hints_of(place: Place) -> Sequence[Hints]:
    """Return what tells of changes in a Journal as they happen."""
    return place._kind.hints(place)


def transactions_of(place: Place, journal: Journal) -> Transactions:
    """Return what opens transactions of authors in the database of a Journal."""
    return place._kind.transactions(journal)


# ------------------------------------------------------------ the kinds of Journals, by the scheme of their URL


class _Kind(Protocol):
    def journal(self, place: Place, entropy: Entropy, *, create: bool) -> Journal: ...

    def reader(self, place: Place) -> JournalReader: ...

    def hints(self, place: Place) -> Sequence[Hints]: ...

    def transactions(self, journal: Any) -> Transactions: ...


class _InFile:
    """SQLite."""

    def journal(self, place: Place, entropy: Entropy, *, create: bool) -> Journal:
        return SqliteJournal(_file(place), entropy, pause, create=create, allow_tmpfs=not create)

    def reader(self, place: Place) -> JournalReader:
        return SqliteReader(_file(place))

    def hints(self, place: Place) -> Sequence[Hints]:
        path = _file(place)
        return (FileHints(place.folder / "engines", path.with_name(path.name + "-wal")),)

    def transactions(self, journal: Any) -> Transactions:
        return SqliteTransactions(journal)


class _InServer:
    """PostgreSQL. Its driver is an extra, so that its modules are imported when they are needed."""

    def journal(self, place: Place, entropy: Entropy, *, create: bool) -> Journal:
        journal: Journal = _postgres("journal").PostgresJournal(place.url, entropy, create=create)
        return journal

    def reader(self, place: Place) -> JournalReader:
        reader: JournalReader = _postgres("reading").PostgresReader(place.url)
        return reader

    def hints(self, place: Place) -> Sequence[Hints]:
        return (FileHints(place.folder / "engines"), _postgres("hints").PostgresHints(place.url))

    def transactions(self, journal: Any) -> Transactions:
        made: Transactions = _postgres("transactions").PostgresTransactions(journal)
        return made


_KINDS: dict[str, _Kind] = {"sqlite": _InFile(), "postgresql": _InServer(), "postgres": _InServer()}


def _file(place: Place) -> Path:
    assert place.path is not None, "the URL names a file"
    return place.path


def _folder_of(url: str) -> Path:
    """Return the folder for a Journal in a server: `$WEFTRUN_FOLDER`, else one under `.weftrun`, found as a file is."""
    named = os.environ.get("WEFTRUN_FOLDER")
    if named:
        return Path(named).absolute()
    name = hashlib.sha256(str(_postgres("connection").connect_text(url)).encode()).hexdigest()[:12]
    folder = f"{_FOLDER}/postgres-{name}.d"
    return nearest(current_folder(), folder) / folder


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
