"""Which Runs somebody means: filters over the list of Runs, which is read newest first, a part at a time."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from weftrun.assembly import Reader
from weftrun.entrypoints.http.callers import Caller
from weftrun.model.outcomes import Status
from weftrun.ports.journal import RunInfo

_SCANNED_MAX = 20_000
"""Runs that are looked at for one answer: no request may keep a thread for long."""
_CHUNK = 1_000


class RunFilter(Struct, frozen=True, kw_only=True):
    """Which Runs are meant; what is empty or None chooses nothing.

    Attributes:
        status: how they stand.
        function: name of their Function, as it is on record.
        begins: how their ids begin, for whoever asks.
        text: stands in their id, in the name of their Function or in what they wait for.
        since, until: when they were started, in seconds since the epoch.
        functions: they are Runs of one of these.
        tenant: whose they are; empty for all that the caller may see.
    """

    status: Status | None = None
    function: str = ""
    begins: str = ""
    text: str = ""
    since: float | None = None
    until: float | None = None
    functions: frozenset[str] | None = None
    tenant: str = ""

    @property
    def is_by_index(self) -> bool:
        """Whether the Journal finds these Runs without looking at others."""
        return not self.text and (self.since, self.until, self.functions) == (None, None, None)

    def takes(self, info: RunInfo) -> bool:
        """Say whether a Run that the Journal found is meant."""
        if self.functions is not None and info.function not in self.functions:
            return False
        if (self.since is not None and info.started_at < self.since) or (
            self.until is not None and info.started_at > self.until
        ):
            return False
        text = self.text.casefold()
        return not text or any(text in told.casefold() for told in (info.id, info.function, info.waiting_for or ""))

    def is_past(self, infos: list[RunInfo]) -> bool:
        """Say whether older Runs than these were all started too early."""
        return self.since is not None and all(info.started_at < self.since for info in infos)


def listed_runs(
    reader: Reader, caller: Caller, wanted: RunFilter, before: int | None, limit: int
) -> tuple[list[RunInfo], int | None]:
    """Return at most so many Runs, newest first, and the place to go on from; None where there are no more.

    Where other Runs have to be looked at, it may return fewer than there are, or none, with a place to go on from.

    Raises:
        Refusal: they are another tenant's.
    """
    found: list[RunInfo] = []
    scanned = 0
    for infos in _chunks(reader, caller, wanted, before, limit + 1 if wanted.is_by_index else _CHUNK):
        for info in infos:
            if len(found) == limit and wanted.takes(info):
                return found, found[-1].place
            if wanted.takes(info):
                found.append(info)
        scanned += len(infos)
        if wanted.is_past(infos):
            break
        if scanned >= _SCANNED_MAX:
            return found, infos[-1].place
    return found, None


def _chunks(
    reader: Reader, caller: Caller, wanted: RunFilter, before: int | None, size: int
) -> Iterator[list[RunInfo]]:
    prefix = caller.prefix_of(wanted.tenant)
    begins = prefix + wanted.begins.removeprefix(prefix) if wanted.begins else ""
    while True:
        infos = reader.runs(
            status=wanted.status, function=wanted.function, prefix=prefix, begins=begins, before=before,
            limit=size,
        )  # fmt: skip
        if infos:
            yield infos
        if len(infos) < size:
            return
        before = infos[-1].place
