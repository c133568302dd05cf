"""Deleting Runs that ended long ago, and the values that no record names any more."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from weftrun.adapters.files.blobs import FileBlobs
from weftrun.adapters.files.lock import alone
from weftrun.adapters.sqlite.trace import SqliteTrace
from weftrun.adapters.system.entropy import SystemEntropy
from weftrun.assembly.places import Place
from weftrun.model.outcomes import Status
from weftrun.ports.journal import Journal, JournalReader, RunInfo

AT_ONCE = 100
"""Runs that are deleted in one transaction, so that engines get theirs in between."""


class Retention(Struct, frozen=True):
    """Which Runs are to be deleted.

    Attributes:
        older_than_s: those that ended longer ago, in seconds.
        statuses: and so.
        function: of this Function only; empty for all.
        forget: whether their ids are freed.
        dry_run: only count them.
    """

    older_than_s: float
    statuses: tuple[Status, ...]
    function: str = ""
    forget: bool = False
    dry_run: bool = False


class Collected(Struct, frozen=True):
    """What was deleted, or would be.

    Attributes:
        runs: how many Runs.
        undelivered: Runs that stay since something that they emitted is not delivered.
        values: how many values beside the Journal, and how many `nbytes` they had.
        values_stay: whether values were left since an engine has the Journal open.
    """

    runs: int
    undelivered: int
    values: int = 0
    nbytes: int = 0
    values_stay: bool = False


def collect(
    place: Place, reader: JournalReader, wanted: Retention, now: float, told: Callable[[int], None]
) -> Collected:
    """Delete Runs, so many in a transaction, and then the values that nobody names; `told` how many so far."""
    before = now - wanted.older_than_s
    runs = undelivered = 0
    with contextlib.ExitStack() as opened:
        journal: Journal | None = None
        trace: SqliteTrace | None = None
        for page in _pages(reader, wanted, before):
            left = reader.emits_left([info.uid for info in page])
            ready = [info.uid for info in page if not left.get(info.uid)]
            undelivered += len(page) - len(ready)
            if wanted.dry_run:
                runs += len(ready)
                continue
            if journal is None:
                journal = place.open_to_mend(SystemEntropy())
                trace = SqliteTrace(place.folder / "trace.db")
                opened.callback(journal.close)
                opened.callback(trace.close)
            gone = journal.delete_ended(ready, before=before, forget=wanted.forget)
            runs += len(gone)
            for uid in gone:
                if trace is not None:
                    trace.delete(uid)
            told(runs)
        if journal is None or not runs:
            return Collected(runs, undelivered)
        values, nbytes, were_alone = remove_blobs(place, journal)
    return Collected(runs, undelivered, values, nbytes, not were_alone)


def _pages(reader: JournalReader, wanted: Retention, before: float) -> Iterator[Sequence[RunInfo]]:
    """Yield the Runs that are wanted, not too many together."""
    for status in wanted.statuses:
        place = None
        while page := reader.runs(status=status, function=wanted.function, before=place, limit=AT_ONCE):
            place = page[-1].place
            old = [info for info in page if info.ended_at is not None and info.ended_at < before]
            if old:
                yield old


def remove_blobs(place: Place, journal: Journal) -> tuple[int, int, bool]:
    """Remove values that no record names; return how many, their bytes, and whether that could be done.

    Only without an engine: it may have written one that comes to be named.
    """
    count = nbytes = 0
    with alone(place.folder) as is_alone:
        if is_alone:
            blobs = FileBlobs(place.folder / "blobs")
            named = journal.blobs_named()
            for name in list(blobs.names()):
                if name not in named:
                    nbytes += blobs.remove(name)
                    count += 1
    return count, nbytes, is_alone
