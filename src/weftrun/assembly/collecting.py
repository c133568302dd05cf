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
from weftrun.model.ids import RunUid
from weftrun.model.outcomes import Status
from weftrun.model.schedules import schedule_of
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
        ids_kept: of Runs whose ids were to be freed, how many stay taken since their schedule may start them again.
    """

    runs: int
    undelivered: int
    values: int = 0
    nbytes: int = 0
    values_stay: bool = False
    ids_kept: int = 0


def collect(
    place: Place, reader: JournalReader, wanted: Retention, now: float, told: Callable[[int], None]
) -> Collected:
    """Delete Runs, so many in a transaction, and then the values that nobody names; `told` how many so far."""
    before = now - wanted.older_than_s
    runs = undelivered = ids_kept = 0
    with contextlib.ExitStack() as opened:
        journal: Journal | None = None
        trace: SqliteTrace | None = None
        for page in _pages(reader, wanted, before):
            left = reader.emits_left([info.uid for info in page])
            ready = [info.uid for info in page if not left.get(info.uid)]
            # Schedules are read after these Runs had ended: one that could still start one of them is among them.
            kept = scheduled(reader, page) if wanted.forget else set()
            ids_kept += sum(uid in kept for uid in ready)
            undelivered += len(page) - len(ready)
            if wanted.dry_run:
                runs += len(ready)
                continue
            if journal is None:
                journal = place.open_to_mend(SystemEntropy())
                trace = SqliteTrace(place.folder / "trace.db")
                opened.callback(journal.close)
                opened.callback(trace.close)
            gone = [
                *journal.delete_ended([uid for uid in ready if uid in kept], before=before, forget=False),
                *journal.delete_ended([uid for uid in ready if uid not in kept], before=before, forget=wanted.forget),
            ]
            runs += len(gone)
            for uid in gone:
                if trace is not None:
                    trace.delete(uid)
            told(runs)
        if journal is None or not runs:
            return Collected(runs, undelivered, ids_kept=ids_kept)
        values, nbytes, were_alone = remove_blobs(place, journal)
    return Collected(runs, undelivered, values, nbytes, not were_alone, ids_kept)


def scheduled(reader: JournalReader, infos: Sequence[RunInfo]) -> set[RunUid]:
    """Return those of these Runs whose schedule is there: their ids are never freed.

    An engine may have read the schedule before another one has started the Run, and start it later: by its id it finds
    that it was run, or else it runs a second time.
    """
    there = {schedule.id for schedule in reader.schedules()}
    return {info.uid for info in infos if schedule_of(info.id) in there}


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
