"""Finding the Run that a request names."""

from __future__ import annotations

from weftrun.assembly import Reader
from weftrun.entrypoints.http.callers import Caller
from weftrun.entrypoints.http.problems import Refusal, not_found
from weftrun.ports.journal import RunInfo


def found(reader: Reader, caller: Caller, id: str) -> RunInfo:
    """Return what is known of a caller's Run.

    Raises:
        Refusal: there is none, or it was deleted.
    """
    info = reader.find(caller.stored(id))
    if info is None:
        raise not_found(id)
    if info.deleted:
        raise Refusal(410, "run-deleted", f"Run {id!r} was deleted; it has {info.status}.", run=id)
    return info
